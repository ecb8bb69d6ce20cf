"""Carries rows to consumers that asked for a push: a durable job for each, retried with patience, never for ever.

The job follows from what is stored: a transfer of ours in the push format that is started and not yet delivered. Every
attempt carries the same key, so the far end can tell a repetition; all of them count as one use. Whoever carries holds
a lease and renews it while rows flow; after a kill it runs out, and the next attempt begins. See decision 0064.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError, Unavailable
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.share import processes as store
from gongshu.share.automation import Action
from gongshu.share.data_wire import ANSWER_S, DataWire, problem_in
from gongshu.share.delivery import Delivery, Stream
from gongshu.share.destination import Destination, read_destination
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.engine import SYSTEM, Engine
from gongshu.share.errors import PeerRefused, TransferStopped
from gongshu.share.model import Record
from gongshu.share.ports import Clock, Reply
from gongshu.share.sending import Outcome, Retries, judge_status, plan_delay
from gongshu.share.signals import new_urn
from gongshu.share.tables import share_processes, share_pushes

KEY_HEADER = "Idempotency-Key"
"""Source: draft-ietf-httpapi-idempotency-key-header."""
LEASE = timedelta(seconds=60)
RENEW_AFTER = timedelta(seconds=10)

_P, _J = share_processes.c, share_pushes.c
_DUE = (
    sa.select(_P.process_id)
    .outerjoin(share_pushes, _J.process_id == _P.process_id)
    .where(_P.kind == Kind.TRANSFER, _P.side == Side.PROVIDER, _P.format == FORMAT_PUSH)
    .where(_P.state == State.STARTED, _P.pending.is_(None), _P.held.is_(False))
    .where(
        sa.or_(_J.process_id.is_(None), _J.next_at <= sa.bindparam("now")),
        sa.or_(_J.lease_until.is_(None), _J.lease_until < sa.bindparam("now")),
    )
    .limit(sa.bindparam("at_most"))
)


@dataclass(frozen=True, slots=True)
class Push:
    """One claimed attempt."""

    record: Record
    push_key: str
    attempt: int


class Pusher:
    """Pushes for one node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        delivery: Delivery,
        wire: DataWire,
        audit: AuditSink,
        clock: Clock,
        *,
        retries: Retries,
        random: Random,
        stopping: threading.Event | None = None,
    ) -> None:
        self._database = database
        self._engine = engine
        self._delivery = delivery
        self._wire = wire
        self._audit = audit
        self._clock = clock
        self._retries = retries
        self._random = random
        self._stopping = stopping or threading.Event()

    def claim_due(self, *, limit: int = 10) -> list[Push]:
        """Take the pushes that are due, each for this carrier alone; complete what was delivered just before a kill."""
        with self._database.connect() as connection:
            due = list(connection.execute(_DUE, {"now": self._clock(), "at_most": limit}).scalars())
        claims = [self._claim(process_id) for process_id in due]
        return [claim for claim in claims if claim is not None]

    def carry(self, push: Push) -> None:
        """Make one attempt and draw the conclusion: done, again later, or the end of the transfer with a reason."""
        record = push.record
        try:
            destination = read_destination(orjson.loads(record.data_address or "null"))
            stream = self._delivery.open_push(record, destination)
            try:
                reply = self._send(push, destination, stream)
            finally:
                stream.close()
        except TransferStopped:
            self._release(push, attempts=push.attempt - 1)  # a stop is no failure; it goes on when it is resumed
        except Unavailable as lost:
            self._retry(push, str(lost))
        except GongshuError as refusal:
            self._delivery.write_refusal(record.process_id, refusal)
            self._give_up(push, str(refusal))
        else:
            self._conclude(push, reply)

    # ---- steps ------------------------------------------------------------------------------------------------------

    def _claim(self, process_id: str) -> Push | None:
        now = self._clock()
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.state is not State.STARTED or record.pending is not None or record.held:
                return None
            row = connection.execute(sa.select(share_pushes).where(_J.process_id == process_id)).first()
            if row is not None and row.lease_until is not None and row.lease_until >= now:
                return None  # another carrier has it
            if row is None or row.delivered_at is None:
                return self._leased(connection, record, row)
        self._engine.queue(record, Action.COMPLETE, actor=SYSTEM)
        return None

    def _leased(self, connection: sa.Connection, record: Record, row: "sa.Row[tuple[object, ...]] | None") -> Push:
        now, attempt = self._clock(), (row.attempts if row else 0) + 1
        key = str(row.push_key) if row else new_urn()
        if row is None:
            values = {"process_id": record.process_id, "push_key": key, "attempts": 0, "next_at": now}
            connection.execute(sa.insert(share_pushes).values(**values))
        change = sa.update(share_pushes).where(_J.process_id == record.process_id)
        connection.execute(change.values(lease_until=now + LEASE, attempts=attempt))
        return Push(record, key, attempt)

    def _send(self, push: Push, destination: Destination, stream: Stream) -> Reply:
        headers = {**destination.headers, "Content-Type": stream.media_type, KEY_HEADER: push.push_key}
        return self._wire.send(
            push.record.counterparty,
            destination.address,
            method=destination.method,
            headers=headers,
            pieces=self._holding_lease(push, stream.pieces),
        )

    def _holding_lease(self, push: Push, pieces: Iterator[bytes]) -> Iterator[bytes]:
        renewed = self._clock()
        for piece in pieces:
            if self._stopping.is_set():
                raise TransferStopped(transfer_id=push.record.process_id, reason="this node stops")
            if self._clock() - renewed > RENEW_AFTER:
                renewed = self._clock()
                self._change(push, lease_until=renewed + LEASE)
            yield piece
        self._change(push, lease_until=self._clock() + timedelta(seconds=ANSWER_S) + LEASE)

    def _conclude(self, push: Push, reply: Reply) -> None:
        outcome = judge_status(reply.status_code, attempts=push.attempt, retries=self._retries)
        if outcome is Outcome.CONFIRMED:
            self._change(push, delivered_at=self._clock(), lease_until=None, last_error="")
            record = self._engine.record(push.record.process_id)
            if record.state is State.STARTED and not record.held:
                self._engine.queue(record, Action.COMPLETE, actor=SYSTEM)
        elif outcome is Outcome.RETRY:
            self._retry(push, f"status {reply.status_code}: {problem_in(reply.body)}")
        else:
            refused = PeerRefused(
                party=push.record.counterparty,
                what="the push",
                status_code=reply.status_code,
                reason=problem_in(reply.body),
            )
            self._give_up(push, str(refused), told=f"the rows were not taken: status {reply.status_code}")

    def _retry(self, push: Push, reason: str) -> None:
        if push.attempt >= self._retries.attempts_max:
            tried = f"no success after {push.attempt} attempts"
            self._give_up(push, f"{tried}: {reason}", told=tried)
            return
        delay = plan_delay(push.attempt, self._retries, jitter=self._random.random())
        self._change(push, next_at=self._clock() + delay, lease_until=None, last_error=reason[:500])

    def _give_up(self, push: Push, reason: str, *, told: str = "") -> None:
        """End the transfer. The partner is told no word of what answered: its address might lead to somebody else."""
        self._change(push, lease_until=None, last_error=reason[:500])
        details: dict[str, str | int | float | bool | list[str] | None] = {"reason": reason[:300]}
        event = AuditEvent(self._clock(), SYSTEM, "push.given_up", push.record.process_id, "failed", details)
        self._audit.write(event)
        self._engine.terminate(push.record.process_id, told or reason)

    def _release(self, push: Push, *, attempts: int) -> None:
        self._change(push, lease_until=None, attempts=attempts)

    def _change(self, push: Push, **values: object) -> None:
        with self._database.begin() as connection:
            change = sa.update(share_pushes).where(_J.process_id == push.record.process_id)
            connection.execute(change.values(**values))
