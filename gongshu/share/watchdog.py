"""The watchdog: no process stands for ever. At its deadline the other side is asked, and if nothing moved, it ends."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import NotFound, Unavailable
from gongshu.share import processes as store
from gongshu.share.dsp.messages import FORMAT_PULL
from gongshu.share.dsp.states import FINAL, PATIENCE, Side, State
from gongshu.share.engine import Engine
from gongshu.share.model import Record
from gongshu.share.outbox import Outbox
from gongshu.share.ports import Clock
from gongshu.share.tables import share_deliveries, share_processes

_P = share_processes.c
_IS_GOING_ON = _P.state.not_in(list(FINAL))
_NEXT_DUE = sa.select(sa.func.min(_P.deadline_at)).where(_IS_GOING_ON)
_FETCHED = sa.select(sa.func.max(share_deliveries.c.started_at), sa.func.max(share_deliveries.c.finished_at)).where(
    share_deliveries.c.process_id == sa.bindparam("idle_id")
)
_DUE = (
    sa.select(share_processes).where(_P.deadline_at <= sa.bindparam("now"), _IS_GOING_ON).limit(sa.bindparam("at_most"))
)
LOOK_AGAIN = timedelta(minutes=5)
"""A process with a message under way is bounded by the outbox; it is looked at again after this time."""


SILENCE_MAX = timedelta(days=30)
"""A started transfer whose other side cannot be reached for so long is ended."""
IDLE_MAX = timedelta(days=30)
"""A started transfer under which nothing was fetched for so long is ended by its provider. Ours; a node may differ."""


class Watchdog:
    """Ends what stands too long, with a reason."""

    def __init__(
        self, database: Database, engine: Engine, outbox: Outbox, clock: Clock, *, idle_max: timedelta | None = IDLE_MAX
    ) -> None:
        """With `idle_max` None no transfer is ended because nothing is fetched."""
        self._idle_max = idle_max
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
            self._let_go_on(record)
        else:
            seen = f"the other side says {peer_state}" if peer_state else "the other side does not say where it stands"
            self._engine.terminate(record.process_id, f"nothing happened in {record.state} for too long; {seen}")

    def _let_go_on(self, record: Record) -> None:
        """Ask again after a day; of a transfer that lies idle the later the longer it has, and once more at its end.

        Other connectors start a transfer for each pull and never complete it. Only what the consumer fetches itself
        lies idle: a delivery that we carry ends by itself, and in a stream nothing may have happened.
        """
        is_fetched = record.side is Side.PROVIDER and record.format == FORMAT_PULL
        if self._idle_max is None or not is_fetched:
            self._look_again(record, PATIENCE[State.STARTED])
            return
        idle = self._clock() - self._moved_at(record)
        if idle >= self._idle_max:
            reason = f"nothing was fetched for {idle.days} days; ask for a new transfer to fetch again"
            self._engine.terminate(record.process_id, reason)
            return
        self._look_again(record, min(max(PATIENCE[State.STARTED], idle), self._idle_max - idle))

    def _moved_at(self, record: Record) -> datetime:
        with self._database.connect() as connection:
            fetched = connection.execute(_FETCHED, {"idle_id": record.process_id}).one()
        moments: list[datetime] = [record.updated_at, *(at for at in fetched if at is not None)]
        return max(moments)

    def _goes_on(self, record: Record, peer_state: State | None) -> bool:
        is_patient = self._clock() - record.updated_at < SILENCE_MAX
        return peer_state is State.STARTED or (peer_state is None and is_patient)

    def _look_again(self, record: Record, after: timedelta) -> None:
        moment = self._clock() + after
        with self._database.begin() as connection:
            until = min(moment, record.ends_at) if record.ends_at and record.ends_at > self._clock() else moment
            store.update_process(connection, record.process_id, {"deadline_at": until})
