"""The lake as the rooms above see it: append readings, write tables, query both.

Appending needs no more than Arrow and SQLite; the table format's library and the query worker are loaded when they
are first needed, so a collector stays small.
"""

import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gongshu.lake.codec import encode_readings, require_readings
from gongshu.lake.errors import LogBusy, QueryWorkerLost, SealedUnreadable, TableUnknown, WarehouseUnwritable
from gongshu.lake.model import (
    READINGS_TABLE,
    CommitReport,
    LakeStatus,
    Relation,
    TableRelation,
    UpkeepReport,
)
from gongshu.lake.query.client import TimeBudget, WorkerPool, is_sound_after, raise_worker_error
from gongshu.lake.query.frames import Kind
from gongshu.lake.query.plan import READING_COLUMNS, RelationPlan, Tail, holds_any
from gongshu.lake.query.result import QueryResult
from gongshu.lake.sqlite_log import SqliteLog
from gongshu.model.reading import READING_SCHEMA
from gongshu.model.sealed import SealedFile, SealedReport, SealedRows

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from gongshu.lake.warehouse import StoredFile, Warehouse

COMMIT_ROWS_MAX = 4_000_000
"""One step of the writer takes about so many readings at most: some 600 MB of memory while it runs."""
NEWEST_DAYS = 31
"""`latest` looks for a silent series in so many of the newest days that hold data."""
_PLANS_MAX = 8
"""A plan grows stale only when the writer commits twice between planning and reading."""


class Lake:
    """One log and one warehouse. Threads may share it; each process opens its own."""

    @classmethod
    def open(
        cls, *, log_file: Path, warehouse: Path, query_memory_mb: int = 1024, query_timeout_s: float = 60.0
    ) -> "Lake":
        """Open the lake, making the log if it is not there.

        Raises: LogDamaged, LogUnwritable.
        """
        return cls(SqliteLog(log_file), log_file, warehouse, query_memory_mb, query_timeout_s)

    def __init__(
        self, log: SqliteLog, log_file: Path, warehouse: Path, query_memory_mb: int, query_timeout_s: float
    ) -> None:
        self._log = log
        self._warehouse_folder = warehouse
        self._opened: Warehouse | None = None
        self._opening = threading.Lock()
        self._writing: Any = None
        self._query_timeout_s = query_timeout_s
        self._pool = WorkerPool(log_file=log_file, temp_root=warehouse / "tmp", memory_mb=query_memory_mb)

    def append_readings(
        self, batch: "pa.RecordBatch | pa.Table", *, producer: str = "", sequence: int | None = None
    ) -> int:
        """Store one batch so that it survives a power cut, and return its offset in the log.

        A (producer, sequence) that was stored before stores nothing and returns the first offset.
        Shape: `READING_SCHEMA`; columns in any order, the value columns may be left out.
        Raises: ReadingsInvalid, LogFull, LogUnwritable, LogBusy, LogDamaged. Nothing was stored then.
        """
        table = require_readings(batch, producer=producer)
        return self._log.append(encode_readings(table), rows=table.num_rows, producer=producer, sequence=sequence)

    def last_sequence(self, producer: str) -> int | None:
        """Return the greatest sequence stored for a producer: where it goes on after a restart."""
        return self._log.last_sequence(producer)

    def commit(self, *, rows_max: int = COMMIT_ROWS_MAX) -> CommitReport | None:
        """Take one step of the writer: log to table, exactly once; None if nothing waited. For the writer alone.

        The first call takes the writer's lock and keeps it until `close`.
        Raises: WriterRunning, LogBehind, WarehouseUnwritable.
        """
        from gongshu.lake.commit import commit_log

        with self._translated():
            self._hold_writer_lock()
            return commit_log(self._log, self._warehouse(), rows_max=rows_max)

    def compact(self, *, now: datetime, is_idle: bool = True) -> UpkeepReport:
        """Merge small files of past days, expire old snapshots, remove files that no snapshot names.

        For the writer alone. `is_idle` false leaves out the days that still grow.
        Raises: WriterRunning, WarehouseUnwritable.
        """
        from gongshu.lake.upkeep import run_upkeep

        with self._translated():
            self._hold_writer_lock()
            return run_upkeep(self._warehouse(), now=now, query_timeout_s=self._query_timeout_s, is_idle=is_idle)

    def write_table(
        self, table: str, data: "pa.Table", *, mode: str = "append", properties: Mapping[str, str] | None = None
    ) -> int:
        """Write a dataset's table in one snapshot and return the snapshot's id; the table is made at first use.

        `append` takes added columns; `replace` also takes changed and missing ones, and drops all old rows.
        `properties` are kept in the snapshot's summary.
        Raises: TableNameInvalid, ColumnTypeUnsupported, TableSchemaMismatch, WarehouseUnwritable; nothing was written
            then.
        """
        from gongshu.lake.tables import write_table

        assert mode in ("append", "replace")
        with self._translated():
            return write_table(self._warehouse(), table, data, mode=mode, properties=properties or {})  # type: ignore[arg-type]

    def write_sealed(self, file: SealedFile, schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]") -> SealedReport:
        """Write one encrypted file, batch by batch; it has its name only when all of it is on disk.

        Raises: TableSchemaMismatch, WarehouseUnwritable, and whatever the batches raise; no file is left then.
        """
        from gongshu.lake.sealed import write_sealed

        try:
            return write_sealed(file, schema, batches)
        except PermissionError as cause:
            raise WarehouseUnwritable(folder=self._warehouse_folder, reason=cause.strerror) from cause

    def read_sealed(self, rows: SealedRows) -> "Iterator[pa.RecordBatch]":
        """Yield the rows of encrypted files, opened, in the order of the files. Raises: SealedUnreadable."""
        from gongshu.lake.sealed import open_sealed

        try:
            yield from open_sealed(rows).to_batches()
        except OSError as cause:
            raise SealedUnreadable(reason="a file of it does not open") from cause

    def sealed_schema(self, name: str, schema: "pa.Schema") -> "pa.Schema":
        """Return the columns as an encrypted table keeps them. Raises: ColumnTypeUnsupported."""
        from gongshu.lake.sealed import sealed_schema

        return sealed_schema(name, schema)

    def table_schema(self, table: str) -> "pa.Schema":
        """Return the columns of a table as it is now.

        Raises: TableUnknown.
        """
        from gongshu.lake.tables import table_arrow_schema

        if table == READINGS_TABLE:
            return READING_SCHEMA
        return table_arrow_schema(self._require_table(table))

    def tables(self) -> list[str]:
        """Return the names of the datasets' tables, sorted; the readings table is not among them."""
        return [name for name in self._warehouse().names() if name != READINGS_TABLE]

    def query(
        self,
        sql: str,
        relations: Mapping[str, Relation],
        *,
        rows_max: int | None = None,
        timeout_s: float | None = None,
        parameters: Sequence[str] = (),
    ) -> QueryResult:
        """Run one SELECT in DuckDB's SQL over the named relations, in a process that can reach nothing else.

        `parameters` stand for `$1`, `$2` and so on; they are text, which the SQL casts.
        Readings are those acknowledged before the call, each once, whether the writer has moved them or not.
        Shape: rows beyond `rows_max` are cut off, and the result says so. Times come in UTC.
        Raises: QueryInvalid, QueryForbidden, QueryTimeout, QueryMemoryExceeded, QueryWorkerLost, TableUnknown,
            SnapshotUnknown; errors of later rows come from the result.
        """
        budget = TimeBudget(timeout_s if timeout_s is not None else self._query_timeout_s)
        for _ in range(_PLANS_MAX):
            tail, files = self._moment()
            plans = [self._plan(name, relation, files) for name, relation in relations.items()]
            request = {
                "op": "query",
                "sql": sql,
                "rows_max": rows_max,
                "parameters": list(parameters),
                "tail": {"after": tail.after, "up_to": tail.up_to},
                "relations": [_as_json(plan) for plan in plans],
            }
            if (result := self._ask(request, budget)) is not None:
                return result
        raise LogBusy(file=self._warehouse_folder, waited_s=budget.total_s - budget.left_s)

    def latest(self, series_ids: Sequence[int]) -> "pa.Table":
        """Return the last reading of each series, sorted by series; series without readings are left out.

        Last is by `time`; times more than a day ahead of arrival count only where a series has no other.
        Cost: made to be called each second for a thousand series; the first call looks into files.
        """
        budget = TimeBudget(self._query_timeout_s)
        for _ in range(_PLANS_MAX):
            tail, files = self._moment()
            request = {
                "op": "newest",
                "series_ids": [int(series_id) for series_id in series_ids],
                "tail": {"after": tail.after, "up_to": tail.up_to},
                "files": _newest_files(files),
            }
            if (result := self._ask(request, budget)) is not None:
                return result.read_all().sort_by("series_id")
        raise LogBusy(file=self._warehouse_folder, waited_s=budget.total_s - budget.left_s)

    def status(self) -> LakeStatus:
        """Return counts of the moment."""
        from gongshu.lake.commit import committed_at, watermark_of

        table = self._warehouse().table(READINGS_TABLE)
        offset = watermark_of(table, log_id=self._log.log_id).offset if table is not None else 0
        files = self._warehouse().files(table) if table is not None else ()
        _, pending_rows = self._log.pending(after=offset)
        return LakeStatus(
            log_end=self._log.end(),
            committed_offset=offset,
            pending_rows=pending_rows,
            rows_total=pending_rows + sum(file.rows for file in files),
            files=len(files),
            size_bytes=sum(file.size_bytes for file in files),
            last_commit_at=committed_at(table) if table is not None else None,
            set_aside=self._log.set_aside_count(),
        )

    def pending(self) -> int:
        """Return how many acknowledged readings wait for the writer; cheap, for a loop."""
        return self._log.pending(after=self._log.trimmed_to())[1]

    def has_readings(self) -> bool:
        """Return whether any reading was ever appended; cheap, for a loop."""
        return self._log.end() > 0

    def worker_pids(self) -> list[int]:
        """Return the process ids of the query workers that wait for work, for those who measure them."""
        return self._pool.pids()

    def close(self) -> None:
        """End the workers, give up the writer's lock, close the log; closing twice is fine."""
        self._pool.close()
        if self._writing is not None:
            self._writing.__exit__(None, None, None)
            self._writing = None
        if self._opened is not None:
            self._opened.close()
        self._log.close()

    def _warehouse(self) -> "Warehouse":
        from gongshu.lake.warehouse import Warehouse

        with self._opening:
            if self._opened is None:
                self._opened = Warehouse(self._warehouse_folder)
            return self._opened

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise WarehouseUnwritable(folder=self._warehouse_folder, reason=cause) from cause

    def _hold_writer_lock(self) -> None:
        if self._writing is None:
            lock = self._warehouse().locked("writer", wait=False)
            lock.__enter__()
            self._writing = lock

    def _require_table(self, name: str) -> "Table":
        table = self._warehouse().table(name)
        if table is None:
            raise TableUnknown(table=name)
        return table

    def _moment(self) -> "tuple[Tail, tuple[StoredFile, ...]]":
        """Return the readings of one moment: the snapshot's files, and the log from that snapshot's offset on.

        The snapshot is read first: entries appended meanwhile are in the tail, entries committed meanwhile still are.
        """
        from gongshu.lake.commit import watermark_of

        table = self._warehouse().table(READINGS_TABLE)
        if table is None:
            return Tail(self._log.log_id, 0, self._log.end()), ()
        offset = watermark_of(table, log_id=self._log.log_id).offset
        return Tail(self._log.log_id, offset, max(self._log.end(), offset)), self._warehouse().files(table)

    def _plan(self, name: str, relation: Relation, files: "Sequence[StoredFile]") -> RelationPlan:
        if isinstance(relation, TableRelation):
            return self._plan_table(name, relation)
        if isinstance(relation, SealedRows):
            return _plan_sealed(name, relation)
        start_us, end_us = _micros(relation.start), _micros(relation.end)
        kept = [
            str(file.path)
            for file in files
            if holds_any(file, series_ids=relation.series_ids, start_us=start_us, end_us=end_us)
        ]
        return RelationPlan(
            name=name,
            files=tuple(kept),
            columns=READING_COLUMNS,
            is_readings=True,
            series_ids=relation.series_ids,
            start_us=start_us,
            end_us=end_us,
        )

    def _plan_table(self, name: str, relation: TableRelation) -> RelationPlan:
        from gongshu.lake.columns import engine_type

        table = self._require_table(relation.table)
        files = self._warehouse().files(table, relation.snapshot_id)
        schema = table.schema()
        if relation.snapshot_id is not None:
            snapshot = table.snapshot_by_id(relation.snapshot_id)
            if snapshot is not None and snapshot.schema_id is not None:
                schema = table.schemas()[snapshot.schema_id]
        return RelationPlan(
            name=name,
            files=tuple(str(file.path) for file in files),
            columns=tuple((field.field_id, field.name, engine_type(field.field_type)) for field in schema.fields),
        )

    def _ask(self, request: Mapping[str, Any], budget: TimeBudget) -> QueryResult | None:
        """Return the result, or None if the plan was stale."""
        worker = self._pool.lend(budget)
        try:
            frames = worker.ask(request, budget=budget)
            kind, frame = next(frames)
        except BaseException as cause:
            self._pool.take_back(worker, usable=False)
            # A worker that died while it waited for work is no fault of this query: a new one is asked, once.
            if isinstance(cause, QueryWorkerLost) and worker.served:
                return self._ask(request, budget)
            raise
        if kind is Kind.SCHEMA:
            return QueryResult(frames, pa.ipc.read_schema(pa.py_buffer(frame)), worker, self._pool)
        self._pool.take_back(worker, usable=kind is not Kind.ERROR or is_sound_after(frame))
        if kind is Kind.ERROR:
            raise_worker_error(frame)
        return None


def _as_json(plan: RelationPlan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in RelationPlan.__slots__}


def _plan_sealed(name: str, relation: SealedRows) -> RelationPlan:
    """Keys travel over the worker's standard input, which no other process can read."""
    sealed = tuple((str(file.path), b64encode(file.key).decode("ascii"), file.bound_to) for file in relation.files)
    schema = b64encode(relation.schema.serialize().to_pybytes()).decode("ascii")
    return RelationPlan(name=name, files=(), columns=(), sealed=sealed, sealed_schema=schema)


def _newest_files(files: "Sequence[StoredFile]") -> list[tuple[str, int]]:
    """Return (path, greatest time in it) of the newest days' files, the newest first."""
    days = sorted({file.day for file in files if file.day is not None}, reverse=True)[:NEWEST_DAYS]
    of_days = [(str(file.path), file.time_range_us[1]) for file in files if file.day in days and file.time_range_us]
    return sorted(of_days, key=lambda entry: entry[1], reverse=True)


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    assert moment.tzinfo is not None, "times are aware UTC"
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
