"""The engine: notes our messages, and stores every change of state with what belongs to it in one transaction.

It decides with `dsp.states` and carries out the effects; `inbox` receives, `reactor` plans what to say next, `outbox`
sends. A change of state, the message that caused it, what follows from it and the audit record are kept or lost
together, so that a kill at any moment leaves a process that goes on. This module must not know HTTP.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSinkOfMany
from gongshu.share import processes as store
from gongshu.share.agreements import activate_agreement, retire_agreement, revoke_tokens
from gongshu.share.automation import DEFAULT_RULES, Action, Rules, occasion_of
from gongshu.share.desk import REACTION_LEASE, SENDING_LEASE, Entry, Later, Reaction
from gongshu.share.dsp.messages import build_message
from gongshu.share.dsp.states import (
    FINAL,
    TARGET,
    Effect,
    Kind,
    Move,
    Refusal,
    Side,
    State,
    Step,
    abandon,
    can_send,
    confirm,
    decide,
    termination_of,
)
from gongshu.share.errors import MoveIllegal, ProcessUnknown
from gongshu.share.model import Record
from gongshu.share.ports import Clock
from gongshu.share.short_ids import short_id
from gongshu.share.signals import Signals, new_urn
from gongshu.together import Together

Json = dict[str, Any]
T = TypeVar("T")

SYSTEM = "system:share"


class Engine:
    """State changes of all processes of one node."""

    def __init__(self, database: Database, audit: AuditSinkOfMany, clock: Clock, signals: Signals) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._signals = signals
        self._desk = signals.desk
        self._local = threading.local()
        self._together = {kind: Together(database, partial(self.begin, kind)) for kind in Kind}

    @contextmanager
    def begin(self, kind: Kind | None) -> Iterator[sa.Connection]:
        """Yield a connection in one transaction; what is queued within is done at once after it, if there is room.

        What is noted for the audit log within is written at its end, all at once.
        """
        with self._desk.taking(), self._database.begin() as connection:
            events: list[AuditEvent] = []
            self._local.events = events
            try:
                yield connection
                if events:
                    self._audit.write_many(events)
            finally:
                self._local.events = None
        self._signals.notify(kind, is_work=False)

    def do(self, kind: Kind, work: Callable[[sa.Connection], T]) -> T:
        """Do the work as in `begin`, in one transaction with what other threads do; it may be done twice, kept once."""
        later = self._desk.later  # of this thread: another one may do the work

        def answering(connection: sa.Connection) -> T:
            with self._desk.answering(later):
                return work(connection)

        return self._together[kind].do(answering)

    def answer(self) -> Later:
        """Return what lets the reactions to a message wait until it is answered; `Later.answered` lets them go."""
        return Later(self._desk)

    def note(self, event: AuditEvent) -> None:
        """Write into the audit log with the transaction of this thread, at the end of `begin` or at once."""
        events: list[AuditEvent] | None = getattr(self._local, "events", None)
        if events is None:
            self._audit.write(event)
        else:
            events.append(event)

    # ---- our own messages -------------------------------------------------------------------------------------------

    def open_process(
        self,
        kind: Kind,
        move: Move,
        content: Mapping[str, Any],
        values: Mapping[str, Any],
        *,
        actor: str,
        also: Callable[[sa.Connection, str], Mapping[str, Any]] | None = None,
    ) -> Record:
        """Store a process of ours with its first message queued, and return it.

        `also` stores what belongs to it in the same transaction, under the new id, and returns further values of it.
        """
        now = self._clock()
        side = Side.PROVIDER if move is Move.OFFER else Side.CONSUMER
        process_id = new_urn()
        with self.begin(kind) as connection:
            fixed = {"process_id": process_id, "kind": kind, "side": side, "state": State.NEW}
            times = {"created_at": now, "updated_at": now, "created_by": actor}
            record = store.insert_process(connection, {**values, **fixed, **times})
            if also is not None:
                further = dict(also(connection, process_id))
                store.update_process(connection, process_id, further)
                record = replace(record, **further)
            return self.send(connection, record, move, content, actor=actor)

    def send(
        self,
        connection: sa.Connection,
        record: Record,
        move: Move,
        content: Mapping[str, Any],
        *,
        actor: str = SYSTEM,
        changes: Mapping[str, Any] | None = None,
    ) -> Record:
        """Queue a message of ours for a locked process and return what it is now. Raises: MoveIllegal."""
        now = self._clock()
        step = decide(record.process, move, record.side, now)
        if isinstance(step, Refusal):
            raise MoveIllegal(
                move=move,
                sender=record.side,
                process_id=short_id(record.process_id),
                state=record.state,
                reason=step.reason,
            )
        message_id = new_urn()
        taken = store.last_received(connection, record.process_id) if record.kind is Kind.TRANSFER else None
        document = build_message(
            move,
            message_id=message_id,
            provider_pid=record.provider_pid,
            consumer_pid=record.consumer_pid,
            content=content,
            answers=taken[0] if taken else None,
        )
        at_once = self._desk.has_room_to_send()
        until = now + SENDING_LEASE
        entry = Entry(message_id, record.process_id, move, orjson.dumps(document).decode(), 0, until)
        store.queue_message(
            connection,
            message_id=message_id,
            process_id=record.process_id,
            move=move,
            document=entry.document,
            attempts=int(at_once),
            next_at=now,
            lease_until=until if at_once else None,
            created_at=now,
        )
        if move is Move.FINALIZE:
            self.activate(connection, record.agreement_id)
        noted = {"pending_message": message_id, "pending_sent": at_once, "waiting": ""}
        after = self.save(connection, record, step, {**(changes or {}), **noted}, actor)
        if at_once:
            self._desk.take_message(after, entry)
        return after

    def activate(self, connection: sa.Connection, agreement_id: str) -> None:
        """Let the agreement of a negotiation that is final count, within `begin`."""
        if activate_agreement(connection, agreement_id):
            self._desk.leave()

    def answer_resumption(self, connection: sa.Connection, record: Record) -> None:
        """Note that the consumer of a transfer waits for a start of ours, within `begin`."""
        is_next = record.pending is None and not store.has_reactions(connection, record.process_id)
        self._queue_reaction(connection, record.process_id, Action.START_ANEW, self._clock(), at_once=is_next)

    # ---- what became of our messages --------------------------------------------------------------------------------

    def confirm(self, kind: Kind, process_id: str, message_id: str, *, peer_pid: str | None = None) -> None:
        """The other side acknowledged our message: its state counts. Nothing happens if that was known already."""

        def work(connection: sa.Connection) -> None:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.pending_message != message_id:
                store.drop_message(connection, message_id)
                return
            learned = {"peer_pid": peer_pid} if peer_pid and record.peer_pid is None else {}
            self.save(connection, record, confirm(record.process, self._clock()), learned, SYSTEM)

        self.do(kind, work)

    def end_here(self, process_id: str, reason: str, *, state: State = State.TERMINATED) -> None:
        """End a process on our side alone, because the other side cannot be told or has ended it itself."""
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.state in FINAL:
                return
            step = abandon(record.process, self._clock())
            step = replace(step, process=replace(step.process, state=state))
            self.save(connection, record, step, {"reason": reason[: store.REASON_MAX], "waiting": ""}, SYSTEM)
        self._signals.notify()

    def cancel(self, process_id: str, message_id: str, *, terminate_because: str = "") -> None:
        """Take our message back, because the other side will not have it, and end the process if a reason is given.

        Raises: MoveIllegal if the table has no termination here; then only `end_here` is left.
        """
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.pending_message != message_id:
                return
            store.take_outgoing(connection, process_id)
            cleared = {"pending": None, "pending_message": None, "pending_sent": False}
            store.update_process(connection, process_id, cleared)
            if terminate_because:
                self._terminate(connection, self.locked(connection, process_id), terminate_because, SYSTEM)
        self._signals.notify()

    def terminate(self, process_id: str, reason: str, *, actor: str = SYSTEM) -> None:
        """End a process: by a message where the table allows one, after the one under way, else on our side alone."""
        record = self.record(process_id)
        if record.state in FINAL:
            return
        if record.peer_pid is not None and can_send(record.process, termination_of(record.kind)):
            self.queue(record, Action.TERMINATE, actor=actor, reason=reason)
        else:
            self.end_here(process_id, reason)

    def queue(self, record: Record, action: Action, *, actor: str, reason: str = "", **changes: str) -> None:
        """Note what is to be said next. What stops data takes effect in the same transaction, told or not."""
        is_stop = record.kind is Kind.TRANSFER and action in (Action.SUSPEND, Action.TERMINATE, Action.COMPLETE)
        with self._database.begin() as connection:
            now = self._clock()
            held = {"held": True} if is_stop else {}
            store.update_process(connection, record.process_id, {**changes, **held, "waiting": ""})
            if is_stop:
                revoke_tokens(connection, record.process_id, now)
            store.queue_reaction(connection, record.process_id, action, now, actor=actor, reason=reason)
            details: dict[str, str | int | float | bool | list[str] | None] = {
                "party": record.counterparty,
                "reason": reason[:300],
            }
            name = f"{record.kind}.{action}_asked"
            self._audit.write(AuditEvent(now, actor, name, record.process_id, "ok", details))
        self._signals.notify()

    def _terminate(self, connection: sa.Connection, record: Record, reason: str, actor: str) -> None:
        changes = {"reason": reason[: store.REASON_MAX]}
        move = termination_of(record.kind)
        self.send(connection, record, move, {"reason": [reason[:500]]}, actor=actor, changes=changes)

    # ---- shared -----------------------------------------------------------------------------------------------------

    def record(self, process_id: str) -> Record:
        """Return a process. Raises: ProcessUnknown."""
        with self._database.connect() as connection:
            found = store.find_process(connection, process_id)
        if found is None:
            raise ProcessUnknown(process_id=process_id[:200])
        return found

    def queued(self, process_id: str) -> str:
        """Return what was decided for a process and is not carried out yet; empty if nothing was."""
        with self._database.connect() as connection:
            return store.queued_action(connection, process_id, self._clock())

    def locked(self, connection: sa.Connection, process_id: str) -> Record:
        """Return a process that is known to be there; nobody else changes it until the transaction ends."""
        record = store.find_process(connection, process_id, lock=True)
        assert record is not None, "it was stored in this transaction"
        return record

    def save(self, connection: sa.Connection, record: Record, step: Step, changes: Json, actor: str) -> Record:
        """Store a step with its effects, what follows from it, and its audit record; return what it is now."""
        now, after = self._clock(), step.process
        values: Json = {
            "state": after.state,
            "pending": after.pending,
            "pending_sent": after.pending_sent,
            "held": after.held,
            "updated_at": now,
            "deadline_at": _earlier(step.deadline, None if after.state in FINAL else record.ends_at),
        }
        if after.pending is None:
            values["pending_message"] = None
            self._settle_outgoing(connection, record, step)
            if record.pending is not None and store.has_reactions(connection, record.process_id):
                self._desk.leave()  # they waited for the message that was under way
        if Effect.STOP_DATA in step.effects and record.kind is Kind.TRANSFER:
            revoke_tokens(connection, record.process_id, now)
        if after.state in FINAL:
            values["data_address"] = ""
            store.drop_reactions(connection, record.process_id)
        values |= changes
        store.update_process(connection, record.process_id, values)
        before = record.state
        if Effect.CONFIRM_PENDING in step.effects and record.pending and TARGET[record.pending] is not after.state:
            before = TARGET[record.pending]  # a message of theirs after ours, which led back: a counter-offer, for one
        if after.state is not before:
            is_idle = after.pending is None
            self._entered(connection, replace(record, state=before), after.state, changes, actor, is_idle=is_idle)
        return replace(record, **values)

    def _settle_outgoing(self, connection: sa.Connection, record: Record, step: Step) -> None:
        if record.pending is None:
            return
        for entry in store.take_outgoing(connection, record.process_id):
            if Effect.CONFIRM_PENDING in step.effects and entry.message_id == record.pending_message:
                store.log_sent(connection, record, entry, self._clock())

    def _entered(
        self, connection: sa.Connection, record: Record, after: State, changes: Json, actor: str, *, is_idle: bool
    ) -> None:
        now = self._clock()
        if after is State.TERMINATED and record.kind is Kind.NEGOTIATION:
            agreement_id = str(changes.get("agreement_id", record.agreement_id))
            retire_agreement(connection, agreement_id, "the negotiation was terminated")
        details: dict[str, str | int | float | bool | list[str] | None] = {
            "party": record.counterparty,
            "side": record.side.value,
            "dataset": record.dataset_id,
            "agreement": str(changes.get("agreement_id", record.agreement_id)),
            "reason": str(changes.get("reason", ""))[:300],
        }
        self.note(AuditEvent(now, actor, f"{record.kind}.{after.value.lower()}", record.process_id, "ok", details))
        occasion = occasion_of(record.state, after)
        if occasion is None or after in (State.COMPLETED, State.TERMINATED):
            return
        rules = Rules.from_json(record.rules) if record.rules is not None else DEFAULT_RULES[record.kind, record.side]
        for number, step in enumerate(rules.steps.get(occasion, ())):
            due = now + timedelta(milliseconds=step.after_ms)
            is_next = number == 0 and step.after_ms == 0 and is_idle
            self._queue_reaction(connection, record.process_id, step.action, due, at_once=is_next)

    def _queue_reaction(
        self, connection: sa.Connection, process_id: str, action: Action, due: datetime, *, at_once: bool
    ) -> None:
        """Note what a rule wants; `at_once`, if there is room, without being found in the database first."""
        at_once = at_once and self._desk.has_room_to_react()
        until = due + REACTION_LEASE if at_once else None
        sequence = store.queue_reaction(connection, process_id, action, due, actor=SYSTEM, lease_until=until)
        if at_once:
            self._desk.take_reaction(Reaction(sequence, process_id, action, SYSTEM, ""))
        else:
            self._desk.leave()


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
