"""What the lake takes and gives: relations to query, reports of what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gongshu.model.sealed import SealedRows

READINGS_TABLE = "readings"
"""The one table of all readings; written by the writer alone."""


@dataclass(frozen=True, slots=True)
class ReadingsRelation:
    """Readings of some series in a half-open span [start, end) of `time`; None leaves that side open.

    Columns are those of `READING_SCHEMA`. An empty tuple of series gives no rows; None gives all series.
    """

    series_ids: tuple[int, ...] | None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class TableRelation:
    """A table as it is now, or as it was at a snapshot."""

    table: str
    snapshot_id: int | None = None


Relation = ReadingsRelation | TableRelation | SealedRows


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One appended batch as the log holds it."""

    offset: int
    """Grows in the order of appending; gaps are possible, repeats are not."""
    rows: int
    producer: str
    sequence: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class DamagedEntry:
    """A batch whose bytes are not what was written, with what the log still says about it."""

    offset: int
    rows: int
    producer: str


@dataclass(frozen=True, slots=True)
class TailRead:
    """Entries of the log after an offset, read at one moment."""

    entries: Sequence[LogEntry]
    damaged: Sequence[DamagedEntry]
    trimmed_to: int
    """Every entry up to here has left the log; a reader that asked from before it must begin again."""


@dataclass(frozen=True, slots=True)
class CommitReport:
    """What one step of the writer put into the table."""

    snapshot_id: int
    rows: int
    files: int
    size_bytes: int
    first_offset: int
    last_offset: int
    set_aside: int
    """Damaged batches that were left out and kept apart."""
    took_s: float


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What one round of upkeep did."""

    days_compacted: int
    files_before: int
    files_after: int
    snapshots_expired: int
    orphans_removed: int


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """The lake at one moment."""

    log_end: int
    """Offset of the newest batch; 0 while nothing was ever appended."""
    committed_offset: int
    pending_rows: int
    """Acknowledged readings that wait in the log for the writer."""
    rows_total: int
    """Acknowledged readings in all: those in the table and those that wait."""
    files: int
    size_bytes: int
    """Of the readings' Parquet files."""
    last_commit_at: datetime | None
    set_aside: int
    """Damaged batches that were kept apart."""
