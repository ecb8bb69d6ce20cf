"""The time by which contracts are judged: it never goes back, also over restarts, whatever happens to the clock.

Set a clock back by an hour, and a contract that ended stays ended. Only judgements use this time; leases, retries and
tokens use the clock itself, which would otherwise stand still with it. See decision 0067.
"""

import threading
import time
from collections.abc import Callable
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
LOOK_S = 1.0
"""How often it is looked what other processes of the node have seen, or a person has set."""
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
        self._looked_s = -LOOK_S

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
        """Write the highest time down if it has moved on, and take over what others have written.

        Called every few seconds and before a reading, outside of transactions.
        """
        highest, looked_s = self(), time.monotonic()
        with self._lock:
            is_new = self._kept is None or highest - self._kept >= KEEP_EVERY
            if not is_new and looked_s - self._looked_s < LOOK_S:
                return
            self._looked_s = looked_s
        known = self._read()
        with self._lock:
            if known is not None and self._kept is not None and known < self._kept:
                self._highest = highest = max(known, self._clock())  # a person has set it right
            elif known is not None and known > highest:
                self._highest = highest = known
            self._kept = known
        if known is None or highest - known >= KEEP_EVERY:
            self._write(known, highest)

    def _write(self, known: datetime | None, highest: datetime) -> None:
        """Write the highest time in the place of the one that was known, unless another process has meanwhile."""
        with self._database.begin() as connection:
            if known is None:
                if connection.execute(sa.select(_H.at)).first() is not None:
                    return
                connection.execute(sa.insert(share_high_time).values(id=_ONE, at=highest))
            elif connection.execute(sa.update(share_high_time).where(_H.at == known).values(at=highest)).rowcount != 1:
                return
        with self._lock:
            self._kept = highest

    def ahead(self) -> timedelta:
        """Return how far the highest time lies before the clock's: more than zero after a clock was set back."""
        return max(timedelta(), self() - self._clock())

    def reset(self, actor: Subject, also: Callable[[sa.Connection], None] | None = None) -> timedelta:
        """Judge by the clock again, because a person says that it is right; return by how much the time was ahead.

        What is to be set right with it is done by `also`, in the same transaction. Raises: NotAllowed.
        """
        require_right(actor, DEALERS, "reset the time of contracts")
        by, now = self.ahead(), self._clock()
        with self._database.begin() as connection:
            connection.execute(sa.delete(share_high_time))
            connection.execute(sa.insert(share_high_time).values(id=_ONE, at=now))
            if also is not None:
                also(connection)
            details: dict[str, str | int | float | bool | list[str] | None] = {"by_s": by.total_seconds()}
            self._audit.write(AuditEvent(now, actor.subject_id, "share.time_reset", "contracts", "ok", details))
        with self._lock:
            self._highest = self._kept = now
        return by

    def _read(self) -> datetime | None:
        with self._database.connect() as connection:
            found: datetime | None = connection.execute(sa.select(_H.at).where(_H.id == _ONE)).scalar()
        return found
