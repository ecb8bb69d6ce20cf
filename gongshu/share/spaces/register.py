"""The operator's register: every step of a space, a member or an entry, with its history, its news and its record.

One step is one transaction. Whatever follows from it by itself (an expelled member's entries, the members of a
dissolved space) is part of the same one, and so is the news to everybody concerned.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.share.bindings import read_proof
from gongshu.share.crawl import store as index
from gongshu.share.crawl.model import Entry
from gongshu.share.crawl.words import Thesaurus
from gongshu.share.ports import Clock
from gongshu.share.signals import new_urn
from gongshu.share.spaces.errors import EntryUnknown, SpaceForbids, SpaceMoveIllegal, SpaceUnknown
from gongshu.share.spaces.model import Notice
from gongshu.share.spaces.roles import Act, SpaceRole, may
from gongshu.share.spaces.states import Hand, Life, Standing, Step, decide, possible
from gongshu.share.spaces.tables import space_entries, space_history, space_members, space_notices, space_spaces

_S, _M, _N = space_spaces.c, space_members.c, space_entries.c

BELONGING = (Standing.ADMITTED, Standing.SUSPENDED)
OPEN_ENTRIES = (Standing.PENDING, Standing.AUDITED, Standing.REGISTERED, Standing.ACTIVE)
REASON_MAX = 2000
OTHER_KEY = "its key is another one than it was admitted with, and nobody has confirmed that yet"


def index_name(space_id: str) -> PartyId:
    """Return the name under which the search index holds a space's catalogue; the blank keeps it apart from parties."""
    return PartyId(f"space {space_id}")


def read_admitted(database: Database, space_id: str) -> dict[PartyId, str] | None:
    """Return who is admitted to a space of ours, and by what each proves itself; None if we operate no such space."""
    query = sa.select(_S.space_id).where(sa.or_(_S.space_id == space_id, _S.number == space_id))
    with database.connect() as connection:
        named = connection.execute(query).scalar()
        if named is None:
            return None
        members = sa.select(_M.party_id, _M.bound_to).where(_M.space_id == named, _M.state == Standing.ADMITTED)
        return {PartyId(row.party_id): row.bound_to for row in connection.execute(members)}


class Register:
    """Reads and moves on what the operator's node holds. Every method works in the caller's transaction."""

    def __init__(self, own_party_id: PartyId, thesaurus: Thesaurus, audit: AuditSink, clock: Clock) -> None:
        self.own_party_id = own_party_id
        self._thesaurus = thesaurus
        self._audit = audit
        self._clock = clock

    # ---- reading ----------------------------------------------------------------------------------------------------

    def space(self, connection: sa.Connection, space_id: str) -> Any:
        """Return a space's row, locked until the transaction ends. Raises: SpaceUnknown."""
        query = sa.select(space_spaces).where(sa.or_(_S.space_id == space_id, _S.number == space_id))
        row = connection.execute(query.with_for_update()).first()
        if row is None:
            raise SpaceUnknown(space_id=space_id[:200])
        return row

    def member(self, connection: sa.Connection, space_id: str, party: PartyId) -> Any | None:
        """Return a member's row, whatever its state; None if the party never applied."""
        query = sa.select(space_members).where(_M.space_id == space_id, _M.party_id == party)
        return connection.execute(query).first()

    def entry(self, connection: sa.Connection, space_id: str, entry_id: str) -> Any:
        """Return an entry's row. Raises: EntryUnknown."""
        query = sa.select(space_entries).where(_N.space_id == space_id, _N.entry_id == entry_id)
        row = connection.execute(query).first()
        if row is None:
            raise EntryUnknown(entry_id=entry_id[:60], space_id=space_id)
        return row

    def roles_of(self, connection: sa.Connection, space_id: str, party: PartyId) -> frozenset[SpaceRole]:
        """Return the roles that count now: the operator's own, or those of an admitted member; else none.

        A member that proves itself by another key than it was admitted with has none. Source: decision 0090.
        """
        if party == self.own_party_id:
            return frozenset({SpaceRole.OPERATOR})
        row = self.member(connection, space_id, party)
        if row is None or row.state != Standing.ADMITTED or not self.is_same(connection, row):
            return frozenset()
        return frozenset(SpaceRole(role) for role in row.roles.split(","))

    def require(self, connection: sa.Connection, space_id: str, party: PartyId, act: Act) -> Any:
        """Return the space if the party may do this in it now.

        Raises: SpaceUnknown, also for who never was a member: they are not told apart; SpaceForbids.
        """
        space = self.space(connection, space_id)
        row = self.member(connection, space.space_id, party)
        if party != self.own_party_id and row is None:
            raise SpaceUnknown(space_id=space_id[:200])
        if space.state != Standing.ACTIVE:
            raise SpaceForbids(party=party, act=act, space_id=space_id, reason=f"the space is {space.state}")
        roles = self.roles_of(connection, space.space_id, party)
        if not may(roles, act):
            reason = f"its role is {', '.join(sorted(roles))}" if roles else "it is not admitted now"
            if row is not None and not self.is_same(connection, row):
                reason = OTHER_KEY
            raise SpaceForbids(party=party, act=act, space_id=space_id, reason=reason)
        return space

    def is_same(self, connection: sa.Connection, row: Any) -> bool:
        """True if the member proves itself by what it did when it applied, or two people let a new key go on."""
        return bool(row.bound_to == read_proof(connection, PartyId(row.party_id)))

    def require_same(self, connection: sa.Connection, row: Any, act: str) -> None:
        """Raises: SpaceForbids if the member proves itself otherwise now, whatever its state is."""
        if not self.is_same(connection, row):
            raise SpaceForbids(party=row.party_id, act=act, space_id=row.space_id, reason=OTHER_KEY)

    def belonging(self, connection: sa.Connection, space_id: str) -> list[PartyId]:
        """Return who is admitted or suspended."""
        query = sa.select(_M.party_id).where(_M.space_id == space_id, _M.state.in_(BELONGING))
        return [PartyId(party) for party in connection.execute(query.order_by(_M.party_id)).scalars()]

    # ---- steps ------------------------------------------------------------------------------------------------------

    def move_space(
        self, connection: sa.Connection, row: Any, step: Step, actor: str, reason: str, **values: Any
    ) -> None:
        """Move a space on; its end is the end of every membership and entry in it. Raises: SpaceMoveIllegal."""
        told = {PartyId(row.requested_by), *self.belonging(connection, row.space_id)}
        after = self._decide(Life.SPACE, row.space_id, row.state, step, Hand.OPERATOR)
        changed = sa.update(space_spaces).where(_S.space_id == row.space_id)
        connection.execute(changed.values(state=after, decided_at=self._clock(), **values))
        if after is Standing.DISSOLVED:
            members = sa.select(space_members).where(_M.space_id == row.space_id)
            for member in connection.execute(members).all():
                if member.state in (*BELONGING, Standing.APPLIED):
                    told.add(PartyId(member.party_id))
                    self.move_member(connection, member, Step.END, Hand.SPACE, actor, reason, told=())
        self._note(connection, row.space_id, Life.SPACE, row.space_id, step, after, actor, reason, told)

    def move_member(
        self, connection: sa.Connection, row: Any, step: Step, hand: Hand, actor: str, reason: str,
        *, told: Collection[PartyId] | None = None, **values: Any,
    ) -> None:  # fmt: skip
        """Move a member on; who ceases to belong loses its entries, and all who belong are told.

        Raises: SpaceMoveIllegal.
        """
        after = self._decide(Life.MEMBER, row.party_id, row.state, step, hand)
        changed = sa.update(space_members).where(_M.space_id == row.space_id, _M.party_id == row.party_id)
        connection.execute(changed.values(state=after, decided_at=self._clock(), **values))
        if row.state in BELONGING and after not in BELONGING:
            owned = sa.select(space_entries).where(_N.space_id == row.space_id, _N.party_id == row.party_id)
            for entry in connection.execute(owned.where(_N.state.in_(OPEN_ENTRIES))).all():
                self.move_entry(connection, entry, Step.WITHDRAW, Hand.SPACE, actor, f"its owner is {after}")
        if told is None:
            is_public = row.state in BELONGING or after in BELONGING
            told = {PartyId(row.party_id), *(self.belonging(connection, row.space_id) if is_public else ())}
        self._note(connection, row.space_id, Life.MEMBER, row.party_id, step, after, actor, reason, told)

    def move_entry(
        self, connection: sa.Connection, row: Any, step: Step, hand: Hand, actor: str, reason: str, **values: Any
    ) -> None:
        """Move an entry on; it is found while it is active and at no other time. Raises: SpaceMoveIllegal."""
        after = self._decide(Life.ENTRY, row.entry_id, row.state, step, hand)
        changed = sa.update(space_entries).where(_N.entry_id == row.entry_id)
        connection.execute(changed.values(state=after, decided_at=self._clock(), **values))
        owner = index_name(row.space_id)
        if after is Standing.ACTIVE:
            shown = Entry(row.entry_id, row.title, str(row.document.get("description", "")), {}, "")
            index.show_entry(connection, self._thesaurus, owner, shown, self._clock())
        elif row.state == Standing.ACTIVE:
            index.hide_entry(connection, owner, row.entry_id)
        self._note(
            connection, row.space_id, Life.ENTRY, row.entry_id, step, after, actor, reason, {PartyId(row.party_id)}
        )

    def note_begin(
        self, connection: sa.Connection, space_id: str, life: Life, name: str, state: Standing, actor: str
    ) -> None:
        """Write down that something was asked for."""
        self._note(connection, space_id, life, name, Step.APPLY, state, actor, "", ())

    def _decide(self, life: Life, name: str, before: str, step: Step, hand: Hand) -> Standing:
        after = decide(life, Standing(before), step, hand)
        if after is None:
            steps = ", ".join(possible(life, Standing(before), hand)) or "nothing"
            raise SpaceMoveIllegal(what=life.value.capitalize(), name=name, state=before, move=step, possible=steps)
        return after

    def _note(
        self, connection: sa.Connection, space_id: str, life: Life, name: str, step: Step, state: Standing, actor: str,
        reason: str, told: Collection[PartyId],
    ) -> None:  # fmt: skip
        now = self._clock()
        said = reason[:REASON_MAX]
        line = {"life": life, "name": name, "step": step, "state": state, "actor": actor, "reason": said, "at": now}
        connection.execute(sa.insert(space_history).values(space_id=space_id, **line))
        for party in sorted(told):
            if party != self.own_party_id:
                self._tell(connection, space_id, party, life, name, state, said, now)
        details = {"space": space_id, "state": state.value, "reason": said[:300]}
        self._audit.write(AuditEvent(now, actor, f"space.{life}_{_word(step)}", name, "ok", details))

    def _tell(
        self, connection: sa.Connection, space_id: str, party: PartyId, life: Life, name: str, state: Standing,
        reason: str, now: datetime,
    ) -> None:  # fmt: skip
        notice = Notice(
            notice_id=new_urn(),
            space_id=space_id,
            about=life.value,
            name=name,
            state=state.value,
            reason=reason,
            at=now,
        )
        row = {
            "notice_id": notice.notice_id,
            "space_id": space_id,
            "party_id": party,
            "created_at": now,
            "next_at": now,
        }
        connection.execute(sa.insert(space_notices).values(content=notice.model_dump(mode="json"), **row))


def _word(step: Step) -> str:
    return step.value.replace(" ", "_")
