"""The watchdog: no process stands for ever. At its deadline the other side is asked, and if nothing moved, it ends."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import NotFound, Unavailable
from gongshu.share import processes as store
from gongshu.share.dsp.states import FINAL, PATIENCE, State
from gongshu.share.engine import Engine
from gongshu.share.model import Record
from gongshu.share.outbox import Outbox
from gongshu.share.ports import Clock
from gongshu.share.tables import share_processes

_P = share_processes.c
_IS_GOING_ON = _P.state.not_in(list(FINAL))
_NEXT_DUE = sa.select(sa.func.min(_P.deadline_at)).where(_IS_GOING_ON)
_DUE = (
    sa.select(share_processes).where(_P.deadline_at <= sa.bindparam("now"), _IS_GOING_ON).limit(sa.bindparam("at_most"))
)
LOOK_AGAIN = timedelta(minutes=5)
"""A process with a message under way is bounded by the outbox; it is looked at again after this time."""


SILENCE_MAX = timedelta(days=30)
"""A started transfer whose other side cannot be reached for so long is ended."""


class Watchdog:
    """Ends what stands too long, with a reason."""

    def __init__(self, database: Database, engine: Engine, outbox: Outbox, clock: Clock) -> None:
        self._database = database
        self._engine = engine
        self._outbox = outbox
        self._clock = clock

    def next_due(self, connection: sa.Connection) -> Any:
        """Return the earliest deadline, None if there is none."""
        return connection.execute(_NEXT_DUE).scalar()

    def check_due(self, *, limit: int = 50) -> int:
        """Look at the processes whose deadline has passed; return how many there were."""
        with self._database.connect() as connection:
            rows = connection.execute(_DUE, {"now": self._clock(), "at_most": limit})
            records = [store.record_of(row) for row in rows]
        for record in records:
            self._check(record)
        return len(records)

    def _check(self, record: Record) -> None:
        if record.pending is not None:
            self._look_again(record, LOOK_AGAIN)
            return
        if record.ends_at is not None and record.ends_at <= self._clock():
            self._engine.terminate(record.process_id, f"the agreement ended at {record.ends_at:%Y-%m-%dT%H:%M:%SZ}")
            return
        try:
            peer_state = self._outbox.ask_state(record)
        except (Unavailable, NotFound):
            peer_state = None
        if peer_state in (State.TERMINATED, State.COMPLETED):
            self._engine.end_here(record.process_id, "the other side had ended it", state=peer_state)
        elif record.state is State.STARTED and self._goes_on(record, peer_state):
            self._look_again(record, PATIENCE[State.STARTED])
        else:
            seen = f"the other side says {peer_state}" if peer_state else "the other side does not say where it stands"
            self._engine.terminate(record.process_id, f"nothing happened in {record.state} for too long; {seen}")

    def _goes_on(self, record: Record, peer_state: State | None) -> bool:
        is_patient = self._clock() - record.updated_at < SILENCE_MAX
        return peer_state is State.STARTED or (peer_state is None and is_patient)

    def _look_again(self, record: Record, after: timedelta) -> None:
        moment = self._clock() + after
        with self._database.begin() as connection:
            until = min(moment, record.ends_at) if record.ends_at and record.ends_at > self._clock() else moment
            store.update_process(connection, record.process_id, {"deadline_at": until})
