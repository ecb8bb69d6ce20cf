"""What other parties ask of the operator: applications, entries, reports, questions; the role matrix judges each."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.model.ids import PartyId
from gongshu.packs import Pack
from gongshu.secure.parties import PartyRegistry
from gongshu.share.crawl.search import find
from gongshu.share.crawl.words import Thesaurus
from gongshu.share.ports import Clock
from gongshu.share.signals import new_urn
from gongshu.share.spaces import model as wire
from gongshu.share.spaces.errors import ApplicationInvalid, EntryUnknown, SpaceForbids, SpaceUnknown
from gongshu.share.spaces.identifiers import front_code
from gongshu.share.spaces.register import Register, index_name
from gongshu.share.spaces.roles import Act, may, why_not_together
from gongshu.share.spaces.signing import require_signed, rules_hash
from gongshu.share.spaces.states import BEGINNING, Hand, Life, Standing, Step
from gongshu.share.spaces.tables import space_contracts, space_entries, space_history, space_members, space_spaces
from gongshu.share.spaces.views import contract_view, entry_view, history_rows, member_view

Json = dict[str, Any]

_N, _M, _C, _H = space_entries.c, space_members.c, space_contracts.c, space_history.c

REQUESTS_OPEN_MAX = 20
"""Requests for spaces of one party that wait at the same time."""
ENTRIES_MAX = 100_000
"""Entries of one member in one space."""
ANSWER_MAX = 200
"""Entries in one answer; who wants another part searches."""
ROWS_MAX = 5000


class Desk:
    """Answers messages of authenticated parties. Threads may share it."""

    def __init__(
        self,
        database: Database,
        register: Register,
        parties: PartyRegistry,
        thesaurus: Thesaurus,
        codes: Pack,
        clock: Clock,
    ) -> None:
        self._database = database
        self._register = register
        self._parties = parties
        self._thesaurus = thesaurus
        self._codes = codes
        self._clock = clock
        self._answers: dict[str, Callable[[sa.Connection, PartyId, str, Json], Json]] = {
            "rules": self._rules,
            "apply": self._apply,
            "leave": self._leave,
            "entry": self._submit,
            "publish": self._publish,
            "withdraw": self._withdraw,
            "contract": self._report,
            "question": self._question,
        }

    @property
    def messages(self) -> list[str]:
        """The messages that are understood."""
        return list(self._answers)

    @settles_races
    def request(self, party: PartyId, document: Json) -> Json:
        """Take a request for a logical space and return where it stands. Raises: ApplicationInvalid."""
        asked = wire.read_message(wire.SpaceRequest, document)
        space_id, now = new_urn(), self._clock()
        with self._database.begin() as connection:
            waiting = sa.select(sa.func.count()).select_from(space_spaces)
            mine = waiting.where(space_spaces.c.requested_by == party, space_spaces.c.state == Standing.REQUESTED)
            if (connection.execute(mine).scalar() or 0) >= REQUESTS_OPEN_MAX:
                raise ApplicationInvalid(reason=f"{REQUESTS_OPEN_MAX} requests of this party wait already")
            values: Json = {"title": asked.title, "rules": asked.rules, "rules_hash": rules_hash(asked.rules)}
            values |= {"state": BEGINNING[Life.SPACE], "requested_by": party, "requested_at": now}
            connection.execute(sa.insert(space_spaces).values(space_id=space_id, **values))
            begun = BEGINNING[Life.SPACE]
            self._register.note_begin(connection, space_id, Life.SPACE, space_id, begun, party)
        return {"space_id": space_id, "state": begun.value}

    @settles_races
    def answer(self, party: PartyId, space_id: str, message: str, document: Json) -> Json:
        """Do what a message asks for and return the answer.

        Raises: SpaceUnknown, SpaceForbids, SpaceMoveIllegal, EntryUnknown, ApplicationInvalid, RulesNotSigned.
        """
        with self._database.begin() as connection:
            space = self._register.space(connection, space_id)
            return self._answers[message](connection, party, space.space_id, document)

    # ---- belonging --------------------------------------------------------------------------------------------------

    def _rules(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:  # noqa: ARG002
        """Any party that we know may read the rules of an active space: it has to, before it applies."""
        space = self._register.space(connection, space_id)
        if space.state != Standing.ACTIVE and space.requested_by != party:
            raise SpaceUnknown(space_id=space_id[:200])
        about = {"number": space.number, "operator": self._register.own_party_id, "state": space.state}
        return {"space_id": space.space_id, "title": space.title, "rules": space.rules, **about}

    def _apply(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        asked = wire.read_message(wire.Application, document)
        space, now = self._register.space(connection, space_id), self._clock()
        if space.state != Standing.ACTIVE:
            raise SpaceUnknown(space_id=space_id[:200])
        if party == self._register.own_party_id:
            raise ApplicationInvalid(reason="the operator does not apply to itself")
        if why_not := why_not_together(asked.roles):
            raise ApplicationInvalid(reason=why_not)
        front_code(asked.area, asked.organisation, self._codes)
        known = self._parties.get(party)
        require_signed(asked, space_id, known, space.rules_hash)
        values: Json = {"roles": ",".join(sorted({role.value for role in asked.roles})), "area": asked.area}
        values |= {
            "organisation": asked.organisation,
            "fingerprint": known.fingerprint,
            "applied_at": now,
            "bound_to": known.proof,
        }
        values |= {"rules_hash": asked.rules_hash, "signature": asked.signature}
        before = self._register.member(connection, space_id, party)
        if before is None:
            begun = BEGINNING[Life.MEMBER]
            row = {"space_id": space_id, "party_id": party, "state": begun}
            connection.execute(sa.insert(space_members).values(**row, **values))
            self._register.note_begin(connection, space_id, Life.MEMBER, party, begun, party)
        else:
            self._register.move_member(connection, before, Step.APPLY, Hand.PARTY, party, "", **values)
        return self._standing(connection, party, space_id)

    def _leave(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        reason = wire.read_message(wire.Reason, document).reason
        row = self._register.member(connection, space_id, party)
        if row is None:
            raise SpaceUnknown(space_id=space_id[:200])
        self._register.require_same(connection, row, Act.LEAVE)
        self._register.move_member(connection, row, Step.LEAVE, Hand.PARTY, party, reason)
        return self._standing(connection, party, space_id)

    def _standing(self, connection: sa.Connection, party: PartyId, space_id: str) -> Json:
        row = self._register.member(connection, space_id, party)
        if row is None:
            raise SpaceUnknown(space_id=space_id[:200])
        self._register.require_same(connection, row, "see its standing")
        mine = sa.select(space_entries).where(_N.space_id == space_id, _N.party_id == party)
        newest = connection.execute(mine.order_by(_N.submitted_at.desc(), _N.entry_id).limit(ANSWER_MAX)).all()
        why = _reasons(connection, space_id, [entry.entry_id for entry in newest])
        entries = [entry_view(entry) | {"reason": why.get(entry.entry_id, "")} for entry in newest]
        return member_view(row) | {"title": self._register.space(connection, space_id).title, "entries": entries}

    # ---- entries ----------------------------------------------------------------------------------------------------

    def _submit(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        asked = wire.read_message(wire.EntryMessage, {"entry": document}).entry
        self._register.require(connection, space_id, party, Act.SUBMIT)
        held = sa.select(sa.func.count()).select_from(space_entries)
        if (connection.execute(held.where(_N.space_id == space_id, _N.party_id == party)).scalar() or 0) >= ENTRIES_MAX:
            raise ApplicationInvalid(reason=f"a member has at most {ENTRIES_MAX} entries in a space")
        if isinstance(asked, wire.ProductEntry):
            self._require_own_resources(connection, party, space_id, asked.resources)
        begun = BEGINNING[Life.ENTRY]
        values: Json = {"entry_id": new_urn(), "space_id": space_id, "party_id": party, "kind": asked.kind}
        values |= {"title": asked.title, "document": asked.model_dump(mode="json", exclude={"kind", "title"})}
        connection.execute(sa.insert(space_entries).values(**values, state=begun, submitted_at=self._clock()))
        self._register.note_begin(connection, space_id, Life.ENTRY, values["entry_id"], begun, party)
        return entry_view(self._register.entry(connection, space_id, values["entry_id"]))

    def _require_own_resources(
        self, connection: sa.Connection, party: PartyId, space_id: str, resources: list[str]
    ) -> None:
        """A product is made of resources that its owner has in this space, audited at least."""
        for entry_id in resources:
            row = self._register.entry(connection, space_id, entry_id)
            if row.party_id != party or row.kind != wire.EntryKind.RESOURCE:
                raise EntryUnknown(entry_id=entry_id[:60], space_id=space_id)
            if row.state not in (Standing.AUDITED, Standing.REGISTERED, Standing.ACTIVE):
                raise ApplicationInvalid(reason=f"its resource {entry_id} is {row.state}, not audited yet")

    def _publish(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        return self._move_own(connection, party, space_id, document, Act.PUBLISH, Step.PUBLISH)

    def _withdraw(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        return self._move_own(connection, party, space_id, document, Act.WITHDRAW, Step.WITHDRAW)

    def _move_own(
        self, connection: sa.Connection, party: PartyId, space_id: str, document: Json, act: Act, step: Step
    ) -> Json:
        named = wire.read_message(wire.Named, document)
        self._register.require(connection, space_id, party, act)
        row = self._register.entry(connection, space_id, named.entry_id)
        if row.party_id != party:
            raise EntryUnknown(entry_id=named.entry_id[:60], space_id=space_id)
        self._register.move_entry(connection, row, step, Hand.PARTY, party, named.reason)
        return entry_view(self._register.entry(connection, space_id, named.entry_id))

    # ---- reports and questions --------------------------------------------------------------------------------------

    def _report(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        told = wire.read_message(wire.ContractReport, document)
        self._register.require(connection, space_id, party, Act.REPORT)
        if party not in (told.provider, told.consumer) or told.provider == told.consumer:
            raise SpaceForbids(
                party=party, act=Act.REPORT, space_id=space_id, reason="it is no contract between it and another party"
            )
        key = {"space_id": space_id, "agreement_id": told.agreement_id, "reporter": party}
        connection.execute(
            sa.delete(space_contracts).where(*(space_contracts.c[name] == value for name, value in key.items()))
        )
        values = told.model_dump(exclude={"agreement_id"})
        connection.execute(sa.insert(space_contracts).values(**key, **values, reported_at=self._clock()))
        return {"agreement_id": told.agreement_id, "reported": True}

    def _question(self, connection: sa.Connection, party: PartyId, space_id: str, document: Json) -> Json:
        asked = wire.read_message(wire.Question, document)
        if asked.what == "standing":
            return self._standing(connection, party, space_id)
        acts = {"catalogue": Act.SEE_CATALOGUE, "members": Act.SEE_MEMBERS, "history": Act.SEE_HISTORY}
        if asked.what == "contracts":
            mine = may(self._register.roles_of(connection, space_id, party), Act.REPORT)
            self._register.require(connection, space_id, party, Act.REPORT if mine else Act.SEE_CONTRACTS)
            return {"contracts": self.contracts(connection, space_id, party if mine else None)}
        self._register.require(connection, space_id, party, acts[asked.what])
        if asked.what == "members":
            return {"members": self.members(connection, space_id)}
        if asked.what == "history":
            return {"history": history_rows(connection, space_id, limit=ROWS_MAX)}
        return {"entries": self.catalogue(connection, space_id, asked.words)}

    def catalogue(self, connection: sa.Connection, space_id: str, words: str) -> list[Json]:
        """Return active entries of admitted members: the best for the words, or the newest where there are none."""
        query = (
            sa.select(space_entries)
            .join(space_members, sa.and_(_M.space_id == _N.space_id, _M.party_id == _N.party_id))
            .where(_N.space_id == space_id, _N.state == Standing.ACTIVE, _M.state == Standing.ADMITTED)
        )
        if not words:
            newest = query.order_by(_N.decided_at.desc(), _N.entry_id).limit(ANSWER_MAX)
            return [entry_view(row) for row in connection.execute(newest)]
        wanted, own = self._thesaurus.question(words), index_name(space_id)
        hits = find(connection, wanted, own_party=own, parties=[own], limit=ANSWER_MAX)
        ids = [hit.dataset_id for hit in hits]
        rows = {row.entry_id: row for row in connection.execute(query.where(_N.entry_id.in_(ids)))}
        return [entry_view(rows[entry_id]) for entry_id in ids if entry_id in rows]

    def members(self, connection: sa.Connection, space_id: str) -> list[Json]:
        """Return who applied or belongs, without signatures."""
        query = sa.select(space_members).where(_M.space_id == space_id).order_by(_M.party_id).limit(ROWS_MAX)
        return [member_view(row) for row in connection.execute(query)]

    def contracts(self, connection: sa.Connection, space_id: str, party: PartyId | None) -> list[Json]:
        """Return the reported facts: of one party's own contracts, or of all."""
        query = sa.select(space_contracts).where(_C.space_id == space_id)
        if party is not None:
            query = query.where(sa.or_(_C.provider == party, _C.consumer == party))
        ordered = query.order_by(_C.agreement_id, _C.reporter).limit(ROWS_MAX)
        return [contract_view(row) for row in connection.execute(ordered)]


def _reasons(connection: sa.Connection, space_id: str, entry_ids: list[str]) -> dict[str, str]:
    """Return the reason that was given with the newest decision on each of the entries."""
    query = sa.select(_H.name, _H.reason).where(_H.space_id == space_id, _H.life == Life.ENTRY, _H.name.in_(entry_ids))
    return {row.name: row.reason for row in connection.execute(query.order_by(_H.sequence))}
