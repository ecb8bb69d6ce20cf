"""One step of the writer: from the log into the readings table, exactly once.

The snapshot that adds the files says in its summary which log, and up to which offset. Whoever dies at whatever
moment: either the snapshot is there, offset and files together, or neither is, and the next step begins where the
newest snapshot says. See docs/decisions/0006-offset-in-the-snapshot.md.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from gongshu.lake.codec import decode_readings
from gongshu.lake.columns import file_schema
from gongshu.lake.encoding import split_shapes
from gongshu.lake.errors import LogBehind, LogEntryDamaged
from gongshu.lake.model import READINGS_TABLE, CommitReport, DamagedEntry, TailRead
from gongshu.lake.parquet import remove_data_file, write_data_file
from gongshu.lake.ports import Log
from gongshu.lake.sorting import sort_order, split_days
from gongshu.lake.warehouse import Warehouse

LOG_ID = "gongshu.log-id"
LOG_FIRST = "gongshu.log-first-offset"
LOG_LAST = "gongshu.log-last-offset"
SPLIT_ROWS = 500_000
"""A commit smaller than this stays one file a day; compaction splits it by shape later."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to where which log is in the table."""

    log_id: str
    offset: int

    def properties(self) -> dict[str, str]:
        """Return the entries of a snapshot summary."""
        return {LOG_ID: self.log_id, LOG_LAST: str(self.offset)}


def watermark_of(table: Table, *, log_id: str) -> Watermark:
    """Return up to where this log is in the table's current snapshot.

    Every snapshot of the readings table carries the mark. A log that the table has never seen begins at 0.
    """
    snapshot = table.current_snapshot()
    summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    if summary.get(LOG_ID) != log_id:
        return Watermark(log_id, 0)
    return Watermark(log_id, int(summary[LOG_LAST]))


def commit_log(log: Log, warehouse: Warehouse, *, rows_max: int) -> CommitReport | None:
    """Move waiting readings, about rows_max at most, from the log into one snapshot; None if nothing waits.

    The caller holds the writer's lock.
    Raises: LogBehind if the log is older than the table.
    Cost: the readings of this step in memory about three times over.
    """
    started = time.perf_counter()
    table = warehouse.readings()
    mark = watermark_of(table, log_id=log.log_id)
    if log.end() < mark.offset:
        raise LogBehind(log_id=log.log_id, log_end=log.end(), committed=mark.offset)
    tail = log.read(after=mark.offset, rows_max=rows_max)
    batches, set_aside = _decoded(log, tail)
    if not batches:
        log.trim(up_to=mark.offset)
        return None
    first, offset = tail.entries[0].offset, tail.entries[-1].offset
    del tail
    readings = pa.concat_tables(batches)
    del batches
    rows = readings.num_rows
    added = write_readings(table, readings)
    properties = Watermark(log.log_id, offset).properties() | {LOG_FIRST: str(first)}
    try:
        snapshot_id = warehouse.commit_files(table, added=added, properties=properties)
    except Exception:
        _forget_uncommitted(warehouse, added)
        raise
    log.trim(up_to=offset)
    return CommitReport(
        snapshot_id=snapshot_id,
        rows=rows,
        files=len(added),
        size_bytes=sum(data_file.file_size_in_bytes for data_file in added),
        first_offset=first,
        last_offset=offset,
        set_aside=set_aside,
        took_s=time.perf_counter() - started,
    )


def write_readings(table: Table, readings: pa.Table, *, split_rows: int = SPLIT_ROWS) -> list[DataFile]:
    """Write readings as files, sorted, by day and, where that saves space, by the shape of their values."""
    added: list[DataFile] = []
    for day, of_day in split_days(_used_columns(readings)):
        rows = of_day.combine_chunks()
        order = sort_order(rows)
        orders = [order]
        if rows.num_rows >= split_rows and "value_double" in rows.column_names:
            masks = split_shapes(_array(rows, "series_id"), _array(rows, "value_double"))
            orders = [order.filter(mask.take(order)) for mask in masks] if len(masks) > 1 else [order]
        # Gathering, encoding and compressing leave the interpreter: the parts are written side by side.
        with ThreadPoolExecutor(max_workers=len(orders)) as executor:
            written = [executor.submit(_write_part, table, rows, part, day) for part in orders]
        added += [file.result() for file in written]
    return added


def _write_part(table: Table, rows: pa.Table, order: pa.Array, day: int) -> DataFile:
    part = rows.take(order)
    schema = file_schema(table.schema())
    columns = [
        part.column(field.name).cast(field.type)
        if field.name in part.column_names
        else pa.chunked_array([pa.nulls(part.num_rows, field.type)])
        for field in schema
    ]
    return write_data_file(table.metadata, pa.Table.from_arrays(columns, schema=schema), day=day)


def _used_columns(readings: pa.Table) -> pa.Table:
    """Leave out columns of nulls alone: sorting them is work for nothing."""
    return readings.select(
        [name for name in readings.column_names if readings.column(name).null_count < readings.num_rows]
    )


def _array(rows: pa.Table, name: str) -> pa.Array:
    column = rows.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def committed_at(table: Table) -> datetime | None:
    """Return when the current snapshot was made."""
    snapshot = table.current_snapshot()
    return None if snapshot is None else datetime.fromtimestamp(snapshot.timestamp_ms / 1000, tz=UTC)


def _decoded(log: Log, tail: TailRead) -> tuple[list[pa.Table], int]:
    """Return the batches that can be read, and how many could not and were set aside."""
    unreadable = [(damaged, "its checksum differs") for damaged in tail.damaged]
    batches = []
    for entry in tail.entries:
        try:
            batches.append(decode_readings(entry.payload))
        except pa.ArrowException as cause:
            unreadable.append((DamagedEntry(entry.offset, entry.rows, entry.producer), str(cause)))
    for lost, reason in unreadable:
        error = LogEntryDamaged(
            offset=lost.offset, log_id=log.log_id, rows=lost.rows, producer=lost.producer, reason=reason
        )
        _logger.error("%s", error)
        log.set_aside(lost.offset, reason=reason)
    return batches, len(unreadable)


def _forget_uncommitted(warehouse: Warehouse, added: list[DataFile]) -> None:
    # The commit may have landed although it was reported as failed: files that a snapshot names must stay.
    table = warehouse.table(READINGS_TABLE)
    named = {file.data_file.file_path for file in warehouse.files(table)} if table is not None else set()
    for data_file in added:
        if data_file.file_path not in named:
            remove_data_file(data_file)
