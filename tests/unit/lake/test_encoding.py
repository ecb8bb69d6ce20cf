"""Encodings follow the shape of the data; a value reads back as the very same bits."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gongshu.lake.encoding import choose_encodings, writer_options
from gongshu.lake.encoding import split_shapes as split_masks

ROWS = 40_000


def _walk(seed: int, decimals: int | None) -> list[float]:
    rng, value, values = random.Random(seed), 20.0, []
    for _ in range(ROWS):
        value += rng.gauss(0, 0.05)
        values.append(value if decimals is None else round(value, decimals))
    return values


def _table(values: list[float], series_id: int = 1) -> pa.Table:
    seconds = pa.array(range(0, ROWS * 1_000_000, 1_000_000), pa.int64())
    return pa.table(
        {
            "series_id": pa.array([series_id] * ROWS, pa.int32()),
            "time": seconds.cast(pa.timestamp("us", tz="UTC")),
            "value_double": pa.array(values),
            "value_text": pa.nulls(ROWS, pa.string()),
        }
    )


def split_shapes(table: pa.Table) -> list[pa.Table]:
    columns = [table.column(name).combine_chunks() for name in ("series_id", "value_double")]
    return [table.filter(mask) for mask in split_masks(*columns)]


@pytest.mark.parametrize(("decimals", "encodings"), [(None, {"BYTE_STREAM_SPLIT"}), (1, {"DICTIONARY"})])
def test_full_floats_are_split_into_bytes_and_steps_go_to_a_dictionary(
    decimals: int | None, encodings: set[str]
) -> None:
    chosen = choose_encodings(_table(_walk(1, decimals)))
    assert chosen["value_double"] in encodings
    assert chosen["time"] == "DELTA_BINARY_PACKED"


@pytest.mark.parametrize("decimals", [None, 2])
def test_values_read_back_bit_for_bit_with_any_choice(decimals: int | None, tmp_path: Path) -> None:
    table = _table([*_walk(2, decimals)[:-3], float("inf"), -0.0, 5e-324])
    path = tmp_path / "x.parquet"
    with pq.ParquetWriter(path, table.schema, **writer_options(table, choose_encodings(table))) as writer:
        writer.write_table(table)
    assert pq.ParquetFile(path).read().equals(table)


def test_series_of_each_shape_are_parted_and_no_reading_is_lost() -> None:
    states = [float(n // 500 % 4) for n in range(ROWS)]
    mixed = pa.concat_tables([_table(_walk(3, None), 1), _table(_walk(4, 2), 2), _table(states, 3)])
    stepped, few, continuous = split_shapes(mixed)
    assert set(few.column("series_id").to_pylist()) == {3}
    assert set(stepped.column("series_id").to_pylist()) == {2}
    assert set(continuous.column("series_id").to_pylist()) == {1}
    assert few.num_rows + stepped.num_rows + continuous.num_rows == mixed.num_rows


def test_one_shape_or_too_few_of_the_other_stay_together() -> None:
    assert len(split_shapes(_table(_walk(5, 2)))) == 1
    assert len(split_shapes(_table(_walk(5, None)))) == 1
    few = pa.concat_tables([_table(_walk(6, 2), 2), _table(_walk(7, None), 1).slice(0, 1000)])
    assert len(split_shapes(few)) == 1


def test_nulls_and_nan_do_not_lose_rows_when_parted() -> None:
    odd = [None if n % 3 == 0 else float("nan") for n in range(ROWS)]
    mixed = pa.concat_tables([_table(odd, 1), _table(_walk(8, None), 2), _table(_walk(9, 1), 3)])  # type: ignore[arg-type]
    assert sum(part.num_rows for part in split_shapes(mixed)) == mixed.num_rows
