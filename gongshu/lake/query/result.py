"""Rows on their way from a worker to whoever asked."""

import json
from collections.abc import Iterator
from types import TracebackType

import pyarrow as pa

from gongshu.lake.query.client import Worker, WorkerPool, is_sound_after, raise_worker_error
from gongshu.lake.query.frames import Kind


class QueryResult:
    """A stream of Arrow batches; it keeps a worker busy until it is read to the end or closed."""

    def __init__(
        self, frames: Iterator[tuple[Kind, memoryview]], schema: pa.Schema, worker: Worker, pool: WorkerPool
    ) -> None:
        self.schema = schema
        self.truncated = False
        """True once the end was reached and `rows_max` had cut rows off."""
        self._frames = frames
        self._worker: Worker | None = worker
        self._pool = pool

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker that computes the rows; None once all are read."""
        return None if self._worker is None else self._worker.pid

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they are computed; each batch once, also over several calls.

        Raises: QueryTimeout, QueryWorkerLost, QueryMemoryExceeded, QueryInvalid, at any batch.
        """
        while self._worker is not None:
            try:
                kind, frame = next(self._frames)
                if kind is Kind.ERROR:
                    self._finish(usable=is_sound_after(frame))
                    raise_worker_error(frame)
            except BaseException:
                self._finish(usable=False)
                raise
            if kind is Kind.DONE:
                self.truncated = bool(json.loads(bytes(frame))["truncated"])
                self._finish(usable=True)
                return
            yield pa.ipc.read_record_batch(pa.py_buffer(frame), self.schema)

    def read_all(self) -> pa.Table:
        """Return all rows that were not yet read, as one table.

        Cost: holds them in memory.
        """
        with self:
            return pa.Table.from_batches(self.batches(), schema=self.schema)

    def close(self) -> None:
        """Stop reading; closing twice is fine. A worker in the middle of a query is ended, the next starts fresh."""
        self._finish(usable=False)

    def __enter__(self) -> "QueryResult":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._finish(usable=False)

    def _finish(self, *, usable: bool) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            self._pool.take_back(worker, usable=usable)
