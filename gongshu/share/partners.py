"""What is known about partners beside their keys: groups they are in, where they are, what they paid, what they can do.

Read at every judgement, so that a change binds at once. A fact that is missing meets no term.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.prepared import Prepared
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.tables import parties
from gongshu.share.contract_tables import share_group_members, share_groups, share_payments, share_places
from gongshu.share.errors import GroupUnknown, PartnerFactInvalid
from gongshu.share.offerable import is_place
from gongshu.share.ports import Clock
from gongshu.share.tables import share_messages
from gongshu.share.terms import NAME_MAX, Terms

ABILITIES = "urn:gongshu:abilities"
"""The property of a contract request by which a node of this kind says what it can do; others ignore it."""
KEEPS_TERMS = "keeps_terms"
SIGNS_CONTRACTS = "signs_contracts"

_REQUESTS_LOOKED_AT = 20
_M = share_messages.c
_NEWEST_REQUESTS = Prepared(
    sa.select(_M.body)
    .where(
        _M.counterparty == sa.bindparam("asked_party"),
        _M.message_type == "ContractRequestMessage",
        _M.direction == "in",
    )
    .order_by(_M.sequence.desc())
    .limit(_REQUESTS_LOOKED_AT)
)


def _is_still(table: sa.Table) -> sa.Exists:
    """The party of a row still proves itself by what it did when the row was written; else it counts for nobody."""
    is_it = sa.and_(parties.c.party_id == table.c.party_id, parties.c.proof == table.c.bound_to)
    return sa.select(parties.c.party_id).where(is_it).exists()


_IN_GROUP, _AT_PLACE = _is_still(share_group_members), _is_still(share_places)


@dataclass(frozen=True, slots=True)
class PartyFacts:
    """What terms are judged by; a default says 'not known'."""

    groups: frozenset[str] = frozenset()
    place: str = ""
    connector: str = ""
    keeps_terms: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Parties that terms can name together."""

    group_id: str
    title: str
    members: tuple[PartyId, ...]


@dataclass(frozen=True, slots=True)
class RegisteredPlace:
    """Where a party is, and who vouches for it."""

    party_id: PartyId
    place: str
    basis: str
    registered_at: datetime
    registered_by: str


class Facts(Protocol):
    """Where the judgements get their facts."""

    def facts_of(self, party: PartyId, terms: Terms) -> PartyFacts:
        """Return what these terms ask about a party."""
        ...

    def is_paid(self, agreement_id: str) -> bool:
        """True if a payment for the agreement was confirmed."""
        ...

    def known_groups(self) -> frozenset[str]:
        """Return the groups that terms can name."""
        ...


class NoFacts:
    """For a node that knows nothing about its partners: terms that ask for facts are not met."""

    def facts_of(self, party: PartyId, terms: Terms) -> PartyFacts:
        """Return nothing known."""
        del party, terms
        return PartyFacts()

    def is_paid(self, agreement_id: str) -> bool:
        """Return False."""
        del agreement_id
        return False

    def known_groups(self) -> frozenset[str]:
        """Return none."""
        return frozenset()


class PartnerBook:
    """The registry of these facts. Changes are audited."""

    def __init__(self, database: Database, parties: PartyRegistry, audit: AuditSink, clock: Clock) -> None:
        self._database = database
        self._parties = parties
        self._audit = audit
        self._clock = clock

    # ---- facts ------------------------------------------------------------------------------------------------------

    def facts_of(self, party: PartyId, terms: Terms) -> PartyFacts:
        """Return what these terms ask about a party; what they do not ask is not looked up.

        Cost: one small query for each kind of fact that the terms ask for.
        """
        return PartyFacts(
            groups=self.groups_of(party) if terms.groups else frozenset(),
            place=self._place_of(party) if terms.places else "",
            connector=self._connector_of(party) if terms.connectors else "",
            keeps_terms=self.can(party, KEEPS_TERMS) if terms.delete_after_s is not None or terms.no_onward else False,
        )

    def is_paid(self, agreement_id: str) -> bool:
        """True if a payment for the agreement was confirmed."""
        query = sa.select(share_payments.c.reference).where(share_payments.c.agreement_id == agreement_id)
        with self._database.connect() as connection:
            return connection.execute(query).first() is not None

    def can(self, party: PartyId, ability: str) -> bool:
        """True if the party's node declared an ability in one of its latest contract requests."""
        with self._database.connect() as connection:
            return ability in declared_abilities(connection, party)

    def known_groups(self) -> frozenset[str]:
        """Return the groups that terms can name."""
        with self._database.connect() as connection:
            return frozenset(connection.execute(sa.select(share_groups.c.group_id)).scalars())

    def groups_of(self, party: PartyId) -> frozenset[str]:
        """Return the groups the party is in now."""
        query = sa.select(share_group_members.c.group_id).where(share_group_members.c.party_id == party, _IN_GROUP)
        with self._database.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def _place_of(self, party: PartyId) -> str:
        query = sa.select(share_places.c.place).where(share_places.c.party_id == party, _AT_PLACE)
        with self._database.connect() as connection:
            return str(connection.execute(query).scalar() or "")

    def _connector_of(self, party: PartyId) -> str:
        try:
            return self._parties.get(party).fingerprint
        except GongshuError:  # no such party, or one without a key: no connector is known
            return ""

    # ---- groups -----------------------------------------------------------------------------------------------------

    def groups(self) -> list[Group]:
        """Return all groups with their members, by id."""
        with self._database.connect() as connection:
            rows = list(connection.execute(sa.select(share_groups).order_by(share_groups.c.group_id)))
            members: dict[str, list[PartyId]] = {}
            order = sa.select(share_group_members).where(_IN_GROUP).order_by(share_group_members.c.party_id)
            for member in connection.execute(order):
                members.setdefault(member.group_id, []).append(PartyId(member.party_id))
        return [Group(row.group_id, row.title, tuple(members.get(row.group_id, ()))) for row in rows]

    @settles_races
    def add_to_group(self, group_id: str, members: Sequence[PartyId], actor: Subject, *, title: str = "") -> Group:
        """Put registered parties into a group, which is made if there is none.

        Raises: PartnerFactInvalid, PartyUnknown.
        """
        if not 0 < len(group_id) <= NAME_MAX or not group_id.isprintable() or " " in group_id:
            raise PartnerFactInvalid(reason=f"a group's id has 1 to {NAME_MAX} printable characters without spaces")
        proofs = {party: self._parties.get(party).proof for party in members}
        now, who = self._clock(), actor.subject_id
        with self._database.begin() as connection:
            known = connection.execute(
                sa.select(share_groups.c.group_id).where(share_groups.c.group_id == group_id)
            ).first()
            if known is None:
                values = {"group_id": group_id, "title": title or group_id, "created_at": now, "created_by": who}
                connection.execute(sa.insert(share_groups).values(**values))
            mine = share_group_members.c.group_id == group_id
            inside = set(connection.execute(sa.select(share_group_members.c.party_id).where(mine, _IN_GROUP)).scalars())
            for party in sorted(set(members) - inside):
                # A row of who was known by this id before counts for nobody.
                connection.execute(sa.delete(share_group_members).where(mine, share_group_members.c.party_id == party))
                row = {"group_id": group_id, "party_id": party, "added_at": now, "added_by": who}
                connection.execute(sa.insert(share_group_members).values(**row, bound_to=proofs[party]))
            self._write(actor, "share.group_joined", group_id, {"members": [str(party) for party in members]})
        return self._group(group_id)

    def remove_from_group(self, group_id: str, party: PartyId, actor: Subject) -> Group:
        """Take a party out of a group; what it may do ends at its next request. Raises: GroupUnknown."""
        mine = (share_group_members.c.group_id == group_id, share_group_members.c.party_id == party)
        with self._database.begin() as connection:
            if connection.execute(sa.delete(share_group_members).where(*mine)).rowcount != 1:
                raise GroupUnknown(group_id=group_id[:NAME_MAX], party=party[:NAME_MAX])
            self._write(actor, "share.group_left", group_id, {"members": [str(party)]})
        return self._group(group_id)

    def _group(self, group_id: str) -> Group:
        return next(group for group in self.groups() if group.group_id == group_id)

    # ---- places and payments ----------------------------------------------------------------------------------------

    def places(self) -> list[RegisteredPlace]:
        """Return where parties are, by party."""
        with self._database.connect() as connection:
            rows = list(connection.execute(sa.select(share_places).where(_AT_PLACE).order_by(share_places.c.party_id)))
        return [
            RegisteredPlace(PartyId(row.party_id), row.place, row.basis, row.registered_at, row.registered_by)
            for row in rows
        ]

    @settles_races
    def register_place(self, party: PartyId, place: str, basis: str, actor: Subject) -> RegisteredPlace:
        """Write down where a party is and what that is known from; the newest entry counts.

        Raises: PartyUnknown, PartnerFactInvalid.
        """
        proof = self._parties.get(party).proof
        if not is_place(place) or not 0 < len(basis.strip()) <= 2000:
            raise PartnerFactInvalid(reason="a place is an ISO 3166 code as CN-33, with a basis in words (`--basis`)")
        entry = RegisteredPlace(party, place, basis.strip(), self._clock(), actor.subject_id)
        with self._database.begin() as connection:
            connection.execute(sa.delete(share_places).where(share_places.c.party_id == party))
            connection.execute(
                sa.insert(share_places).values(
                    party_id=party,
                    place=place,
                    basis=entry.basis,
                    registered_at=entry.registered_at,
                    registered_by=entry.registered_by,
                    bound_to=proof,
                )
            )
            self._write(actor, "share.place_registered", party, {"place": place, "basis": entry.basis[:300]})
        return entry

    @settles_races
    def confirm_payment(self, agreement_id: str, reference: str, actor: Subject) -> None:
        """Write down that an agreement was paid for; a second confirmation of the same changes nothing.

        Raises: PartnerFactInvalid if the reference is empty, or paid for another agreement.
        """
        if not 0 < len(reference) <= NAME_MAX or not reference.isprintable():
            raise PartnerFactInvalid(reason=f"a payment reference has 1 to {NAME_MAX} printable characters")
        columns = share_payments.c
        with self._database.begin() as connection:
            query = sa.select(share_payments).where(
                sa.or_(columns.agreement_id == agreement_id, columns.reference == reference)
            )
            known = connection.execute(query).first()
            if known is not None and (known.agreement_id, known.reference) != (agreement_id, reference):
                raise PartnerFactInvalid(reason="the agreement or the reference is settled by another payment")
            if known is None:
                values = {"agreement_id": agreement_id, "reference": reference}
                connection.execute(
                    sa.insert(share_payments).values(
                        **values, confirmed_at=self._clock(), confirmed_by=actor.subject_id
                    )
                )
                self._write(actor, "agreement.payment_confirmed", agreement_id, {"reference": reference})

    def _write(self, actor: Subject, action: str, what: str, details: dict[str, Any]) -> None:
        self._audit.write(AuditEvent(self._clock(), actor.subject_id, action, what, "ok", details))


def declared_abilities(connection: sa.Connection, party: PartyId) -> frozenset[str]:
    """Return what the party's node said it can do, in the newest of its contract requests that says so."""
    for row in _NEWEST_REQUESTS.all(connection, {"asked_party": party}):
        declared = orjson.loads(row.body).get(ABILITIES)
        if declared is not None:
            names = declared if isinstance(declared, list) else [declared]
            return frozenset(name for name in names if isinstance(name, str))
    return frozenset()
