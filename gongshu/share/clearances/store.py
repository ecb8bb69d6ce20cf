"""Clearances in the database: read, written, never altered but by an approval or an end."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.model.access import Role
from gongshu.model.ids import DatasetId, PartyId
from gongshu.prepared import Prepared
from gongshu.share.clearances.model import Approval, Clearance, Kind
from gongshu.share.contract_tables import share_clearance_approvals, share_clearances, share_places

_C, _A = share_clearances.c, share_clearance_approvals.c
_PLACE = Prepared(sa.select(share_places.c.place).where(share_places.c.party_id == sa.bindparam("asked_party")))


def insert_clearance(connection: sa.Connection, clearance: Clearance) -> None:
    """Write a requested clearance."""
    connection.execute(
        sa.insert(share_clearances).values(
            clearance_id=clearance.clearance_id,
            kind=clearance.kind.value,
            dataset_id=clearance.dataset_id,
            party_id=clearance.party_id,
            reason=clearance.reason,
            record=dict(clearance.record),
            bound_to=clearance.bound_to,
            requested_at=clearance.requested_at,
            requested_by=clearance.requested_by,
            valid_until=clearance.valid_until,
        )
    )


def insert_approval(connection: sa.Connection, clearance_id: str, approval: Approval) -> None:
    """Write an approval. Raises: sqlalchemy.exc.IntegrityError if the person or the role has approved before."""
    connection.execute(
        sa.insert(share_clearance_approvals).values(
            clearance_id=clearance_id,
            approved_by=approval.by,
            role=approval.role.value,
            approved_at=approval.at,
            digest=approval.digest,
        )
    )


def end_clearance(
    connection: sa.Connection, clearance_id: str, ended_as: str, *, by: str, why: str, at: datetime
) -> bool:
    """End a clearance for good; False if somebody else has."""
    change = sa.update(share_clearances).where(_C.clearance_id == clearance_id, _C.ended_as == "")
    values = {"ended_as": ended_as, "ended_by": by, "ended_why": why, "ended_at": at}
    return connection.execute(change.values(**values)).rowcount == 1


def find_clearance(connection: sa.Connection, clearance_id: str, *, lock: bool = False) -> Clearance | None:
    """Return one clearance with its approvals; with `lock`, nobody else changes it until the transaction ends."""
    query = sa.select(share_clearances).where(_C.clearance_id == clearance_id)
    found = _read(connection, query.with_for_update() if lock else query)
    return found[0] if found else None


def find_clearances(
    connection: sa.Connection,
    *,
    dataset_id: str = "",
    party_id: str = "",
    kinds: Collection[Kind] = (),
    unended: bool = False,
    limit: int = 1000,
    offset: int = 0,
) -> list[Clearance]:
    """Return clearances, newest first."""
    query = sa.select(share_clearances).order_by(_C.requested_at.desc(), _C.clearance_id)
    if dataset_id:
        query = query.where(_C.dataset_id == dataset_id)
    if party_id:
        query = query.where(_C.party_id == party_id)
    if kinds:
        query = query.where(_C.kind.in_([kind.value for kind in kinds]))
    if unended:
        query = query.where(_C.ended_as == "")
    return _read(connection, query.limit(limit).offset(offset))


def parties_asked_for(connection: sa.Connection, dataset_id: str) -> list[PartyId]:
    """Return the parties for which a clearance of the dataset was requested and has not been ended."""
    query = sa.select(_C.party_id).where(_C.dataset_id == dataset_id, _C.ended_as == "").distinct()
    return [PartyId(party) for party in connection.execute(query).scalars()]


def place_of(connection: sa.Connection, party: PartyId) -> str:
    """Return where a party is registered to be, empty if nobody wrote it down."""
    return str(_PLACE.scalar(connection, {"asked_party": party}) or "")


def _read(connection: sa.Connection, query: "sa.Select[Any]") -> list[Clearance]:
    rows = list(connection.execute(query))
    wanted = [row.clearance_id for row in rows]
    given: dict[str, list[Approval]] = {}
    approvals = sa.select(share_clearance_approvals).where(_A.clearance_id.in_(wanted)).order_by(_A.approved_at)
    for row in connection.execute(approvals) if wanted else ():
        given.setdefault(row.clearance_id, []).append(
            Approval(row.approved_by, Role(row.role), row.approved_at, row.digest)
        )
    return [
        Clearance(
            clearance_id=row.clearance_id,
            kind=Kind(row.kind),
            dataset_id=DatasetId(row.dataset_id),
            party_id=PartyId(row.party_id),
            reason=row.reason,
            record=row.record,
            bound_to=row.bound_to,
            requested_at=row.requested_at,
            requested_by=row.requested_by,
            valid_until=row.valid_until,
            approvals=tuple(given.get(row.clearance_id, ())),
            ended_as=row.ended_as,
            ended_at=row.ended_at,
            ended_by=row.ended_by,
            ended_why=row.ended_why,
        )
        for row in rows
    ]
