"""A table whose columns are series, as readings: one column of times, others of values. Pure."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gongshu.gather.batch import native_batch
from gongshu.gather.connector import Tag
from gongshu.gather.connectors.files.config import SeriesOptions
from gongshu.gather.connectors.files.kinds import Typed, convert
from gongshu.gather.errors import ConfigWrong
from gongshu.model.reading import STATUS_BAD, STATUS_GOOD, ValueType

_KIND_OF = {ValueType.FLOAT64: "number", ValueType.BOOL: "boolean", ValueType.INT64: "integer"}
_COLUMN_OF = {ValueType.FLOAT64: "value_double", ValueType.TEXT: "value_text"}


def timed_table(table: pa.Table, *, options: SeriesOptions) -> Typed:
    """Return the table without the rows that have no usable time, and these with the reason.

    Raises: ConfigWrong if the time column is not in the table.
    """
    require_columns(table, options)
    times = row_times(table.column(options.time_column), options.timezone)
    untimed = np.flatnonzero(pc.is_null(times).to_numpy())
    cells = table.column(options.time_column)
    bad = {row: f"{options.time_column}: {str(cells[row])[:80]!r} is no time" for row in untimed.tolist()}
    return Typed(table.filter(pc.is_valid(times)) if bad else table, bad)


def require_columns(table: pa.Table, options: SeriesOptions) -> None:
    """Check that the declared columns are there. Raises: ConfigWrong."""
    for field, wanted in (("time_column", (options.time_column,)), ("value_columns", options.value_columns)):
        missing = [name for name in wanted if name not in table.column_names]
        if missing:
            reason = f"there is no column {missing[0]!r}, only {', '.join(table.column_names[:20])}"
            raise ConfigWrong(what="the files connector", field=f"series.{field}", reason=reason)


def series_tags(table: pa.Table, options: SeriesOptions, folder: str, known: Mapping[str, ValueType]) -> list[Tag]:
    """Return one tag for each value column that holds anything; files of one folder share their series.

    `known` are the types of addresses met before: a column keeps its type, whatever one file holds.
    """
    require_columns(table, options)
    names = options.value_columns or tuple(name for name in table.column_names if name != options.time_column)
    tags = []
    for name in names:
        cells = _non_empty(table.column(name))
        if len(cells) == cells.null_count:
            continue
        address = f"{folder}#{name}"
        value_type = known.get(address) or _value_type(cells)
        tags.append(Tag(address, name, value_type, folder, options.units.get(name, "")))
    return tags


def series_batches(
    table: pa.Table, options: SeriesOptions, tags: list[Tag], numbers: list[int], *, arrival_us: int, rows_max: int
) -> Iterator[pa.RecordBatch]:
    """Yield the value columns as batches of at most `rows_max` readings.

    A cell that does not fit its series' type is a reading without value and of bad status; an empty one is none.
    Shape: a row without a time is left out; times that name no zone are taken in `options.timezone`.
    """
    times = row_times(table.column(options.time_column), options.timezone)
    timed = pc.is_valid(times)
    for tag, number in zip(tags, numbers, strict=True):
        cells = _non_empty(table.column(tag.name))
        mask = pc.and_(timed, pc.is_valid(cells))
        yield from _tag_batches(cells.filter(mask), times.filter(mask), tag, number, arrival_us, rows_max)


def row_times(cells: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    """Return aware UTC times, null where a cell is no time; of an hour that comes twice in autumn, the first."""
    utc = pa.timestamp("us", tz="UTC")
    if pa.types.is_timestamp(cells.type) and cells.type.tz:
        return cells.cast(utc, safe=False)
    if pa.types.is_string(cells.type):
        local = pc.coalesce(convert(cells, "time"), convert(cells, "date").cast(pa.timestamp("us")))
        return pc.coalesce(convert(cells, "time with zone"), _in_zone(local, timezone))
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        return _in_zone(cells.cast(pa.timestamp("us"), safe=False), timezone)
    return pa.chunked_array([pa.nulls(len(cells), utc)])


def _tag_batches(
    cells: pa.ChunkedArray, times: pa.ChunkedArray, tag: Tag, number: int, arrival_us: int, rows_max: int
) -> Iterator[pa.RecordBatch]:
    is_text = pa.types.is_string(cells.type)
    kind = _KIND_OF.get(tag.value_type)
    if kind is not None:
        values = (
            convert(cells if is_text else cells.cast(pa.string()), kind) if is_text or not _fits(cells, tag) else cells
        )
    else:
        values = cells.cast(pa.string())
    status = pc.if_else(pc.is_valid(values), STATUS_GOOD, STATUS_BAD).cast(pa.uint32())
    column = _COLUMN_OF.get(tag.value_type, "value_int")
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    values = values.cast({"value_double": pa.float64(), "value_text": pa.string(), "value_int": pa.int64()}[column])
    micros = times.cast(pa.int64())
    for start in range(0, len(values), rows_max):
        part = pa.concat_arrays(values.slice(start, rows_max).chunks)
        columns = {column: part}
        yield native_batch(
            np.full(len(part), number, np.int32),
            arrival_us=arrival_us,
            source_us=pa.concat_arrays(micros.slice(start, rows_max).chunks),
            status=pa.concat_arrays(status.slice(start, rows_max).chunks),
            **columns,
        )


def _fits(cells: pa.ChunkedArray, tag: Tag) -> bool:
    kind = cells.type
    if tag.value_type is ValueType.FLOAT64:
        return bool(pa.types.is_floating(kind))
    return bool(pa.types.is_boolean(kind) if tag.value_type is ValueType.BOOL else pa.types.is_integer(kind))


def _value_type(cells: pa.ChunkedArray) -> ValueType:
    """Numbers in text are doubles, integers too: the next file may hold a decimal."""
    kind = cells.type
    if pa.types.is_string(kind):
        filled = len(cells) - cells.null_count
        for value_type in (ValueType.FLOAT64, ValueType.BOOL):
            values = convert(cells, _KIND_OF[value_type])
            if 2 * (len(values) - values.null_count) >= filled:
                return value_type
        return ValueType.TEXT
    if pa.types.is_boolean(kind):
        return ValueType.BOOL
    if pa.types.is_integer(kind):
        return ValueType.INT64
    return ValueType.FLOAT64 if pa.types.is_floating(kind) else ValueType.TEXT


def _in_zone(local: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    zoned = pc.assume_timezone(local, timezone, ambiguous="earliest", nonexistent="latest")
    return zoned.cast(pa.timestamp("us", tz="UTC"))


def _non_empty(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(cells.type):
        return cells
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
