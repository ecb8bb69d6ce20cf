"""Rows on their way out, counted; the count is written down when they have left."""

from collections.abc import Callable, Iterator
from types import TracebackType

import pyarrow as pa

from gongshu.errors import GongshuError
from gongshu.lake.query.result import QueryResult
from gongshu.model.access import Decision
from gongshu.secure.errors import Denied


class GateResult:
    """The answer to one read. Read it to the end or close it: then the record `read.finished` is written."""

    def __init__(
        self,
        rows: QueryResult,
        decisions: tuple[Decision, ...],
        audit_index: int,
        *,
        finish: Callable[[int, int, str], None],
        translate: Callable[[GongshuError], GongshuError],
        going_on: Callable[[], None] | None = None,
    ) -> None:
        self.schema: pa.Schema = rows.schema
        self.decisions = decisions
        """One for each dataset of the query."""
        self.audit_index = audit_index
        """The record that was stored before the first row left."""
        self.rows = 0
        self.size_bytes = 0
        """What has left so far."""
        self._source = rows
        self._finish: Callable[[int, int, str], None] | None = finish
        self._translate = translate
        self._going_on = going_on

    @property
    def decision(self) -> Decision:
        """The decision on the first dataset."""
        return self.decisions[0]

    @property
    def truncated(self) -> bool:
        """True once the end was reached and a bound on rows had cut some off."""
        return self._source.truncated

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they are computed; each once.

        Raises: QueryFailed, or the lake's QueryTimeout, QueryMemoryExceeded, QueryWorkerLost, at any batch.
        """
        try:
            for batch in self._source.batches():
                if self._going_on is not None:
                    self._going_on()
                self.rows += batch.num_rows
                self.size_bytes += batch.nbytes
                yield batch
        except Denied:
            self._source.close()
            self._end("stopped")
            raise
        except GongshuError as cause:
            self._end("failed")
            failure = self._translate(cause)
        else:
            self._end("ok")
            return
        raise failure

    def read_all(self) -> pa.Table:
        """Return all rows that were not yet read, as one table, and close.

        Cost: holds them in memory.
        """
        with self:
            return pa.Table.from_batches(self.batches(), schema=self.schema)

    def close(self) -> None:
        """Stop reading and write down what left; closing twice is fine."""
        self._source.close()
        self._end("ok")

    def __enter__(self) -> "GateResult":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, outcome: str) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish(self.rows, self.size_bytes, outcome)
