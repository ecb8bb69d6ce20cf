"""What the evidence of one contract consists of, read from the tables of this room and the audit log.

No data value, no token and no key that is not public is in any of it: messages are stored without their data address,
receipts and proofs never held values, and of the audit log only records about this contract are taken.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.secure.audit import AuditLog
from gongshu.secure.audit.excerpt import Excerpt, read_excerpt
from gongshu.share.contract_tables import (
    share_contract_signatures,
    share_contracts,
    share_notices,
    share_notices_received,
)
from gongshu.share.dsp.states import Kind, Side
from gongshu.share.errors import AgreementUnknown
from gongshu.share.evidence.bundle import Record
from gongshu.share.evidence.tables import evidence_entries
from gongshu.share.keeping.chain import moment
from gongshu.share.keeping.tables import deletion_proofs, kept_keys, usage_receipts
from gongshu.share.tables import share_agreements, share_deliveries, share_messages, share_processes

AUDITED_PREFIXES = ("data.", "copy.", "stream.", "push.", "notice.", "usage.", "deletion.")
"""Actions whose object is a dataset or another thing than the contract; their details name the contract."""


def read_audit(database: Database, log: AuditLog, agreement_id: str) -> tuple[str, list[Excerpt]]:
    """Return the log's checkpoint and the records of one contract with their proofs. Raises: AgreementUnknown."""
    with database.connect() as connection:
        agreement = agreement_row(connection, agreement_id)
        processes = [row.process_id for row in _processes(connection, agreement_id)]
        stored = sa.select(share_deliveries.c.stored_as).where(share_deliveries.c.agreement_id == agreement_id)
        datasets = {agreement.dataset_id, *connection.execute(stored.distinct()).scalars()} - {""}
    own = {agreement_id, agreement.negotiation_id, *processes}

    def is_wanted(action: str, object: str, details: Mapping[str, Any]) -> bool:
        named = details.get("agreement") == agreement_id or agreement_id in (details.get("agreements") or [])
        return object in own or (action.startswith(AUDITED_PREFIXES) and named)

    return read_excerpt(database, log, objects=own | datasets, is_wanted=is_wanted)


def gather(database: Database, agreement_id: str, audit: list[Excerpt]) -> Iterator[Record]:
    """Yield the records of a contract in a fixed order. Cost: batch by batch, but for the audit records."""
    with database.stream() as connection:
        agreement = agreement_row(connection, agreement_id)
        yield (
            "agreement",
            {
                "policy": agreement.policy,
                "policy_hash": agreement.policy_hash,
                "status": agreement.status,
                "uses": agreement.uses,
                "agreed_at": moment(agreement.agreed_at),
                "reason": agreement.reason,
            },
        )
        yield from _contract(connection, agreement_id)
        for process in _processes(connection, agreement_id):
            yield from _process(connection, process)
        yield from _signed(connection, evidence_entries, agreement_id, "entry")
        yield from _signed(connection, usage_receipts, agreement_id, "receipt")
        yield from _deletions(connection, agreement_id)
        yield from _notices(connection, agreement_id)
    for found in audit:
        path = [step.hex() for step in found.path]
        leaf, signature = found.leaf.decode("utf-8"), found.signature.hex()
        yield "audit", {"index": found.index, "leaf": leaf, "signature": signature, "path": path}


def agreement_row(connection: sa.Connection, agreement_id: str) -> Any:
    """Return an agreement as it is stored, also one whose text cannot be read. Raises: AgreementUnknown."""
    query = sa.select(share_agreements).where(share_agreements.c.agreement_id == agreement_id)
    row = connection.execute(query).first()
    if row is None:
        raise AgreementUnknown(agreement_id=agreement_id[:200])
    return row


def _contract(connection: sa.Connection, agreement_id: str) -> Iterator[Record]:
    c, s = share_contracts.c, share_contract_signatures.c
    row = connection.execute(sa.select(share_contracts).where(c.agreement_id == agreement_id)).first()
    if row is not None:
        query = sa.select(s.statement).where(s.agreement_id == agreement_id).order_by(s.party_id)
        statements = [orjson.loads(text) for text in connection.execute(query).scalars()]
        yield "contract", {"document": orjson.loads(row.document), "signatures": statements}


def _processes(connection: sa.Connection, agreement_id: str) -> list[Any]:
    p = share_processes.c
    query = sa.select(share_processes).where(p.agreement_id == agreement_id)
    is_transfer = sa.case((p.kind == Kind.NEGOTIATION, 0), else_=1)
    return list(connection.execute(query.order_by(is_transfer, p.created_at, p.process_id)))


def _process(connection: sa.Connection, row: Any) -> Iterator[Record]:
    ours, theirs = ("provider", "consumer") if row.side == Side.PROVIDER else ("consumer", "provider")
    pids = {ours: row.process_id, theirs: row.peer_pid or ""}
    yield "process", {"kind": row.kind, **pids, "state": row.state, "format": row.format, "reason": row.reason}
    m = share_messages.c
    query = sa.select(share_messages).where(m.process_id == row.process_id).order_by(m.sequence)
    for message in connection.execute(query):
        yield (
            "message",
            {
                **pids,
                "direction": message.direction,
                "id": message.message_id,
                "type": message.message_type,
                "sha256": message.body_hash,
                "body": message.body,
                "at": moment(message.at),
            },
        )


def _signed(connection: sa.Connection, table: sa.Table, agreement_id: str, kind: str) -> Iterator[Record]:
    query = sa.select(table).where(table.c.agreement_id == agreement_id)
    rows = connection.execution_options(yield_per=1000).execute(query.order_by(table.c.direction, table.c.sequence))
    for row in rows:
        yield kind, {"direction": row.direction, "body": row.body, "signature": row.signature}


def _deletions(connection: sa.Connection, agreement_id: str) -> Iterator[Record]:
    k, d = kept_keys.c, deletion_proofs.c
    own = sa.select(kept_keys).where(k.agreement_id == agreement_id, k.proof != "").order_by(k.key_id)
    for row in connection.execute(own):
        yield "deletion", {"direction": "out", "body": row.proof, "signature": row.signature}
    theirs = sa.select(deletion_proofs).where(d.agreement_id == agreement_id).order_by(d.received_at, d.fingerprint)
    for row in connection.execute(theirs):
        yield "deletion", {"direction": "in", "body": row.body, "signature": row.signature}


def _notices(connection: sa.Connection, agreement_id: str) -> Iterator[Record]:
    n, r = share_notices.c, share_notices_received.c
    sent = sa.select(share_notices).where(n.agreement_id == agreement_id).order_by(n.queued_at, n.notice_id)
    for row in connection.execute(sent):
        yield "notice", {"direction": "out", "party": row.party_id, "document": row.document}
    received = sa.select(share_notices_received).where(r.agreement_id == agreement_id)
    for row in connection.execute(received.order_by(r.received_at, r.notice_id)):
        yield "notice", {"direction": "in", "party": row.sender, "document": row.document}
