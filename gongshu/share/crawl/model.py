"""The values of crawling: entries, pages, a pass under way, and its bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gongshu.model.ids import PartyId


@dataclass(frozen=True, slots=True)
class Entry:
    """One dataset as a party describes it to us."""

    dataset_id: str
    title: str
    description: str
    document: Mapping[str, Any]
    """Formats and offers, as plain JSON."""
    digest: str
    """SHA-256 over all of it: equal digests, equal entries."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a catalogue."""

    entries: tuple[Entry, ...]
    next_page: str
    """Where the next one is; empty on the last."""
    size_bytes: int
    is_exact: bool
    """The source said which page this is, and pages by key: an entry that stood all the time cannot be missed."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One reading of a whole catalogue, under way."""

    began_at: datetime
    stamp: str
    """The source's version stamp before the first page; empty where it has none."""
    next_page: str = ""
    """The page to be read next; empty before the first."""
    pages: int = 0
    size_bytes: int = 0
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one pass may cost, and how polite it is. Figures chosen by us."""

    pages_max: int = 4000
    """Twice the pages of a catalogue of 100,000 datasets."""
    size_bytes_max: int = 1024**3
    pass_max: timedelta = timedelta(hours=1)
    """An older pass begins anew: what it read first may be long out of date."""
    parallel_max: int = 4
    """Parties that are read at the same time; one party always gets one request at a time."""
    pause_s: float = 0.02
    """Between two pages of one party."""
    tries_max: int = 3
    """Attempts at one page within one run."""
    lease: timedelta = timedelta(minutes=2)
    """How long a run may be silent before another may take over; above the time of one request."""


@dataclass(frozen=True, slots=True)
class Crawl:
    """A party whose catalogue is followed."""

    party: PartyId
    interval_s: int
    entries: int
    """How many stand in the index."""
    stamp: str
    completed_at: datetime | None
    """When the last complete pass ended: the index shows that state."""
    checked_at: datetime | None
    """When the source last answered that nothing changed, or was read."""
    next_at: datetime
    failures: int
    last_error: str
    is_running: bool
    pass_pages: int
    """Pages read of the pass under way."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run over one party did."""

    party: PartyId
    changed: bool
    """False where the stamp said that nothing changed."""
    added: int = 0
    updated: int = 0
    removed: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """One hit of a search."""

    party: PartyId
    dataset_id: str
    title: str
    description: str
    offers: int
    score: float
    is_own: bool
