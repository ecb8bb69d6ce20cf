"""The log's tail as Arrow, decoded once an entry: the worker's memory of what no file holds yet."""

import pyarrow as pa

from gongshu.lake.codec import decode_readings
from gongshu.lake.model import LogEntry
from gongshu.lake.ports import Log
from gongshu.model.reading import READING_SCHEMA


class TailStale(Exception):
    """Entries that were asked for have left the log; whoever planned must plan again. Never shown to a person."""


class TailCache:
    """Decoded entries (first, last], continued from the log when more is asked for.

    Cost: holds the readings that wait for the writer in memory, about 40 bytes each.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._after = 0
        self._last = 0
        self._tables: list[tuple[int, pa.Table]] = []

    def read(self, *, after: int, up_to: int, new_after: int = 0) -> pa.Table:
        """Return the readings of the entries in (after, up_to], of those beyond `new_after` alone if that is greater.

        Raises: TailStale if some of them were trimmed and are not remembered.
        """
        if not self._tables or after < self._after or after > self._last:
            self._tables, self._after, self._last = [], after, after
        if up_to > self._last:
            tail = self._log.read(after=self._last, up_to=up_to)
            if tail.trimmed_to > self._last:
                self._tables, self._after, self._last = [], 0, 0
                raise TailStale
            self._tables += [(entry.offset, table) for entry in tail.entries if (table := _decoded(entry)) is not None]
            self._last = up_to
        self._tables = [(offset, table) for offset, table in self._tables if offset > after]
        self._after = after
        wanted = [table for offset, table in self._tables if new_after < offset <= up_to]
        return pa.concat_tables(wanted) if wanted else READING_SCHEMA.empty_table()


def _decoded(entry: LogEntry) -> pa.Table | None:
    try:
        return decode_readings(entry.payload)
    except pa.ArrowException:
        return None  # the writer sets it aside and says so
