"""Readings to bytes and back: one Arrow IPC stream a batch, compressed with LZ4.

Columns without a single value (most batches use one of the three value columns) are left out and come back as nulls.
Pure: no I/O, no clock.
"""

import pyarrow as pa

from gongshu.lake.errors import ReadingsInvalid
from gongshu.model.reading import READING_SCHEMA

TIME_MIN_US = -62_135_596_800_000_000
TIME_MAX_US = 253_402_300_799_999_999
"""0001-01-01 to 9999-12-31: the span of ISO 8601 years with four digits, which every reader of the table can show."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
# A batch is too small for threads: handing its columns over takes longer than inflating them.
_READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)
_REQUIRED = tuple(field.name for field in READING_SCHEMA if not field.nullable)
_OPTIONAL = tuple(field.name for field in READING_SCHEMA if field.nullable)


def require_readings(batch: pa.RecordBatch | pa.Table, *, producer: str) -> pa.Table:
    """Return the batch as a table of exactly `READING_SCHEMA`; column order and narrower types are put right.

    Raises: ReadingsInvalid if a column is missing or unknown, cannot be cast without loss, is null where it must not
    be, or has a time outside the years 1 to 9999.
    """
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    if not table.schema.equals(READING_SCHEMA):
        table = _conformed(table, producer=producer)
    for name in _REQUIRED:
        if table.column(name).null_count:
            raise ReadingsInvalid(producer=producer, reason=f"column {name} has nulls")
    if table.num_rows:
        _require_years(table, producer=producer)
    return table


def encode_readings(table: pa.Table) -> bytes:
    """Return the bytes of a table of `READING_SCHEMA`."""
    used = [name for name in table.column_names if name in _REQUIRED or table.column(name).null_count < table.num_rows]
    sink = pa.BufferOutputStream()
    kept = table.select(used)
    with pa.ipc.new_stream(sink, kept.schema, options=_OPTIONS) as writer:
        writer.write_table(kept.combine_chunks())
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode_readings(payload: bytes) -> pa.Table:
    """Return the table that `encode_readings` was given.

    Raises: pyarrow.ArrowInvalid if the bytes are no such stream; the log's checksum makes that a mistake of ours.
    """
    with pa.ipc.open_stream(payload, options=_READ_OPTIONS) as reader:
        table = reader.read_all()
    if table.num_columns == len(READING_SCHEMA):
        return table.cast(READING_SCHEMA)
    columns = [
        table.column(field.name)
        if field.name in table.column_names
        else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
        for field in READING_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=READING_SCHEMA)


def _conformed(table: pa.Table, *, producer: str) -> pa.Table:
    names = set(table.column_names)
    if missing := [name for name in _REQUIRED if name not in names]:
        raise ReadingsInvalid(producer=producer, reason=f"the columns {missing} are missing")
    if unknown := sorted(names - set(_REQUIRED) - set(_OPTIONAL)):
        raise ReadingsInvalid(producer=producer, reason=f"the columns {unknown} are unknown")
    try:
        columns = [
            table.column(field.name).cast(field.type)
            if field.name in names
            else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
            for field in READING_SCHEMA
        ]
    except pa.ArrowException as cause:
        raise ReadingsInvalid(producer=producer, reason=str(cause)) from cause
    return pa.Table.from_arrays(columns, schema=READING_SCHEMA)


def _require_years(table: pa.Table, *, producer: str) -> None:
    import pyarrow.compute as pc

    for name in ("time", "arrival_time"):
        bounds = pc.min_max(table.column(name).cast(pa.int64()))
        if bounds["min"].as_py() < TIME_MIN_US or bounds["max"].as_py() > TIME_MAX_US:
            raise ReadingsInvalid(producer=producer, reason=f"column {name} leaves the years 1 to 9999")
