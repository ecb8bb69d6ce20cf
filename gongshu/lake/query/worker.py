"""The query worker: a process that the node starts, for one query at a time.

Requests come on standard input, results go to standard output; it ends when the node does. It reads the log and the
warehouse's files, and writes nothing but its temporary files.
"""

import json
import os
import resource
import select
import shutil
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from gongshu.errors import GongshuError
from gongshu.garbage import search_rarely
from gongshu.lake.memory import release_memory, without_pandas
from gongshu.lake.query.engine import (
    columns_of,
    locked_engine,
    open_engine,
    require_contained,
    reserved_names,
    translated,
)
from gongshu.lake.query.frames import HEADER, Kind, header, parse_header
from gongshu.lake.query.newest import NewestCache
from gongshu.lake.query.plan import RelationPlan
from gongshu.lake.query.tail import TailCache, TailStale
from gongshu.lake.sqlite_log import SqliteLog

BATCH_ROWS = 65_536
HEADROOM_MB = 640
"""What the process may take beyond the engine's own bound: libraries, the log's tail, results on their way."""


class _Worker:
    def __init__(self, out: BinaryIO, *, log_file: Path, memory_mb: int, temp: Path) -> None:
        self._out = out
        self._memory_mb = memory_mb
        self._temp = temp
        self._threads = max(1, min(os.cpu_count() or 1, 8))
        self._tail = TailCache(SqliteLog(log_file, read_only=True))
        self._newest = NewestCache(self._tail, lambda: self._open())
        self._spare: duckdb.DuckDBPyConnection | None = self._open()
        self._reserved = reserved_names(self._spare)

    def prepare(self) -> None:
        """Open the database of the next query while nobody waits; it takes longer than many a query."""
        if self._spare is None:
            self._spare = self._open()

    def answer(self, request: dict[str, Any]) -> None:
        """Answer one request with frames; an error is a frame too."""
        try:
            if request["op"] == "newest":
                self._send_table(self._newest.read(request))
            else:
                self._query(request)
        except TailStale:
            self._send(Kind.STALE)
        except duckdb.IOException:
            # A file of the plan is gone: its snapshot expired between planning and reading.
            self._send(Kind.STALE)
        except (GongshuError, duckdb.Error, MemoryError, pa.ArrowException) as cause:
            error = cause if isinstance(cause, GongshuError) else translated(cause, memory_mb=self._memory_mb)
            told = {"error": type(error).__name__, "fields": error.fields}
            self._send(Kind.ERROR, json.dumps(told, default=str).encode())

    def _query(self, request: dict[str, Any]) -> None:
        plans = [
            RelationPlan(**{**row, "files": tuple(row["files"]), "columns": columns_of(row)})
            for row in request["relations"]
        ]
        tail = self._tail.read(after=request["tail"]["after"], up_to=request["tail"]["up_to"])
        fresh, self._spare = self._spare or self._open(), None
        with locked_engine(fresh, plans, tail) as engine:
            require_contained(engine, request["sql"], names=[plan.name for plan in plans], reserved=self._reserved)
            reader = engine.sql(request["sql"], params=request["parameters"] or None).to_arrow_reader(BATCH_ROWS)
            self._send_reader(reader, rows_max=request["rows_max"])

    def _send_reader(self, reader: pa.RecordBatchReader, *, rows_max: int | None) -> None:
        schema = pa.schema([_plain_field(field) for field in reader.schema])
        # The first batch is computed before the schema goes out: most errors come then, and may still mean "stale".
        batch = next(reader, None)
        self._send(Kind.SCHEMA, schema.serialize())
        rows, truncated = 0, False
        while batch is not None:
            if rows_max is not None and rows + batch.num_rows > rows_max:
                batch, truncated = batch.slice(0, rows_max - rows), True
            rows += batch.num_rows
            if batch.num_rows:
                self._send(Kind.BATCH, _plain_batch(batch, schema).serialize())
            batch = None if truncated else next(reader, None)
        self._send(Kind.DONE, json.dumps({"rows": rows, "truncated": truncated}).encode())

    def _send_table(self, table: pa.Table) -> None:
        self._send_reader(table.to_reader(BATCH_ROWS), rows_max=None)

    def _send(self, kind: Kind, payload: Any = b"") -> None:
        self._out.write(header(kind, len(payload)))
        self._out.write(payload)
        self._out.flush()

    def _open(self) -> duckdb.DuckDBPyConnection:
        return open_engine(memory_mb=self._memory_mb, threads=self._threads, temp=self._temp)


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return batch if batch.schema.equals(schema) else batch.cast(schema)


def _end_with_parent() -> None:
    """Leave as soon as the node is gone, even in the middle of a query."""
    poll = select.poll()
    poll.register(0, 0)  # hang-up alone is reported; data are not
    poll.poll()
    os._exit(0)


def main() -> None:
    """Serve requests until standard input closes."""
    search_rarely()
    without_pandas()
    # Whatever prints to standard output must not break the frames.
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    setup = json.loads(sys.argv[1])
    memory_bytes = (setup["memory_mb"] * 5 // 4 + HEADROOM_MB) << 20
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    temp = Path(setup["temp"])
    worker = _Worker(out, log_file=Path(setup["log_file"]), memory_mb=setup["memory_mb"], temp=temp)
    out.write(header(Kind.READY, 0))
    out.flush()
    requests = sys.stdin.buffer
    try:
        while head := requests.read(HEADER.size):
            _, length = parse_header(head)
            worker.answer(json.loads(requests.read(length)))
            release_memory()
            worker.prepare()
    except BrokenPipeError:
        pass
    finally:
        shutil.rmtree(temp, ignore_errors=True)
