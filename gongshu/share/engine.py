"""The engine: receives messages, notes our own, and stores every change with its messages in one transaction.

It decides with `dsp.states` and carries out the effects; what to say next is `reactor`'s, sending is `dispatch`'s. A
change of state, the message that caused it, what follows from it and the audit record are kept or lost together, so
that a kill at any moment leaves a process that goes on. This module must not know HTTP.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.share import processes as store
from gongshu.share.agreements import activate_agreement, insert_agreement, retire_agreement, revoke_tokens
from gongshu.share.automation import DEFAULT_RULES, Rules, occasion_of
from gongshu.share.dsp.messages import build_message, build_state
from gongshu.share.dsp.reader import Inbound
from gongshu.share.dsp.states import (
    FINAL,
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
    shown_state,
    termination_of,
)
from gongshu.share.errors import MessageInvalid, MoveIllegal, ProcessUnknown
from gongshu.share.model import Record
from gongshu.share.odrl import text_hash
from gongshu.share.ports import Clock

Json = dict[str, Any]

SYSTEM = "system:share"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a received message is answered with."""

    status_code: int
    document: Json


class Signals:
    """Lets threads sleep until a process changes or something is queued."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How often something happened so far."""
        return self._count

    def notify(self) -> None:
        """Wake everyone who waits."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Return the count as soon as it is not `seen` any more, or after the time."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout=max(0.0, timeout_s))
            return self._count


class Engine:
    """State changes of all processes of one node."""

    def __init__(self, database: Database, audit: AuditSink, clock: Clock, signals: Signals) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._signals = signals

    # ---- our own messages -------------------------------------------------------------------------------------------

    def open_process(
        self, kind: Kind, move: Move, content: Mapping[str, Any], values: Mapping[str, Any], *, actor: str
    ) -> Record:
        """Store a process of ours with its first message queued, and return it."""
        now = self._clock()
        side = Side.PROVIDER if move is Move.OFFER else Side.CONSUMER
        process_id = new_urn()
        with self._database.begin() as connection:
            fixed = {"process_id": process_id, "kind": kind, "side": side, "state": State.NEW}
            times = {"created_at": now, "updated_at": now, "created_by": actor}
            store.insert_process(connection, {**values, **fixed, **times})
            record = self._locked(connection, process_id)
            self.send(connection, record, move, content, actor=actor)
        self._signals.notify()
        return self.record(process_id)

    def send(
        self,
        connection: sa.Connection,
        record: Record,
        move: Move,
        content: Mapping[str, Any],
        *,
        actor: str = SYSTEM,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue a message of ours for a locked process. Raises: MoveIllegal."""
        now = self._clock()
        step = decide(record.process, move, record.side, now)
        if isinstance(step, Refusal):
            raise MoveIllegal(
                move=move, sender=record.side, process_id=record.process_id, state=record.state, reason=step.reason
            )
        message_id = new_urn()
        document = build_message(
            move,
            message_id=message_id,
            provider_pid=record.provider_pid,
            consumer_pid=record.consumer_pid,
            content=content,
        )
        store.queue_message(
            connection,
            message_id=message_id,
            process_id=record.process_id,
            move=move,
            document=orjson.dumps(document).decode(),
            attempts=0,
            next_at=now,
            created_at=now,
        )
        if move is Move.FINALIZE:
            activate_agreement(connection, record.agreement_id)
        self._save(connection, record, step, {**(changes or {}), "pending_message": message_id, "waiting": ""}, actor)

    # ---- the other side's messages ----------------------------------------------------------------------------------

    def receive_first(self, counterparty: PartyId, inbound: Inbound, values: Mapping[str, Any]) -> Answer:
        """Store a process that the other side begins; a request repeated under its pid finds the existing one."""
        kind, side, peer_pid = _first_of(inbound)
        for _ in range(2):
            with self._database.connect() as connection:
                known = store.find_by_peer(connection, counterparty, kind, side, peer_pid)
            if known is not None:
                return Answer(201, state_document(known))
            try:
                return self._insert_first(counterparty, inbound, kind, side, peer_pid, values)
            except IntegrityError:
                continue  # the same request came twice at once: the other one was stored
        raise ProcessUnknown(process_id=peer_pid[:200])

    def _insert_first(
        self,
        counterparty: PartyId,
        inbound: Inbound,
        kind: Kind,
        side: Side,
        peer_pid: str,
        values: Mapping[str, Any],
    ) -> Answer:
        now, process_id = self._clock(), new_urn()
        who = f"partner:{counterparty}"
        with self._database.begin() as connection:
            fixed = {"process_id": process_id, "kind": kind, "side": side, "state": State.NEW}
            times = {"created_at": now, "updated_at": now, "created_by": who}
            peer = {"counterparty": counterparty, "peer_pid": peer_pid}
            store.insert_process(connection, {**values, **fixed, **times, **peer})
            record = self._locked(connection, process_id)
            _reached_before(connection, counterparty, inbound, process_id)
            self._accept(connection, record, inbound, {})
            record = self._locked(connection, process_id)
        self._signals.notify()
        return Answer(201, state_document(record))

    def receive(
        self,
        counterparty: PartyId,
        inbound: Inbound,
        process_id: str,
        changes: Mapping[str, Any],
        *,
        agreement: Json | None = None,
    ) -> Answer:
        """Apply a message to an existing process; `agreement` is kept beside it when it is accepted.

        Raises: ProcessUnknown if it is not this party's; MessageInvalid if its pids do not fit; MoveIllegal if the
            table does not allow it. None of them changes anything.
        """
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.counterparty != counterparty or record.kind is not inbound.kind:
                raise ProcessUnknown(process_id=process_id[:200])
            if _reached_before(connection, counterparty, inbound, process_id):
                return Answer(200, state_document(record))
            pids = _require_pids(record, inbound)
            if self._accept(connection, record, inbound, {**changes, **pids}):
                if agreement is not None and not insert_agreement(connection, record, agreement, self._clock()):
                    raise MessageInvalid(what=inbound.message_type, reason="its agreement's @id is taken")
                record = self._locked(connection, process_id)
        self._signals.notify()
        return Answer(200, state_document(record))

    def _accept(self, connection: sa.Connection, record: Record, inbound: Inbound, changes: Json) -> bool:
        move = inbound.move
        assert move is not None, "only process messages come here"
        body_hash = text_hash(inbound.raw.decode("utf-8", "replace"))
        step = decide(record.process, move, record.side.other, self._clock())
        if isinstance(step, Refusal):
            is_repeat = inbound.message_id is None and (
                store.last_received_hash(connection, record.process_id) == body_hash
            )
            if is_repeat:
                return False
            raise MoveIllegal(
                move=move,
                sender=record.side.other,
                process_id=record.process_id,
                state=record.state,
                reason=step.reason,
            )
        if move in (Move.TERMINATE, Move.TRANSFER_TERMINATE):
            changes = {**changes, "reason": _reason_of(inbound.document)}
        if move is Move.FINALIZE:
            activate_agreement(connection, record.agreement_id)
        self._save(connection, record, step, {**changes, "waiting": ""}, f"partner:{record.counterparty}")
        store.log_message(
            connection,
            direction="in",
            counterparty=record.counterparty,
            message_id=inbound.message_id or new_urn(),
            process_id=record.process_id,
            message_type=inbound.message_type,
            body_hash=body_hash,
            body=_without_secrets(inbound.document),
            at=self._clock(),
        )
        return True

    # ---- what became of our messages --------------------------------------------------------------------------------

    def confirm(self, process_id: str, message_id: str, *, peer_pid: str | None = None) -> None:
        """The other side acknowledged our message: its state counts. Nothing happens if that was known already."""
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.pending_message != message_id:
                store.drop_message(connection, message_id)
                return
            learned = {"peer_pid": peer_pid} if peer_pid and record.peer_pid is None else {}
            self._save(connection, record, confirm(record.process, self._clock()), learned, SYSTEM)
        self._signals.notify()

    def end_here(self, process_id: str, reason: str, *, state: State = State.TERMINATED) -> None:
        """End a process on our side alone, because the other side cannot be told or has ended it itself."""
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.state in FINAL:
                return
            step = abandon(record.process, self._clock())
            step = replace(step, process=replace(step.process, state=state))
            self._save(connection, record, step, {"reason": reason[: store.REASON_MAX], "waiting": ""}, SYSTEM)
        self._signals.notify()

    def cancel(self, process_id: str, message_id: str, *, terminate_because: str = "") -> None:
        """Take our message back, because the other side will not have it, and end the process if a reason is given.

        Raises: MoveIllegal if the table has no termination here; then only `end_here` is left.
        """
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.pending_message != message_id:
                return
            store.drop_outgoing(connection, process_id)
            cleared = {"pending": None, "pending_message": None, "pending_sent": False}
            store.update_process(connection, process_id, cleared)
            if terminate_because:
                self._terminate(connection, self._locked(connection, process_id), terminate_because, SYSTEM)
        self._signals.notify()

    def terminate(self, process_id: str, reason: str, *, actor: str = SYSTEM) -> None:
        """End a process now: by a message where the table allows one and the peer is known, else on our side alone."""
        with self._database.begin() as connection:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or record.state in FINAL:
                return
            move = termination_of(record.kind)
            is_telling = record.peer_pid is not None and record.pending is None and can_send(record.process, move)
            if is_telling:
                self._terminate(connection, record, reason, actor)
        if is_telling:
            self._signals.notify()
        else:
            self.end_here(process_id, reason)

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

    def state_for(self, counterparty: PartyId, process_id: str, kind: Kind) -> Json:
        """Return the document that shows a process to its other side. Raises: ProcessUnknown."""
        found = self.record(process_id)
        if found.counterparty != counterparty or found.kind is not kind:
            raise ProcessUnknown(process_id=process_id[:200])
        return state_document(found)

    def _locked(self, connection: sa.Connection, process_id: str) -> Record:
        record = store.find_process(connection, process_id, lock=True)
        assert record is not None, "it was stored in this transaction"
        return record

    def _save(self, connection: sa.Connection, record: Record, step: Step, changes: Json, actor: str) -> None:
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
        if Effect.STOP_DATA in step.effects and record.kind is Kind.TRANSFER:
            revoke_tokens(connection, record.process_id, now)
        if after.state in FINAL:
            values["data_address"] = ""
            store.drop_reactions(connection, record.process_id)
        store.update_process(connection, record.process_id, {**values, **changes})
        if after.state is not record.state:
            self._entered(connection, record, after.state, changes, actor)

    def _settle_outgoing(self, connection: sa.Connection, record: Record, step: Step) -> None:
        if record.pending is None:
            return
        if Effect.CONFIRM_PENDING in step.effects and record.pending_message:
            store.log_sent(connection, record, self._clock())
        store.drop_outgoing(connection, record.process_id)

    def _entered(self, connection: sa.Connection, record: Record, after: State, changes: Json, actor: str) -> None:
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
        self._audit.write(
            AuditEvent(now, actor, f"{record.kind}.{after.value.lower()}", record.process_id, "ok", details)
        )
        occasion = occasion_of(record.state, after)
        if occasion is None or after in (State.COMPLETED, State.TERMINATED):
            return
        rules = Rules.from_json(record.rules) if record.rules is not None else DEFAULT_RULES[record.kind, record.side]
        for step in rules.steps.get(occasion, ()):
            due = now + timedelta(milliseconds=step.after_ms)
            store.queue_reaction(connection, record.process_id, step.action, due, actor=SYSTEM)


def new_urn() -> str:
    """Return a new random id."""
    digits = secrets.token_hex(16)
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def state_document(record: Record) -> Json:
    """Return the process as the other side may see it."""
    return build_state(
        record.kind,
        provider_pid=record.provider_pid or "",
        consumer_pid=record.consumer_pid or "",
        state=shown_state(record.process),
    )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _first_of(inbound: Inbound) -> tuple[Kind, Side, str]:
    if inbound.move is Move.OFFER:
        return Kind.NEGOTIATION, Side.CONSUMER, str(inbound.text("providerPid"))
    return inbound.kind, Side.PROVIDER, str(inbound.text("consumerPid"))


def _reached_before(connection: sa.Connection, counterparty: PartyId, inbound: Inbound, process_id: str) -> bool:
    """True if the message is a repetition; an id that was used for another process is a fault of the sender."""
    reached = store.was_received(connection, counterparty, inbound.message_id) if inbound.message_id else None
    if reached is not None and reached != process_id:
        raise MessageInvalid(what=inbound.message_type, reason="its @id was used for another process")
    return reached is not None


def _require_pids(record: Record, inbound: Inbound) -> Json:
    ours, theirs = ("providerPid", "consumerPid") if record.side is Side.PROVIDER else ("consumerPid", "providerPid")
    if inbound.text(ours) != record.process_id:
        raise MessageInvalid(what=inbound.message_type, reason=f"its {ours} is not the one of the address")
    if record.peer_pid is None:
        return {"peer_pid": inbound.text(theirs)}
    if inbound.text(theirs) != record.peer_pid:
        raise MessageInvalid(what=inbound.message_type, reason=f"its {theirs} is not the one this process began with")
    return {}


def _without_secrets(document: Json) -> str:
    return orjson.dumps({key: value for key, value in document.items() if key != "dataAddress"}).decode()


def _reason_of(document: Json) -> str:
    parts = [str(document.get("code", ""))]
    parts += [part if isinstance(part, str) else orjson.dumps(part).decode() for part in document.get("reason", [])]
    return "; ".join(part for part in parts if part)[: store.REASON_MAX] or "the other side gave no reason"
