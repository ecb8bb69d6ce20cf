"""Reading and writing processes, their messages and what is queued for them, inside the caller's transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.share.bindings import read_proof
from gongshu.share.dsp.states import FINAL, Kind, Move, Side, State
from gongshu.share.model import Record
from gongshu.share.tables import share_messages, share_outbox, share_processes, share_reactions

_P = share_processes.c
REASON_MAX = 2000

_WITH_ID = sa.select(share_processes).where(_P.process_id == sa.bindparam("process_id"))
_FIND = Prepared(_WITH_ID)
_FIND_LOCKED = Prepared(_WITH_ID.with_for_update())
_UPDATE = Prepared(sa.update(share_processes).where(_P.process_id == sa.bindparam("updated_id")))
_INSERT = Prepared(sa.insert(share_processes))
_INSERT_MESSAGE = Prepared(sa.insert(share_messages))
_QUEUE = Prepared(sa.insert(share_outbox))
_REACT = Prepared(sa.insert(share_reactions).returning(share_reactions.c.sequence))
_TAKE_OUTGOING = Prepared(
    sa.delete(share_outbox).where(share_outbox.c.process_id == sa.bindparam("process_id")).returning(share_outbox)
)
_DROP_MESSAGE = Prepared(sa.delete(share_outbox).where(share_outbox.c.message_id == sa.bindparam("message_id")))
_IS_OF_PROCESS = share_reactions.c.process_id == sa.bindparam("process_id")
_HAS_REACTIONS = Prepared(sa.select(share_reactions.c.sequence).where(_IS_OF_PROCESS).limit(1))
_DROP_REACTIONS = Prepared(sa.delete(share_reactions).where(_IS_OF_PROCESS))
_FIND_BY_PEER = Prepared(
    sa.select(share_processes).where(
        _P.counterparty == sa.bindparam("counterparty"),
        _P.kind == sa.bindparam("kind"),
        _P.side == sa.bindparam("side"),
        _P.peer_pid == sa.bindparam("peer_pid"),
    )
)
_RECEIVED = Prepared(
    sa.select(share_messages.c.process_id).where(
        share_messages.c.direction == "in",
        share_messages.c.counterparty == sa.bindparam("counterparty"),
        share_messages.c.message_id == sa.bindparam("message_id"),
    )
)
_MESSAGES = Prepared(
    sa.select(share_messages)
    .where(share_messages.c.process_id == sa.bindparam("process_id"))
    .order_by(share_messages.c.sequence)
)
_NEWEST_TWO = Prepared(
    sa.select(share_messages.c.direction, share_messages.c.message_type)
    .where(share_messages.c.process_id == sa.bindparam("process_id"))
    .order_by(share_messages.c.sequence.desc())
    .limit(2)
)
_LAST_RECEIVED = Prepared(
    sa.select(share_messages.c.message_id, share_messages.c.body_hash)
    .where(share_messages.c.direction == "in", share_messages.c.process_id == sa.bindparam("process_id"))
    .order_by(share_messages.c.sequence.desc())
    .limit(1)
)
_UNSET: Mapping[str, Any] = {
    column.name: column.default.arg if isinstance(column.default, sa.ColumnDefault) else None
    for column in share_processes.columns
}
"""What a process holds that nobody has said anything about."""


def record_of(row: Any) -> Record:
    """Return the row as a value."""
    fields = row._asdict()
    fields["kind"], fields["side"], fields["state"] = Kind(row.kind), Side(row.side), State(row.state)
    fields["pending"] = Move(row.pending) if row.pending else None
    return Record(**fields)


def find_process(connection: sa.Connection, process_id: str, *, lock: bool = False) -> Record | None:
    """Return one process; with `lock` nobody else changes it until the transaction ends."""
    row = (_FIND_LOCKED if lock else _FIND).first(connection, {"process_id": process_id})
    return record_of(row) if row else None


def lock_processes(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Record]:
    """Return processes by id, and keep others from changing them; all callers lock in the same order."""
    found = ((each, find_process(connection, each, lock=True)) for each in sorted(set(ids)))
    return {process_id: record for process_id, record in found if record is not None}


def find_by_peer(
    connection: sa.Connection, counterparty: PartyId, kind: Kind, side: Side, peer_pid: str
) -> Record | None:
    """Return the process that this party knows by its own pid."""
    asked = {"counterparty": counterparty, "kind": kind, "side": side, "peer_pid": peer_pid}
    row = _FIND_BY_PEER.first(connection, asked)
    return record_of(row) if row else None


def find_processes(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Record]:
    """Return processes by id."""
    found = ((each, find_process(connection, each)) for each in ids)
    return {process_id: record for process_id, record in found if record is not None}


def list_processes(
    connection: sa.Connection, kind: Kind, *, limit: int, offset: int, waiting: bool, counterparty: PartyId | None
) -> list[Record]:
    """Return processes of one kind, newest first."""
    query = sa.select(share_processes).where(_P.kind == kind)
    if waiting:
        query = query.where(_P.waiting != "")
    if counterparty:
        query = query.where(_P.counterparty == counterparty)
    query = query.order_by(_P.created_at.desc(), _P.process_id).limit(limit).offset(offset)
    return [record_of(row) for row in connection.execute(query)]


def find_request(connection: sa.Connection, party: PartyId, policy: str) -> Record | None:
    """Return our newest request to a party for a contract over exactly this policy that has not come to an end."""
    query = sa.select(share_processes).where(
        _P.kind == Kind.NEGOTIATION,
        _P.side == Side.CONSUMER,
        _P.counterparty == party,
        _P.own_policy == policy,
        _P.state.not_in(list(FINAL)),
        _P.bound_to == read_proof(connection, party),
    )
    row = connection.execute(query.order_by(_P.created_at.desc()).limit(1)).first()
    return record_of(row) if row else None


def transfers_under(connection: sa.Connection, agreement_id: str) -> list[Record]:
    """Return the transfers under an agreement that have not ended."""
    query = sa.select(share_processes).where(
        _P.kind == Kind.TRANSFER, _P.agreement_id == agreement_id, _P.state.not_in(list(FINAL))
    )
    return [record_of(row) for row in connection.execute(query)]


def insert_process(connection: sa.Connection, values: Mapping[str, Any]) -> Record:
    """Store a new process, bound to by what its other side proves itself now, and return it."""
    whole = {**_UNSET, **values, "bound_to": read_proof(connection, values["counterparty"])}
    _INSERT.run(connection, whole)
    return Record(**whole)


def update_process(connection: sa.Connection, process_id: str, values: Mapping[str, Any]) -> None:
    """Change fields of a process."""
    _UPDATE.run(connection, {"updated_id": process_id, **values})


def was_received(connection: sa.Connection, counterparty: PartyId, message_id: str) -> str | None:
    """Return the process a message of this party already reached, None if it is new."""
    found: str | None = _RECEIVED.scalar(connection, {"counterparty": counterparty, "message_id": message_id})
    return found


def last_received(connection: sa.Connection, process_id: str) -> tuple[str, str] | None:
    """Return the id and the hash of the newest message taken for a process, None if there is none."""
    row = _LAST_RECEIVED.first(connection, {"process_id": process_id})
    return (row.message_id, row.body_hash) if row else None


def log_message(connection: sa.Connection, **values: Any) -> None:
    """Keep one message as evidence; for received ones this is the inbox entry."""
    _INSERT_MESSAGE.run(connection, values)


def queue_message(connection: sa.Connection, **values: Any) -> None:
    """Put a message of ours into the outbox."""
    _QUEUE.run(connection, values)


def take_outgoing(connection: sa.Connection, process_id: str) -> list[Any]:
    """Take what the process says out of the outbox, and return it."""
    return _TAKE_OUTGOING.all(connection, {"process_id": process_id})


def drop_message(connection: sa.Connection, message_id: str) -> None:
    """Take one message out of the outbox that has no meaning any more."""
    _DROP_MESSAGE.run(connection, {"message_id": message_id})


def log_sent(connection: sa.Connection, record: Record, entry: Any, at: datetime) -> None:
    """Keep our message, just taken out of the outbox, as evidence: the other side has it."""
    log_message(
        connection,
        direction="out",
        counterparty=record.counterparty,
        message_id=entry.message_id,
        process_id=record.process_id,
        message_type=Move(entry.move).message_type,
        body_hash=entry.sent_hash or hashlib.sha256(entry.document.encode()).hexdigest(),
        body=entry.document,
        at=at,
    )


def queue_reaction(
    connection: sa.Connection,
    process_id: str,
    action: str,
    due_at: datetime,
    *,
    actor: str,
    reason: str = "",
    lease_until: datetime | None = None,
) -> int:
    """Note what is to be done next, and return the note's number."""
    values = {"process_id": process_id, "action": action, "due_at": due_at, "actor": actor}
    return int(_REACT.scalar(connection, {**values, "reason": reason[:REASON_MAX], "lease_until": lease_until}))


def has_reactions(connection: sa.Connection, process_id: str) -> bool:
    """True if something is to be done with a process."""
    return _HAS_REACTIONS.first(connection, {"process_id": process_id}) is not None


def queued_action(connection: sa.Connection, process_id: str, now: datetime) -> str:
    """Return the newest of what is to be done with a process by now, empty if there is nothing."""
    of_it = (share_reactions.c.process_id == process_id) & (share_reactions.c.due_at <= now)
    query = sa.select(share_reactions.c.action).where(of_it).order_by(share_reactions.c.sequence.desc()).limit(1)
    return str(connection.execute(query).scalar() or "")


def drop_reactions(connection: sa.Connection, process_id: str) -> None:
    """Forget what was to be done: the process has ended or moved on."""
    _DROP_REACTIONS.run(connection, {"process_id": process_id})


def messages_of(connection: sa.Connection, process_id: str) -> Sequence[Mapping[str, Any]]:
    """Return the messages of a process in order."""
    return [row._asdict() for row in _MESSAGES.all(connection, {"process_id": process_id})]


def is_resumed(connection: sa.Connection, record: Record) -> bool:
    """True if the newest messages of a transfer that both sides have are its consumer's suspension and resumption."""
    newest = _NEWEST_TWO.all(connection, {"process_id": record.process_id})
    direction = "out" if record.side is Side.CONSUMER else "in"
    seen = [(message.direction, message.message_type) for message in newest]
    return seen == [(direction, Move.START.message_type), (direction, Move.SUSPEND.message_type)]
