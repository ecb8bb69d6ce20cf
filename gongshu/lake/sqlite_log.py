"""The durable log on SQLite: one row a batch, WAL, an fsync at every commit, any number of processes.

Offsets are AUTOINCREMENT ids given inside the write transaction, so their order is the order of commits: a reader that
saw offset n has seen everything below it. See docs/decisions/0003-log-on-sqlite.md.
"""

import sqlite3
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gongshu.lake.errors import LogBusy, LogDamaged, LogFull, LogUnwritable
from gongshu.lake.model import DamagedEntry, LogEntry, TailRead

PAGE_BYTES = 4_096
CHECKPOINT_PAGES = 1_024
"""4 MB: the WAL is folded into the file after this much, not more often."""
SEQUENCES_KEPT = 10_000
"""So many (producer, sequence) pairs of one producer stay known after their payload is trimmed."""
TRIM_ENTRIES = 64
"""Entries forgotten in one transaction, so that appends never wait long."""
FREE_PAGES_KEPT = 65_536
"""256 MB of free pages are kept for reuse; what an outage left beyond that goes back to the disk."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY CHECK (id = 1), log_id TEXT NOT NULL, trimmed_to INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    offset INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, checksum INTEGER NOT NULL,
    producer TEXT NOT NULL, sequence INTEGER, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS stored (
    producer TEXT NOT NULL, sequence INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (producer, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_aside (
    offset INTEGER PRIMARY KEY, rows INTEGER NOT NULL, producer TEXT NOT NULL, sequence INTEGER,
    reason TEXT NOT NULL, payload BLOB NOT NULL);
"""


class SqliteLog:
    """A `Log` in one SQLite file. Threads may share it: one connection appends, another reads."""

    def __init__(
        self, file: Path, *, size_max_bytes: int | None = None, busy_timeout_s: float = 30.0, read_only: bool = False
    ) -> None:
        """Open the log, making it if it is not there; `size_max_bytes` bounds the file, beyond it appends raise."""
        self._file = file
        self._busy_timeout_s = busy_timeout_s
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        with self._translated(size_bytes=0):
            self._writing = None if read_only else self._connect(size_max_bytes)
            self._reading = self._connect(None, read_only=True)
            self._log_id: str = self._reading.execute("SELECT log_id FROM log").fetchone()[0]

    @property
    def log_id(self) -> str:
        """Identity of this log file, made when the file was."""
        return self._log_id

    def append(self, payload: bytes, *, rows: int, producer: str = "", sequence: int | None = None) -> int:
        """Store one batch with an fsync; see `Log.append`."""
        checksum = _checksum(payload, rows)
        with self._write_lock, self._translated(size_bytes=len(payload)), self._transaction() as connection:
            if sequence is not None:
                first = self._first_offset(connection, producer, sequence)
                if first is not None:
                    return first
            cursor = connection.execute(
                "INSERT INTO entry (rows, checksum, producer, sequence, payload) VALUES (?, ?, ?, ?, ?)",
                (rows, checksum, producer, sequence, payload),
            )
            offset = cursor.lastrowid
            assert offset is not None
            if sequence is not None:
                connection.execute("INSERT INTO stored VALUES (?, ?, ?)", (producer, sequence, offset))
        return offset

    def read(self, *, after: int, rows_max: int | None = None, up_to: int | None = None) -> TailRead:
        """Return the entries after an offset; see `Log.read`."""
        entries: list[LogEntry] = []
        damaged: list[DamagedEntry] = []
        rows_read = 0
        with self._reader() as connection:
            connection.execute("BEGIN")
            try:
                trimmed_to = connection.execute("SELECT trimmed_to FROM log").fetchone()[0]
                cursor = connection.execute(
                    "SELECT offset, rows, checksum, producer, sequence, payload FROM entry"
                    " WHERE offset > ? AND offset <= ? ORDER BY offset",
                    (after, up_to if up_to is not None else 2**62),
                )
                for offset, rows, checksum, producer, sequence, payload in cursor:
                    if _checksum(payload, rows) != checksum:
                        damaged.append(DamagedEntry(offset, rows, producer))
                        continue
                    entries.append(LogEntry(offset, rows, producer, sequence, payload))
                    rows_read += rows
                    if rows_max is not None and rows_read >= rows_max:
                        break
            finally:
                connection.execute("ROLLBACK")
        return TailRead(entries=entries, damaged=damaged, trimmed_to=trimmed_to)

    def end(self) -> int:
        """Return the newest offset ever given; 0 while there is none."""
        with self._reader() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
        return int(row[0]) if row else 0

    def pending(self, *, after: int) -> tuple[int, int]:
        """Return how many (entries, rows) wait after an offset."""
        with self._reader() as connection:
            row = connection.execute("SELECT count(*), coalesce(sum(rows), 0) FROM entry WHERE offset > ?", (after,))
            entries, rows = row.fetchone()
        return int(entries), int(rows)

    def trimmed_to(self) -> int:
        """Return the offset up to which entries have left the log."""
        with self._reader() as connection:
            return int(connection.execute("SELECT trimmed_to FROM log").fetchone()[0])

    def last_sequence(self, producer: str) -> int | None:
        """Return the greatest sequence stored for a producer, trimmed or not."""
        with self._reader() as connection:
            row = connection.execute("SELECT max(sequence) FROM stored WHERE producer = ?", (producer,)).fetchone()
        return None if row[0] is None else int(row[0])

    def trim(self, *, up_to: int) -> int:
        """Forget entries up to an offset, a few at a time, and give unused space back."""
        removed = 0
        while True:
            with self._write_lock, self._translated(size_bytes=0), self._transaction() as connection:
                gone = [
                    row[0]
                    for row in connection.execute(
                        "DELETE FROM entry WHERE offset IN"
                        " (SELECT offset FROM entry WHERE offset <= ? ORDER BY offset LIMIT ?) RETURNING offset",
                        (up_to, TRIM_ENTRIES),
                    )
                ]
                # The mark moves with the entries: a reader can never miss an entry without seeing the mark pass it.
                mark = max(gone) if len(gone) == TRIM_ENTRIES else up_to
                connection.execute("UPDATE log SET trimmed_to = max(trimmed_to, ?)", (mark,))
            removed += len(gone)
            if len(gone) < TRIM_ENTRIES:
                break
        if removed:
            self._forget_old_sequences()
            self._give_back_space()
        return removed

    def set_aside(self, offset: int, *, reason: str) -> None:
        """Move one damaged entry to the table `set_aside`, bytes and all."""
        with self._write_lock, self._translated(size_bytes=0), self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO set_aside SELECT offset, rows, producer, sequence, ?, payload"
                " FROM entry WHERE offset = ?",
                (reason, offset),
            )
            # Its sequence is forgotten too: the source may send the batch again.
            connection.execute("DELETE FROM stored WHERE offset = ?", (offset,))
            connection.execute("DELETE FROM entry WHERE offset = ?", (offset,))

    def set_aside_count(self) -> int:
        """Return how many entries were set aside."""
        with self._reader() as connection:
            return int(connection.execute("SELECT count(*) FROM set_aside").fetchone()[0])

    def close(self) -> None:
        """Close both connections; closing twice is fine."""
        for connection in (self._reading, self._writing):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _connect(self, size_max_bytes: int | None, *, read_only: bool = False) -> sqlite3.Connection:
        if not read_only:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._file, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            if read_only:
                connection.execute("PRAGMA query_only=ON")
                return connection
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={2 * CHECKPOINT_PAGES * PAGE_BYTES}")
            connection.execute("PRAGMA cache_size=-4096")
            # Some systems build SQLite to overwrite what is deleted; the same readings are in the table.
            connection.execute("PRAGMA secure_delete=OFF")
            if size_max_bytes is not None:
                connection.execute(f"PRAGMA max_page_count={max(size_max_bytes // PAGE_BYTES, 16)}")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.strip().split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO log VALUES (1, ?, 0)", (uuid.uuid4().hex,))
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        assert self._writing is not None, "this log was opened for reading only"
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            yield self._writing
            self._writing.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back by itself when the disk was full.
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            raise

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, self._translated(size_bytes=0):
            yield self._reading

    def _first_offset(self, connection: sqlite3.Connection, producer: str, sequence: int) -> int | None:
        row = connection.execute(
            "SELECT offset FROM stored WHERE producer = ? AND sequence = ?", (producer, sequence)
        ).fetchone()
        if row:
            return int(row[0])
        newest = connection.execute("SELECT max(sequence) FROM stored WHERE producer = ?", (producer,)).fetchone()[0]
        if newest is not None and sequence < newest - SEQUENCES_KEPT:
            return int(connection.execute("SELECT trimmed_to FROM log").fetchone()[0])
        return None

    def _forget_old_sequences(self) -> None:
        with self._write_lock, self._translated(size_bytes=0), self._transaction() as connection:
            newest = connection.execute("SELECT producer, max(sequence) FROM stored GROUP BY producer").fetchall()
            for producer, sequence in newest:
                connection.execute(
                    "DELETE FROM stored WHERE producer = ? AND sequence < ? AND offset <= (SELECT trimmed_to FROM log)",
                    (producer, sequence - SEQUENCES_KEPT),
                )

    def _give_back_space(self) -> None:
        with self._write_lock, self._translated(size_bytes=0):
            assert self._writing is not None
            free = self._writing.execute("PRAGMA freelist_count").fetchone()[0]
            if free > FREE_PAGES_KEPT:
                self._writing.execute(f"PRAGMA incremental_vacuum({free - FREE_PAGES_KEPT})").fetchall()

    @contextmanager
    def _translated(self, *, size_bytes: int) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as cause:
            primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
            if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise LogDamaged(file=self._file, reason=cause) from cause
            if primary == sqlite3.SQLITE_FULL:
                raise LogFull(file=self._file, size_bytes=size_bytes, reason=cause) from cause
            if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise LogBusy(file=self._file, waited_s=self._busy_timeout_s) from cause
            raise LogUnwritable(file=self._file, reason=cause) from cause


def _checksum(payload: bytes, rows: int) -> int:
    return zlib.crc32(payload, rows & 0xFFFFFFFF)
