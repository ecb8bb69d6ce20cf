"""What the lake needs from outside: a durable log. A log keeps opaque bytes and must not know what a reading is."""

from typing import Protocol

from gongshu.lake.model import TailRead


class Log(Protocol):
    """An append-only log that several processes share. `gongshu.testing.log_contract` states it as tests."""

    @property
    def log_id(self) -> str:
        """Identity of this log; offsets of two logs are not comparable."""

    def append(self, payload: bytes, *, rows: int, producer: str = "", sequence: int | None = None) -> int:
        """Store one batch so that it survives a power cut; return its offset.

        A (producer, sequence) that was stored before stores nothing and returns the first offset, or where the log
        was trimmed to if the entry is gone. Sequences may come with gaps and out of order, but not more than 10,000
        behind the newest: older ones count as stored.
        Raises: LogFull, LogUnwritable, LogBusy, LogDamaged. Nothing was stored then.
        """

    def read(self, *, after: int, rows_max: int | None = None, up_to: int | None = None) -> TailRead:
        """Return the entries after an offset, oldest first, all of one moment; stops once rows_max is reached.

        At least one entry is returned if there is one. Damaged entries are named, not returned.
        """

    def end(self) -> int:
        """Return the offset of the newest entry ever appended; 0 while there is none."""

    def pending(self, *, after: int) -> tuple[int, int]:
        """Return how many (entries, rows) wait after an offset."""

    def last_sequence(self, producer: str) -> int | None:
        """Return the greatest sequence stored for a producer, trimmed or not."""

    def trim(self, *, up_to: int) -> int:
        """Forget the payloads up to an offset; return how many entries went."""

    def set_aside(self, offset: int, *, reason: str) -> None:
        """Move one damaged entry out of the way and keep its bytes; it is not read again."""

    def set_aside_count(self) -> int:
        """Return how many entries were set aside."""

    def close(self) -> None:
        """Release the log; closing twice is fine."""
