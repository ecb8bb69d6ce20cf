"""By what a party proves itself now, as the part of a statement that binds rows to it. Source: decision 0090."""

import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.secure.tables import parties

_PROOF = Prepared(sa.select(parties.c.proof).where(parties.c.party_id == sa.bindparam("asked_id")))


def proof_of(party: "PartyId | sa.BindParameter[PartyId]") -> sa.ColumnElement[str]:
    """Return, as a part of a statement, by what the party proves itself now; empty if it is not registered."""
    registered = sa.select(parties.c.proof).where(parties.c.party_id == party)
    return sa.func.coalesce(registered.scalar_subquery(), "")


def read_proof(connection: sa.Connection, party: PartyId) -> str:
    """Return by what the party proves itself now; empty if it is not registered."""
    return str(_PROOF.scalar(connection, {"asked_id": party}) or "")
