"""A seeded hour of one machine with planted faults, as readings."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from gongshu.model.reading import READING_SCHEMA, STATUS_BAD, STATUS_GOOD

START = datetime(2026, 11, 2, 7, 0, tzinfo=UTC)
ROWS = 3_600


def times(start: datetime = START, rows: int = ROWS, step_s: float = 1.0) -> pa.Array:
    """Return equally spaced source times."""
    begin = int(start.timestamp() * 1e6)
    return pa.array(begin + (np.arange(rows) * step_s * 1e6).astype(np.int64)).cast(pa.timestamp("us", tz="UTC"))


def readings(
    series_id: int,
    values: "np.ndarray[tuple[int], np.dtype[np.float64]] | None" = None,
    *,
    at: pa.Array | None = None,
    delay_s: float | np.ndarray[tuple[int], np.dtype[np.float64]] = 0.2,
    bad: "np.ndarray[tuple[int], np.dtype[np.bool_]] | None" = None,
    others: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """Return readings of one series."""
    at = times() if at is None else at
    count = len(at)
    micros = np.asarray(at.cast(pa.int64())) + np.broadcast_to(np.asarray(delay_s) * 1e6, (count,)).astype(np.int64)
    status = np.where(bad, STATUS_BAD, STATUS_GOOD) if bad is not None else np.full(count, STATUS_GOOD)
    none = pa.nulls(count)
    columns = {
        "series_id": pa.array(np.full(count, series_id), pa.int32()),
        "time": at,
        "time_is_source": pa.array(np.ones(count, dtype=bool)),
        "arrival_time": pa.array(micros).cast(pa.timestamp("us", tz="UTC")),
        "value_double": none.cast(pa.float64()) if values is None else pa.array(values),
        "value_int": none.cast(pa.int64()),
        "value_text": none.cast(pa.string()),
        "status": pa.array(status, pa.uint32()),
    } | dict(others or {})
    return pa.table(columns).cast(READING_SCHEMA)


def later(minutes: float) -> datetime:
    """Return a moment of that hour."""
    return START + timedelta(minutes=minutes)
