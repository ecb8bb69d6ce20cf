"""Readings in the order in which they are kept: by day, then by series, then by time. Pure."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

DAY_US = 86_400_000_000


def sort_order(table: pa.Table) -> pa.Array:
    """Return the row numbers in the order of (series_id, time); equal keys keep the order of arrival.

    A stable sort by series, which is a counting sort while the ids span less than 65,536, is enough where each series
    arrived in order, as machines send it. Otherwise a stable sort by time goes before.
    """
    if not table.num_rows:
        return pa.array([], pa.uint64())
    series = _only_chunk(table.column("series_id"))
    times = _only_chunk(table.column("time").cast(pa.int64()))
    order = pc.array_sort_indices(series)
    if _each_ascends(series.take(order), times.take(order)):
        return order
    by_time = pc.array_sort_indices(times)
    return by_time.take(pc.array_sort_indices(series.take(by_time)))


def split_days(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Yield (days since 1970-01-01, the readings of that UTC day), each in the order given.

    A batch of one day, the usual case, is handed through without a copy.
    """
    if not table.num_rows:
        return
    times = table.column("time").cast(pa.int64())
    bounds = pc.min_max(times)
    first, last = bounds["min"].as_py() // DAY_US, bounds["max"].as_py() // DAY_US
    if first == last:
        yield first, table
        return
    days = _days_of(times)
    for day in sorted(pc.unique(days).to_pylist()):
        yield day, table.filter(pc.equal(days, day))


def _days_of(times: pa.ChunkedArray) -> pa.ChunkedArray:
    # Integer division rounds towards zero; times before 1970 must round down.
    quotient = pc.divide(times, DAY_US)
    below = pc.less(times, pc.multiply(quotient, DAY_US))
    return pc.subtract(quotient, below.cast(pa.int64()))


def _each_ascends(series: pa.Array, times: pa.Array) -> bool:
    rest = len(series) - 1
    same = pc.equal(series.slice(1), series.slice(0, rest))
    back = pc.less(times.slice(1), times.slice(0, rest))
    return not pc.any(pc.and_(same, back)).as_py()


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
