"""The inbox: messages of other parties become changes of state, each once, acknowledged after they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.share import processes as store
from gongshu.share.agreements import insert_agreement
from gongshu.share.bindings import read_proof
from gongshu.share.dsp.messages import ANSWERS, build_state
from gongshu.share.dsp.reader import Inbound
from gongshu.share.dsp.states import Kind, Move, Refusal, Side, State, decide, shown_state
from gongshu.share.engine import Engine
from gongshu.share.errors import MessageInvalid, MoveIllegal, ProcessUnknown
from gongshu.share.model import Record
from gongshu.share.odrl import text_hash
from gongshu.share.ports import Clock
from gongshu.share.repeating import is_resumption, read_move, take_anew
from gongshu.share.short_ids import short_id
from gongshu.share.signals import new_urn

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a received message is answered with."""

    status_code: int
    document: Json


class Inbox:
    """Receives for one node."""

    def __init__(self, database: Database, engine: Engine, clock: Clock) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock

    def receive_first(self, counterparty: PartyId, inbound: Inbound, values: Mapping[str, Any]) -> Answer:
        """Store a process that the other side begins; a request repeated under its pid finds the existing one."""
        kind, side, peer_pid = _first_of(inbound)
        for _ in range(2):
            with self._database.connect() as connection:
                known = store.find_by_peer(connection, counterparty, kind, side, peer_pid)
                is_theirs = known is not None and _is_with(connection, known, counterparty, kind)
            if known is not None and not is_theirs:
                break  # who had this id before began it
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

        def work(connection: sa.Connection) -> Record:
            fixed = {"process_id": process_id, "kind": kind, "side": side, "state": State.NEW}
            times = {"created_at": now, "updated_at": now, "created_by": who}
            peer = {"counterparty": counterparty, "peer_pid": peer_pid}
            record = store.insert_process(connection, {**values, **fixed, **times, **peer})
            _reached_before(connection, counterparty, inbound, process_id)
            return self._accept(connection, record, inbound, {}) or record

        return Answer(201, state_document(self._engine.do(kind, work)))

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

        def work(connection: sa.Connection) -> Record:
            record = store.find_process(connection, process_id, lock=True)
            if record is None or not _is_with(connection, record, counterparty, inbound.kind):
                raise ProcessUnknown(process_id=process_id[:200])
            if _reached_before(connection, counterparty, inbound, process_id):
                _require_pids(record, inbound)
                return replace(record, **take_anew(connection, record, inbound, changes, self._clock()))
            pids = _require_pids(record, inbound)
            accepted = self._accept(connection, record, inbound, {**changes, **pids})
            if accepted is not None:
                if agreement is not None and not insert_agreement(connection, record, agreement, self._clock()):
                    raise MessageInvalid(what=inbound.message_type, reason="its agreement's @id is taken")
                record = accepted
            return record

        return Answer(200, state_document(self._engine.do(inbound.kind, work)))

    def _accept(self, connection: sa.Connection, record: Record, inbound: Inbound, changes: Json) -> Record | None:
        """Store what the message changes and return the process after it; None if it is the last one repeated."""
        move = read_move(connection, record, inbound)
        body_hash = text_hash(inbound.raw.decode("utf-8", "replace"))
        knows_ours = inbound.document.get(ANSWERS, record.pending_message) == record.pending_message
        step = decide(record.process, move, record.side.other, self._clock(), knows_ours=knows_ours)
        if isinstance(step, Refusal):
            last = store.last_received(connection, record.process_id)
            if inbound.message_id is None and last is not None and last[1] == body_hash:
                return None
            raise MoveIllegal(
                move=move,
                sender=record.side.other,
                process_id=short_id(record.process_id),
                state=record.state,
                reason=step.reason,
            )
        if move in (Move.TERMINATE, Move.TRANSFER_TERMINATE):
            changes = {**changes, "reason": _reason_of(inbound.document)}
        if move is Move.FINALIZE:
            self._engine.activate(connection, record.agreement_id)
        who = f"partner:{record.counterparty}"
        after = self._engine.save(connection, record, step, {**changes, "waiting": ""}, who)
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
        if is_resumption(record, inbound):
            self._engine.answer_resumption(connection, after)
        return after

    def state_for(self, counterparty: PartyId, process_id: str, kind: Kind) -> Json:
        """Return the document that shows a process to its other side. Raises: ProcessUnknown."""
        found = self._engine.record(process_id)
        with self._database.connect() as connection:
            is_theirs = _is_with(connection, found, counterparty, kind)
        if not is_theirs:
            raise ProcessUnknown(process_id=process_id[:200])
        return state_document(found)


def _is_with(connection: sa.Connection, record: Record, counterparty: PartyId, kind: Kind) -> bool:
    """True if a process is this party's, and the party still who it began with. Source: decision 0090."""
    is_named = record.counterparty == counterparty and record.kind is kind
    return is_named and record.bound_to == read_proof(connection, counterparty)


def state_document(record: Record) -> Json:
    """Return the process as the other side may see it."""
    return build_state(
        record.kind,
        provider_pid=record.provider_pid or "",
        consumer_pid=record.consumer_pid or "",
        state=shown_state(record.process),
    )


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
