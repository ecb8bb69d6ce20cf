"""The time by which received data are destroyed. It runs with the machine; a clock that jumps has to be believed first.

A contract that is over closes at once, by the clock. Destroying is for good, so it waits where the clock stands further
on than the machine has run: until partners' clocks agree, a person confirms it, or a week is over in which not all of
them contradicted. All the while this time runs on, so data are never kept longer than their contract by holding it.
See decision 0095.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.share.keeping.tables import counted_time
from gongshu.share.ports import Clock
from gongshu.share.steady import SteadyClock

_logger = logging.getLogger(__name__)

JUMP = timedelta(hours=1)
"""A clock may go on by so much more than the machine has run. Ours: over any correction, under a wrong time zone."""
HOLD_MAX = timedelta(days=7)
"""So long a jump waits for somebody to say that it is wrong; the machine has to run for it. Ours: over a holiday."""
HEARD_FOR_S, ASK_EVERY_S = 3600.0, 60.0
KEEP_EVERY, KEEP_HELD_EVERY = timedelta(minutes=1), timedelta(seconds=10)
"""So much of the counted time may be forgotten by a kill; it then is time in which the machine did not run. While the
clock is not believed nothing else goes on, so less: a process that is started again each minute counts on too."""
STEADY, CONFIRMED = "the clock went on with the machine", "a person confirmed the clock"
_ONE = 1
_T = counted_time.c
Ticks = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Counted:
    """A moment, and how it came about."""

    at: datetime
    held_since: datetime | None = None
    """The counted time at which a jump of the clock was seen that is not believed yet."""
    basis: str = STEADY
    """Why it is believed, in the words of a deletion proof."""


def count_on(
    counted: Counted, passed: timedelta, claimed: datetime, said: Iterable[datetime], *, is_shown: bool = True
) -> Counted:
    """Return the counted time after the machine has run for a while. Pure.

    `claimed` is the latest time that the clock has shown, `is_shown` whether it shows that now, `said` what partners'
    clocks show now.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> count_on(Counted(noon), timedelta(hours=1), noon + timedelta(days=400), ()).at.hour
    13
    >>> count_on(Counted(noon), timedelta(0), noon + timedelta(days=2), [noon + timedelta(days=2)]).at.day
    3
    """
    expected = counted.at + passed
    if claimed <= expected + JUMP:
        return replace(counted, at=max(claimed, expected), held_since=None)
    words = [abs(claimed - each) <= JUMP for each in said]
    since = counted.held_since or expected
    if words and all(words):
        return Counted(claimed, None, "the clock jumped, and a partner's clock agrees with it")
    if is_shown and (any(words) or not words) and expected - since >= HOLD_MAX:
        how = "some partners' clocks agree with it, not all" if words else "nobody said otherwise"
        return Counted(claimed, None, f"the clock jumped, and {how} for {HOLD_MAX.days} days")
    return replace(counted, at=expected, held_since=since)


def boot_ticks() -> float:
    """Return the seconds for which the machine has been on, asleep too where the system tells."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class CountedClock:
    """The counted time of one node. Threads and processes may share it."""

    def __init__(
        self, database: Database, clock: Clock, steady: SteadyClock, audit: AuditSink, ticks: Ticks = boot_ticks
    ) -> None:
        self._database = database
        self._clock = clock
        self._steady = steady
        self._audit = audit
        self._ticks = ticks
        self._lock = threading.Lock()
        self._from: tuple[Counted, float] | None = None
        """What stood written when, by the machine's ticks, this process saw or wrote it first."""
        self._heard: dict[PartyId, tuple[datetime, float]] = {}
        self._asked_s: float | None = None

    def hear(self, party: PartyId, date: str) -> None:
        """Take note of the `Date` of a partner's answer; what is no date is none."""
        try:
            said = parsedate_to_datetime(date)
        except (TypeError, ValueError, OverflowError):
            return
        if said.tzinfo is not None:
            with self._lock:
                self._heard[party] = (said.astimezone(UTC), self._ticks())

    def look(self, begun: datetime | None) -> Counted:
        """Count on and return where it stands.

        `begun` is when this node came to hold the newest of what it holds: the clock was right then, because a partner
        took its word. None means that it holds nothing; there is nothing to count for then.
        """
        with self._lock:
            row, ticks, wall, claimed = self._read(), self._ticks(), self._clock(), self._steady()
            if begun is None:
                self._from = None
                if row is not None:
                    with self._database.begin() as connection:
                        connection.execute(sa.delete(counted_time))
                return Counted(wall)
            last = row or Counted(begun)
            if self._from is None or self._from[0] != last:  # a start, another process, or a person who confirmed
                self._from = (last, ticks)
            passed = timedelta(seconds=max(0.0, ticks - self._from[1]))
            counted = count_on(last, passed, claimed, self._said(ticks), is_shown=claimed - wall <= JUMP)
            every = KEEP_EVERY if counted.held_since is None else KEEP_HELD_EVERY
            is_due = row is None or counted.at - row.at >= every
            if is_due or (last.held_since, last.basis) != (counted.held_since, counted.basis):
                self._write(row, counted, wall)
                self._from = (counted, ticks)
            return counted

    def may_ask(self) -> bool:
        """Return whether partners may be asked for their time: once in a minute."""
        with self._lock:
            ticks = self._ticks()
            is_time = self._asked_s is None or ticks - self._asked_s >= ASK_EVERY_S
            self._asked_s = ticks if is_time else self._asked_s
            return is_time

    def behind(self) -> timedelta:
        """Return how far the clock stands before what was counted: over zero after it was set back."""
        row = self._read()
        return timedelta() if row is None else max(timedelta(), row.at - self._clock())

    def instead(self) -> datetime | None:
        """Return the time that was counted last while the clock is not believed, else None. Reads what is written."""
        row = self._read()
        return None if row is None or row.held_since is None else row.at

    def confirm(self, connection: sa.Connection) -> None:
        """Believe the clock, because a person says that it is right; the caller asks who may, and records it."""
        values = {"at": self._clock(), "held_since": None, "basis": CONFIRMED}
        connection.execute(sa.update(counted_time).values(**values))

    def _said(self, ticks: float) -> list[datetime]:
        fresh = [(at, ticks - since) for at, since in self._heard.values() if 0.0 <= ticks - since <= HEARD_FOR_S]
        return [at + timedelta(seconds=age) for at, age in fresh]

    def _read(self) -> Counted | None:
        with self._database.connect() as connection:
            row = connection.execute(sa.select(_T.at, _T.held_since, _T.basis).where(_T.id == _ONE)).first()
        return None if row is None else Counted(row.at, row.held_since, row.basis)

    def _write(self, row: Counted | None, counted: Counted, wall: datetime) -> None:
        """Write down how far it has come, unless another process has written meanwhile."""
        values = {"at": counted.at, "held_since": counted.held_since, "basis": counted.basis}
        with self._database.begin() as connection:
            if row is None:
                if connection.execute(sa.select(_T.id)).first() is not None:
                    return
                connection.execute(sa.insert(counted_time).values(id=_ONE, **values))
            else:
                change = sa.update(counted_time).where(_T.id == _ONE, _T.at == row.at, _T.basis == row.basis)
                if connection.execute(change.values(**values)).rowcount != 1:
                    return
            was_held, is_held = row is not None and row.held_since is not None, counted.held_since is not None
            if was_held != is_held:
                action = "share.time_held" if is_held else "share.time_believed"
                details = {"clock": wall.isoformat(), "counted": counted.at.isoformat(), "because": counted.basis}
                self._audit.write(AuditEvent(wall, "system:share", action, "received data", "ok", dict(details)))
        if is_held and not was_held:
            _logger.error(
                "the clock shows %s, but this machine counts %s: received data are closed by the clock, and destroyed "
                "only once it is believed; put it right, or say that it is: gongshu share time --reset",
                f"{wall:%Y-%m-%dT%H:%M:%SZ}",
                f"{counted.at:%Y-%m-%dT%H:%M:%SZ}",
            )
