"""Readings made for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from gongshu.model.reading import READING_SCHEMA

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


def readings(
    series_ids: Sequence[int],
    *,
    start: datetime = START,
    step_s: float = 1.0,
    values: Sequence[float | None] | None = None,
    status: int = 0,
) -> pa.Table:
    """One reading for each entry of `series_ids`, a step apart, its value its position unless given."""
    count = len(series_ids)
    times = [start + timedelta(seconds=step_s * n) for n in range(count)]
    return pa.table(
        {
            "series_id": pa.array(series_ids, pa.int32()),
            "time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "time_is_source": pa.array([True] * count),
            "arrival_time": pa.array([t + timedelta(milliseconds=5) for t in times], pa.timestamp("us", tz="UTC")),
            "value_double": pa.array([float(n) for n in range(count)] if values is None else values, pa.float64()),
            "value_int": pa.nulls(count, pa.int64()),
            "value_text": pa.nulls(count, pa.string()),
            "status": pa.array([status] * count, pa.uint32()),
        },
        schema=READING_SCHEMA,
    )
