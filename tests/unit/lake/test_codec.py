"""Readings survive the way into the log and back, or are refused whole."""

import math
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.lake.codec import TIME_MAX_US, TIME_MIN_US, decode_readings, encode_readings, require_readings
from gongshu.lake.errors import ReadingsInvalid
from gongshu.model.reading import READING_SCHEMA
from tests.unit.lake.made import START, readings

_values = st.one_of(
    st.tuples(st.floats(allow_nan=False), st.none(), st.none()),
    st.tuples(st.none(), st.integers(-(2**63), 2**63 - 1), st.none()),
    st.tuples(st.none(), st.none(), st.text(alphabet=st.characters(exclude_categories=["Cs"]))),
    st.tuples(st.none(), st.none(), st.none()),
)
_rows = st.lists(
    st.tuples(
        st.integers(1, 2**31 - 1),
        st.integers(TIME_MIN_US, TIME_MAX_US),
        st.booleans(),
        st.integers(TIME_MIN_US, TIME_MAX_US),
        _values,
        st.integers(0, 2**32 - 1),
    ),
    max_size=20,
)


@given(_rows)
def test_any_readings_come_back_as_they_were(rows: list[tuple[int, int, bool, int, tuple[object, ...], int]]) -> None:
    times = pa.timestamp("us", tz="UTC")
    table = pa.table(
        [
            pa.array([row[0] for row in rows], pa.int32()),
            pa.array([row[1] for row in rows], pa.int64()).cast(times),
            pa.array([row[2] for row in rows], pa.bool_()),
            pa.array([row[3] for row in rows], pa.int64()).cast(times),
            pa.array([row[4][0] for row in rows], pa.float64()),
            pa.array([row[4][1] for row in rows], pa.int64()),
            pa.array([row[4][2] for row in rows], pa.string()),
            pa.array([row[5] for row in rows], pa.uint32()),
        ],
        schema=READING_SCHEMA,
    )
    assert decode_readings(encode_readings(require_readings(table, producer="p"))).equals(table)


def test_the_bits_of_nan_infinity_and_negative_zero_are_kept() -> None:
    table = readings([1, 1, 1, 1], values=[math.nan, math.inf, -0.0, 5e-324])
    back = decode_readings(encode_readings(table)).column("value_double")
    assert (
        back.combine_chunks().buffers()[1].to_pybytes()
        == table.column("value_double").combine_chunks().buffers()[1].to_pybytes()
    )


def test_value_columns_without_a_value_take_no_space_and_come_back_as_nulls() -> None:
    narrow = readings([1] * 1000).drop_columns(["value_int", "value_text"])
    table = require_readings(narrow, producer="p")
    assert table.schema.equals(READING_SCHEMA)
    with pa.ipc.open_stream(encode_readings(table)) as stream:
        assert "value_text" not in stream.schema.names
    assert decode_readings(encode_readings(table)).column("value_text").null_count == 1000


def test_a_record_batch_and_columns_in_any_order_are_taken() -> None:
    table = readings([1, 2])
    shuffled = table.select(list(reversed(table.column_names)))
    assert require_readings(shuffled.to_batches()[0], producer="p").equals(table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop_columns(["status"]), "missing"),
        (lambda t: t.append_column("colour", pa.array(["red", "red"])), "unknown"),
        (lambda t: t.set_column(0, "series_id", pa.array([1, 2**40])), "not in range"),
        (lambda t: t.set_column(0, "series_id", pa.array([1, None], pa.int32())), "nulls"),
        (lambda t: t.set_column(1, "time", pa.array([0, TIME_MAX_US + 1]).cast(pa.timestamp("us", tz="UTC"))), "9999"),
        (lambda t: t.set_column(1, "time", pa.array([1, 2], pa.timestamp("ns", tz="UTC"))), "lose data"),
    ],
)
def test_a_batch_of_another_shape_is_refused_with_what_was_seen(change: object, said: str) -> None:
    with pytest.raises(ReadingsInvalid, match=said):
        require_readings(change(readings([1, 2])), producer="p")  # type: ignore[operator]


def test_years_1_and_9999_are_taken() -> None:
    for year in (1, 1970, 2100, 9999):
        require_readings(readings([1], start=datetime(year, 12, 31, tzinfo=UTC)), producer="p")
    assert START.year == 2026
