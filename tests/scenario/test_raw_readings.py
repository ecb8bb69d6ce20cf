"""Invariant I6: raw readings are never overwritten. Whoever tries finds no door."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from gongshu.errors import GongshuError
from gongshu.lake import Lake, ReadingsRelation
from gongshu.model.reading import READING_SCHEMA

AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


def reading(value: float) -> pa.RecordBatch:
    row = dict.fromkeys(READING_SCHEMA.names) | {
        "series_id": 1,
        "time": AT,
        "time_is_source": True,
        "source_time": AT,
        "arrival_time": AT,
        "value_double": value,
        "status": 0,
    }
    return pa.RecordBatch.from_pylist([row], schema=READING_SCHEMA)


def values(lake: Lake) -> list[float]:
    with lake.query("SELECT value_double AS v FROM r ORDER BY v", {"r": ReadingsRelation((1,))}) as result:
        return [float(row["v"]) for row in result.read_all().to_pylist()]


@pytest.mark.timeout(60)
def test_a_second_value_for_the_same_moment_stands_beside_the_first(tmp_path: Path) -> None:
    lake = Lake.open(log_file=tmp_path / "log.db", warehouse=tmp_path / "lake")
    try:
        lake.append_readings(reading(1.0), producer="a", sequence=1)
        lake.commit()
        lake.append_readings(reading(2.0), producer="a", sequence=2)
        assert values(lake) == [1.0, 2.0]
        lake.append_readings(reading(9.0), producer="a", sequence=2)
        lake.commit()
        assert values(lake) == [1.0, 2.0]
    finally:
        lake.close()


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_the_table_of_readings_cannot_be_written_as_a_dataset(tmp_path: Path, mode: str) -> None:
    lake = Lake.open(log_file=tmp_path / "log.db", warehouse=tmp_path / "lake")
    try:
        lake.append_readings(reading(1.0))
        lake.commit()
        with pytest.raises(GongshuError):
            lake.write_table("readings", pa.table({"series_id": [1], "value_double": [7.0]}), mode=mode)
        for statement in ("UPDATE r SET value_double = 7", "DELETE FROM r", "INSERT INTO r SELECT * FROM r"):
            with pytest.raises(GongshuError):
                lake.query(statement, {"r": ReadingsRelation((1,))}).close()
        assert values(lake) == [1.0]
    finally:
        lake.close()
