"""The decisions of crawling, pure: what a page means, what has vanished, when to come again, who may begin."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gongshu.share.crawl.model import Bounds, Page, Pass

INTERVAL_LEAST_S, INTERVAL_MOST_S = 10, 86_400
WAIT_MAX = timedelta(days=1)
"""Nothing is planned further ahead, so a later moment in the table means that the clock was set back."""
MISSES_MAX = 5
"""Complete passes in a row that must lack an entry before it is gone, where nothing better proves it. Chosen by us."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """The page counts; there is another."""

    current: Pass


@dataclass(frozen=True, slots=True)
class Complete:
    """The page counts and is the last."""

    current: Pass


@dataclass(frozen=True, slots=True)
class Broken:
    """The pass cannot come to its end; nothing of it is taken over."""

    reason: str


def judge_page(current: Pass, page: Page, visited: Collection[str], bounds: Bounds) -> GoOn | Complete | Broken:
    """Return what a page means for the pass; `visited` are the addresses read before, without the current one."""
    after = replace(
        current,
        pages=current.pages + 1,
        size_bytes=current.size_bytes + page.size_bytes,
        is_exact=current.is_exact and page.is_exact,
        next_page=page.next_page,
    )
    if after.size_bytes > bounds.size_bytes_max:
        return Broken(f"it is over {bounds.size_bytes_max} bytes")
    if not page.next_page:
        return Complete(after)
    if page.next_page == current.next_page or page.next_page in visited:
        return Broken("its next page is one that was read before")
    if after.pages >= bounds.pages_max:
        return Broken(f"it has more than {bounds.pages_max} pages")
    return GoOn(after)


def is_stale(current: Pass, now: datetime, bounds: Bounds) -> bool:
    """True if a pass is too old to go on, or seems to come from the future because the clock was set back."""
    return not timedelta(0) <= now - current.began_at <= bounds.pass_max


def decide_absences(missed: Mapping[str, int], *, is_proof: bool) -> tuple[list[str], list[str]]:
    """Return (gone, still waiting) of the entries that a complete pass lacked, with how often each was lacking before.

    A pass is a proof if its pages were exact, or if it saw the very ids of the pass before: where pages are counted
    off, an entry that is deleted in between shifts another one out of sight, but then the two passes differ.

    >>> decide_absences({"a": 0, "b": 4}, is_proof=False)
    (['b'], ['a'])
    """
    gone = [key for key, times in missed.items() if is_proof or times + 1 >= MISSES_MAX]
    return gone, [key for key in missed if key not in set(gone)]


def plan_next(now: datetime, interval_s: int, *, failures: int = 0, wait_s: float = 0.0) -> datetime:
    """Return when to come again: after the interval, doubled for each failure in a row, never before `wait_s`.

    >>> (plan_next(datetime(2026, 1, 1), 60, failures=2) - datetime(2026, 1, 1)).total_seconds()
    240.0
    """
    pause_s = max(interval_s * 2.0 ** min(failures, 16), wait_s)
    return now + min(timedelta(seconds=pause_s), WAIT_MAX)


def is_due(next_at: datetime, now: datetime) -> bool:
    """True if the moment has come, or lies so far ahead that the clock must have been set back since it was planned."""
    return not now < next_at <= now + WAIT_MAX


def is_free(lease_until: datetime | None, now: datetime, bounds: Bounds) -> bool:
    """True if no run holds the party: none began, it went silent, or its lease is longer than any lease ever given."""
    return lease_until is None or not now < lease_until <= now + bounds.lease
