"""The operator's own people: they audit spaces and entries, decide on members, and see what members reported."""

from typing import Any

import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.model.access import Subject
from gongshu.model.ids import PartyId
from gongshu.packs import Pack
from gongshu.share.rights import DEALERS, LOOKERS, require_right
from gongshu.share.spaces.desk import Desk
from gongshu.share.spaces.errors import ApplicationInvalid, SpaceUnknown
from gongshu.share.spaces.identifiers import front_code, make_identifier
from gongshu.share.spaces.model import EntryKind
from gongshu.share.spaces.register import REASON_MAX, Register
from gongshu.share.spaces.states import EXPLAINED, Hand, Standing, Step
from gongshu.share.spaces.tables import space_entries, space_members, space_spaces
from gongshu.share.spaces.views import entry_view, history_rows, member_view, space_view

Json = dict[str, Any]
_S, _M, _N = space_spaces.c, space_members.c, space_entries.c

LIST_MAX = 5000


class SpaceHost:
    """The operator's side for its own people. Threads may share it."""

    def __init__(self, database: Database, register: Register, desk: Desk, codes: Pack) -> None:
        self._database = database
        self._register = register
        self._desk = desk
        self._codes = codes

    # ---- spaces -----------------------------------------------------------------------------------------------------

    def request(self, title: str, rules: str, actor: Subject) -> Json:
        """Ask for a space of our own; it is audited like any other. Raises: NotAllowed, ApplicationInvalid."""
        require_right(actor, DEALERS, "request spaces")
        return self._desk.request(self._register.own_party_id, {"title": title, "rules": rules})

    @settles_races
    def approve(self, space_id: str, actor: Subject, reason: str = "") -> Json:
        """Give a requested space its number and open it. Raises: NotAllowed, SpaceUnknown, SpaceMoveIllegal."""
        require_right(actor, DEALERS, "audit spaces")
        with self._database.begin() as connection:
            row = self._register.space(connection, space_id)
            given = connection.execute(sa.select(sa.func.count(_S.number))).scalar() or 0
            number = f"TDS-{given + 1:06d}"
            self._register.move_space(connection, row, Step.APPROVE, actor.subject_id, reason, number=number)
        return self.space(space_id, actor)

    def refuse(self, space_id: str, actor: Subject, reason: str) -> Json:
        """Turn a requested space down. Raises: as `approve`; ApplicationInvalid without a reason."""
        return self._move_space(space_id, Step.REFUSE, actor, reason)

    def dissolve(self, space_id: str, actor: Subject, reason: str) -> Json:
        """End a space, all memberships and entries in it, and tell all who belonged. Raises: as `refuse`."""
        return self._move_space(space_id, Step.DISSOLVE, actor, reason)

    def spaces(self, actor: Subject) -> list[Json]:
        """Return the spaces that we operate, newest first. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see spaces")
        query = sa.select(space_spaces).order_by(_S.requested_at.desc(), _S.space_id).limit(LIST_MAX)
        with self._database.connect() as connection:
            return [space_view(row) for row in connection.execute(query)]

    def space(self, space_id: str, actor: Subject) -> Json:
        """Return one space. Raises: NotAllowed, SpaceUnknown."""
        require_right(actor, LOOKERS, "see spaces")
        with self._database.connect() as connection:
            return space_view(self._register.space(connection, space_id))

    # ---- members ----------------------------------------------------------------------------------------------------

    def admit(self, space_id: str, party: PartyId, actor: Subject, *, identity_check: str) -> Json:
        """Admit an applicant whose identity was checked; `identity_check` says how, and is kept.

        Raises: NotAllowed, SpaceUnknown, SpaceMoveIllegal, ApplicationInvalid without a check.
        """
        if not identity_check.strip():
            raise ApplicationInvalid(reason="nobody is admitted without a record of how its identity was checked")
        _require_bounded(identity_check)
        return self._move_member(space_id, party, Step.ADMIT, actor, "", identity_check=identity_check)

    def decide_member(self, space_id: str, party: PartyId, step: Step, actor: Subject, reason: str) -> Json:
        """Refuse, suspend, resume or expel; all but `resume` need a reason. Raises: as `admit`."""
        return self._move_member(space_id, party, step, actor, reason)

    def members(self, space_id: str, actor: Subject) -> list[Json]:
        """Return who applied or belongs. Raises: NotAllowed, SpaceUnknown."""
        require_right(actor, LOOKERS, "see spaces")
        with self._database.connect() as connection:
            return self._desk.members(connection, self._register.space(connection, space_id).space_id)

    # ---- entries ----------------------------------------------------------------------------------------------------

    def audit(self, space_id: str, entry_id: str, actor: Subject, reason: str = "") -> Json:
        """Say that an entry is what it claims to be. Raises: NotAllowed, a NotFound, SpaceMoveIllegal."""
        return self._move_entry(space_id, entry_id, Step.AUDIT, actor, reason)

    def decide_entry(self, space_id: str, entry_id: str, step: Step, actor: Subject, reason: str) -> Json:
        """Refuse or withdraw an entry. Raises: as `audit`; ApplicationInvalid without a reason."""
        return self._move_entry(space_id, entry_id, step, actor, reason)

    @settles_races
    def register(self, space_id: str, entry_id: str, actor: Subject) -> Json:
        """Give an audited entry its identifier. Raises: as `audit`; IdentifierInvalid when the numbers are used up."""
        require_right(actor, DEALERS, "register entries")
        with self._database.begin() as connection:
            space = self._register.space(connection, space_id)
            row = self._register.entry(connection, space.space_id, entry_id)
            owner = self._register.member(connection, space.space_id, PartyId(row.party_id))
            assert owner is not None, "entries belong to members"
            front = front_code(owner.area, owner.organisation, self._codes)
            kind = str(self._codes.value(f"kind.{EntryKind(row.kind).value}"))
            prefix = f"{front}/{kind}"
            last = connection.execute(sa.select(sa.func.max(_N.identifier)).where(_N.identifier.startswith(prefix)))
            number = int((last.scalar() or f"{prefix}00000000")[len(prefix) : -2]) + 1
            identifier = make_identifier(front, kind, number)
            self._register.move_entry(
                connection, row, Step.REGISTER, Hand.OPERATOR, actor.subject_id, "", identifier=identifier
            )
            return entry_view(self._register.entry(connection, space.space_id, entry_id))

    def entries(self, space_id: str, actor: Subject, *, state: Standing | None = None) -> list[Json]:
        """Return entries, oldest first: what waits stands at the top. Raises: NotAllowed, SpaceUnknown."""
        require_right(actor, LOOKERS, "see spaces")
        with self._database.connect() as connection:
            query = sa.select(space_entries).where(_N.space_id == self._register.space(connection, space_id).space_id)
            if state is not None:
                query = query.where(_N.state == state)
            rows = connection.execute(query.order_by(_N.submitted_at, _N.entry_id).limit(LIST_MAX))
            return [entry_view(row) for row in rows]

    def catalogue(self, space_id: str, words: str, actor: Subject) -> list[Json]:
        """Return what members find in the space. Raises: NotAllowed, SpaceUnknown."""
        require_right(actor, LOOKERS, "see spaces")
        with self._database.connect() as connection:
            return self._desk.catalogue(connection, self._register.space(connection, space_id).space_id, words)

    def contracts(self, space_id: str, actor: Subject) -> list[Json]:
        """Return the facts that members reported. Raises: NotAllowed, SpaceUnknown."""
        require_right(actor, LOOKERS, "see spaces")
        with self._database.connect() as connection:
            return self._desk.contracts(connection, self._register.space(connection, space_id).space_id, None)

    def history(self, space_id: str, actor: Subject) -> list[Json]:
        """Return who decided what, newest first. Raises: NotAllowed, SpaceUnknown."""
        require_right(actor, LOOKERS, "see spaces")
        with self._database.connect() as connection:
            return history_rows(connection, self._register.space(connection, space_id).space_id, limit=LIST_MAX)

    # ---- private ----------------------------------------------------------------------------------------------------

    def _move_space(self, space_id: str, step: Step, actor: Subject, reason: str) -> Json:
        require_right(actor, DEALERS, "decide on spaces")
        _require_reason(step, reason)
        with self._database.begin() as connection:
            row = self._register.space(connection, space_id)
            self._register.move_space(connection, row, step, actor.subject_id, reason)
        return self.space(space_id, actor)

    def _move_member(
        self, space_id: str, party: PartyId, step: Step, actor: Subject, reason: str, **values: Any
    ) -> Json:
        require_right(actor, DEALERS, "decide on members")
        _require_reason(step, reason)
        with self._database.begin() as connection:
            space = self._register.space(connection, space_id)
            row = self._register.member(connection, space.space_id, party)
            if row is None:
                raise SpaceUnknown(space_id=f"{space_id[:200]} with a member {party[:200]}")
            self._register.move_member(connection, row, step, Hand.OPERATOR, actor.subject_id, reason, **values)
            return member_view(self._register.member(connection, space.space_id, party))

    def _move_entry(self, space_id: str, entry_id: str, step: Step, actor: Subject, reason: str) -> Json:
        require_right(actor, DEALERS, "decide on entries")
        _require_reason(step, reason)
        with self._database.begin() as connection:
            space = self._register.space(connection, space_id)
            row = self._register.entry(connection, space.space_id, entry_id)
            self._register.move_entry(connection, row, step, Hand.OPERATOR, actor.subject_id, reason)
            return entry_view(self._register.entry(connection, space.space_id, entry_id))


def _require_reason(step: Step, reason: str) -> None:
    if step in EXPLAINED and not reason.strip():
        raise ApplicationInvalid(reason="whom it concerns reads why, and no reason is given")
    _require_bounded(reason)


def _require_bounded(reason: str) -> None:
    if len(reason) > REASON_MAX:  # half of what a person wrote would say something else
        raise ApplicationInvalid(reason=f"the reason: at most {REASON_MAX} characters")
