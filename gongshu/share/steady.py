"""The time by which contracts are judged: it never goes back, also over restarts, whatever happens to the clock.

Set a clock back by an hour, and a contract that ended stays ended. Only judgements use this time; leases, retries and
tokens use the clock itself, which would otherwise stand still with it. See decision 0067.
"""

import threading
from datetime import datetime, timedelta

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.share.ports import Clock
from gongshu.share.rights import DEALERS, require_right
from gongshu.share.tables import share_high_time

KEEP_EVERY = timedelta(seconds=10)
"""So much of the highest time may be forgotten by a kill."""
_ONE = 1
_H = share_high_time.c


class SteadyClock:
    """The highest time seen by this node. Threads may share it."""

    def __init__(self, database: Database, clock: Clock, audit: AuditSink) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._lock = threading.Lock()
        self._highest: datetime | None = None
        self._kept: datetime | None = None

    def __call__(self) -> datetime:
        """Return the time now, or the highest seen if that is later."""
        now = self._clock()
        with self._lock:
            if self._highest is None:
                self._highest = self._kept = self._read()
            if self._highest is None or now > self._highest:
                self._highest = now
            return self._highest

    def keep(self) -> None:
        """Write the highest time down if it has moved on; called every few seconds, outside of transactions."""
        highest = self()
        with self._lock:
            if self._kept is not None and highest - self._kept < KEEP_EVERY:
                return
            self._kept = highest
        with self._database.begin() as connection:
            known = connection.execute(sa.select(_H.at).where(_H.id == _ONE).with_for_update()).scalar()
            if known is None:
                connection.execute(sa.insert(share_high_time).values(id=_ONE, at=highest))
            elif known < highest:
                connection.execute(sa.update(share_high_time).where(_H.id == _ONE).values(at=highest))
        if known is not None and known > highest:  # another process of the node has seen more
            with self._lock:
                self._highest = self._kept = max(known, self._highest or known)

    def ahead(self) -> timedelta:
        """Return how far the highest time lies before the clock's: more than zero after a clock was set back."""
        return max(timedelta(), self() - self._clock())

    def reset(self, actor: Subject) -> timedelta:
        """Judge by the clock again, after it ran ahead by mistake; return by how much. Raises: NotAllowed."""
        require_right(actor, DEALERS, "reset the time of contracts")
        by, now = self.ahead(), self._clock()
        with self._database.begin() as connection:
            connection.execute(sa.delete(share_high_time))
            details: dict[str, str | int | float | bool | list[str] | None] = {"by_s": by.total_seconds()}
            self._audit.write(AuditEvent(now, actor.subject_id, "share.time_reset", "contracts", "ok", details))
        with self._lock:
            self._highest = self._kept = None
        return by

    def _read(self) -> datetime | None:
        with self._database.connect() as connection:
            found: datetime | None = connection.execute(sa.select(_H.at).where(_H.id == _ONE)).scalar()
        return found
