"""The values of spaces as plain fields, for programs, tables and other parties."""

from typing import Any

import sqlalchemy as sa

from gongshu.share.spaces.model import iso
from gongshu.share.spaces.tables import space_history

View = dict[str, Any]


def space_view(row: Any) -> View:
    """Return a space that we operate."""
    return {
        "space_id": row.space_id,
        "number": row.number,
        "title": row.title,
        "state": row.state,
        "requested_by": row.requested_by,
        "requested_at": iso(row.requested_at),
        "decided_at": iso(row.decided_at),
        "rules": row.rules,
    }


def member_view(row: Any) -> View:
    """Return a member as all who may see members see it."""
    return {
        "space_id": row.space_id,
        "party": row.party_id,
        "roles": row.roles.split(","),
        "state": row.state,
        "area": row.area,
        "organisation": row.organisation,
        "fingerprint": row.fingerprint,
        "identity_check": row.identity_check,
        "applied_at": iso(row.applied_at),
        "decided_at": iso(row.decided_at),
    }


def entry_view(row: Any) -> View:
    """Return an entry of a space's catalogue."""
    return {
        "space_id": row.space_id,
        "entry_id": row.entry_id,
        "identifier": row.identifier,
        "kind": row.kind,
        "title": row.title,
        "party": row.party_id,
        "state": row.state,
        **row.document,
        "submitted_at": iso(row.submitted_at),
        "decided_at": iso(row.decided_at),
    }


def contract_view(row: Any) -> View:
    """Return what one member reported of a contract."""
    return {
        "agreement_id": row.agreement_id,
        "reporter": row.reporter,
        "provider": row.provider,
        "consumer": row.consumer,
        "status": row.status,
        "policy_hash": row.policy_hash,
        "agreed_at": iso(row.agreed_at),
        "reported_at": iso(row.reported_at),
    }


def history_rows(connection: sa.Connection, space_id: str, *, limit: int) -> list[View]:
    """Return who decided what in a space, newest first."""
    query = sa.select(space_history).where(space_history.c.space_id == space_id)
    rows = connection.execute(query.order_by(space_history.c.sequence.desc()).limit(limit))
    names = ("life", "name", "step", "state", "actor", "reason")
    return [{**{name: getattr(row, name) for name in names}, "at": iso(row.at)} for row in rows]
