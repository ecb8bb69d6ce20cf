"""The desk at which clearances are requested, approved, refused and revoked, and the place where they are asked for.

Rights are checked here; every step is in the audit log, in the transaction that makes it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.dataset import Dataset
from gongshu.model.grade import GradeStanding, Importance
from gongshu.model.ids import DatasetId, PartyId
from gongshu.packs import Pack, Packs
from gongshu.secure.parties import PartyRegistry
from gongshu.share.clearances import store
from gongshu.share.clearances.errors import (
    ApprovalRefused,
    ClearanceClosed,
    ClearanceEndUnexplained,
    ClearanceInvalid,
    ClearanceUnknown,
)
from gongshu.share.clearances.judging import is_inside, needed_at_home, needed_kinds
from gongshu.share.clearances.model import APPROVERS, Approval, Clearance, Kind, PartyStanding, State
from gongshu.share.clearances.records import PACK, TEXT_MAX, Case, empty_record, find_faults
from gongshu.share.clearances.states import OPEN, Step, bound_hash, digest_of, role_to_count, state_of
from gongshu.share.ports import CatalogueReader, Clock
from gongshu.share.rights import require_right
from gongshu.share.signals import new_urn

REQUESTERS = frozenset({Role.PRODUCT_OWNER, Role.STEWARD})
ENDERS = REQUESTERS | {Role.SECURITY_ADMIN}
"""Closing needs one person, opening three."""
READERS = ENDERS | {Role.AUDIT_ADMIN}
"""A record names people and risks: it is shown to those who answer for it."""
_PEOPLE = "user:"


class Clearances(Protocol):
    """What the room's judgements ask."""

    def standing(self, dataset: Dataset, party: PartyId, now: datetime) -> PartyStanding:
        """Return what is known about one party for one dataset."""
        ...


class NoClearances:
    """For a node without clearances: nothing is known about anybody."""

    def standing(self, dataset: Dataset, party: PartyId, now: datetime) -> PartyStanding:
        """Return nothing known."""
        del dataset, now
        return PartyStanding(party)


class ClearanceBook:
    """Clearances of one node. Threads may share it."""

    def __init__(
        self,
        database: Database,
        catalogue: CatalogueReader,
        parties: PartyRegistry,
        packs: Packs,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._parties = parties
        self._packs = packs
        self._audit = audit
        self._clock = clock
        self._own_party_id = own_party_id

    # ---- asked in every phase, and by the gate ----------------------------------------------------------------------

    def standing(self, dataset: Dataset, party: PartyId, now: datetime) -> PartyStanding:
        """Return what is known about one party for one dataset, read anew.

        Cost: one small query; two more where the label or the place demands a clearance.
        """
        pack = self._pack()
        with self._database.connect() as connection:
            place = store.place_of(connection, party)
            inside = is_inside(place, pack.value("cross_border.inside"), pack.value("cross_border.outside"))
            known = PartyStanding(party, place, inside)
            needed = needed_kinds(dataset.label, known)
            if not needed:
                return known
            found = store.find_clearances(
                connection, dataset_id=dataset.dataset_id, party_id=party, kinds=needed, unended=True
            )
        bound = bound_hash(dataset, self._fingerprint(party))
        states = [(clearance.kind, state_of(clearance, now, bound)) for clearance in found]
        newest = {kind: f"the newest is {state.value}" for kind, state in reversed(states)}
        in_force = frozenset(kind for kind, state in states if state is State.IN_FORCE)
        return PartyStanding(party, place, inside, in_force, newest)

    def is_cleared(self, dataset: Dataset, party: PartyId | None) -> bool:
        """True if this dataset needs no clearance to go to the party now, or has every one that it needs."""
        now = self._clock()
        if party is None:
            if not needed_at_home(dataset.label):
                return True
            with self._database.connect() as connection:
                asked_for = store.parties_asked_for(connection, dataset.dataset_id)
        else:
            asked_for = [party]
        return any(self._has_all(dataset, self.standing(dataset, each, now)) for each in asked_for)

    def in_force(self, dataset: Dataset, party: PartyId, kind: Kind, now: datetime) -> Clearance | None:
        """Return the newest clearance of a kind that is in force."""
        bound = bound_hash(dataset, self._fingerprint(party))
        with self._database.connect() as connection:
            found = store.find_clearances(
                connection, dataset_id=dataset.dataset_id, party_id=party, kinds=[kind], unended=True
            )
        return next((c for c in found if state_of(c, now, bound) is State.IN_FORCE), None)

    # ---- steps ------------------------------------------------------------------------------------------------------

    def request(
        self,
        kind: Kind,
        dataset_id: DatasetId,
        party: PartyId,
        record: Mapping[str, Any],
        actor: Subject,
        *,
        reason: str,
        valid_until: datetime,
    ) -> Clearance:
        """Request a clearance; it opens nothing before two others approved it.

        Raises: NotAllowed; a NotFound for dataset or party; ClearanceInvalid.
        """
        self._require_person(actor, REQUESTERS, "request clearances")
        self._parties.get(party)
        dataset, now, pack = self._catalogue.dataset(dataset_id), self._clock(), self._pack()
        case = Case(kind, dataset, self.standing(dataset, party, now), pack, now, valid_until)
        faults = [*_label_faults(dataset, reason), *find_faults(record, case)]
        if party == self._own_party_id:
            faults.append("it is this organisation itself")
        if faults:
            raise ClearanceInvalid(dataset_id=dataset_id, party=party, reason="; ".join(dict.fromkeys(faults))[:2000])
        bound, who = bound_hash(dataset, self._fingerprint(party)), actor.subject_id
        clearance = Clearance(
            new_urn(), kind, dataset_id, party, reason.strip(), dict(record), bound, now, who, valid_until
        )
        with self._database.begin() as connection:
            store.insert_clearance(connection, clearance)
            stored = self._find(connection, clearance.clearance_id)
            self._write(actor, "requested", stored, {"reason": reason[:300]})
        return stored

    def approve(self, clearance_id: str, actor: Subject) -> Clearance:
        """Approve a request in one's own name; with the second approval it is in force.

        Raises: NotAllowed, ClearanceUnknown, ClearanceClosed, ApprovalRefused.
        """
        self._require_person(actor, frozenset(APPROVERS), "approve clearances")
        try:
            with self._database.begin() as connection:
                clearance = self._find_open(connection, clearance_id, Step.APPROVE)
                role = role_to_count(clearance, actor.subject_id, actor.roles)
                if not isinstance(role, Role):
                    raise ApprovalRefused(person=actor.subject_id, clearance_id=clearance_id, reason=role)
                approval = Approval(actor.subject_id, role, self._clock(), digest_of(clearance))
                store.insert_approval(connection, clearance_id, approval)
                approved = self._find(connection, clearance_id)
                self._write(actor, "approved", approved, {"role": role.value})
        except sa.exc.IntegrityError as race:
            reason = "somebody else approved it in the same moment"
            raise ApprovalRefused(person=actor.subject_id, clearance_id=clearance_id, reason=reason) from race
        return approved

    def refuse(self, clearance_id: str, actor: Subject, reason: str) -> Clearance:
        """Refuse a request for good.

        Raises: NotAllowed, ClearanceUnknown, ClearanceClosed, ClearanceEndUnexplained.
        """
        self._require_person(actor, frozenset(APPROVERS), "refuse clearances")
        return self._end(clearance_id, actor, reason, Step.REFUSE)

    def revoke(self, clearance_id: str, actor: Subject, reason: str) -> Clearance:
        """End a clearance for good; what flows by it ends within seconds.

        Raises: NotAllowed, ClearanceUnknown, ClearanceClosed, ClearanceEndUnexplained.
        """
        self._require_person(actor, ENDERS, "revoke clearances")
        return self._end(clearance_id, actor, reason, Step.REVOKE)

    # ---- looking ----------------------------------------------------------------------------------------------------

    def all(
        self, actor: Subject, *, dataset_id: str = "", party: str = "", limit: int = 100, offset: int = 0
    ) -> list[tuple[Clearance, State]]:
        """Return clearances and where they stand, newest first. Raises: NotAllowed."""
        require_right(actor, READERS, "see clearances")
        with self._database.connect() as connection:
            found = store.find_clearances(connection, dataset_id=dataset_id, party_id=party, limit=limit, offset=offset)
        return [(clearance, self.state(clearance)) for clearance in found]

    def get(self, clearance_id: str, actor: Subject) -> tuple[Clearance, State]:
        """Return one clearance and where it stands. Raises: NotAllowed, ClearanceUnknown."""
        require_right(actor, READERS, "see clearances")
        with self._database.connect() as connection:
            clearance = self._find(connection, clearance_id)
        return clearance, self.state(clearance)

    def state(self, clearance: Clearance) -> State:
        """Return where a clearance stands now; one whose dataset is gone is outdated."""
        return state_of(clearance, self._clock(), self._bound_now(clearance))

    def form(self, kind: Kind) -> dict[str, Any]:
        """Return the empty form of a record."""
        return empty_record(kind, self._pack())

    # ---- steps inside -----------------------------------------------------------------------------------------------

    def _end(self, clearance_id: str, actor: Subject, reason: str, step: Step) -> Clearance:
        with self._database.begin() as connection:
            self._find_open(connection, clearance_id, step)
            if not 0 < len(reason.strip()) <= TEXT_MAX:
                raise ClearanceEndUnexplained(clearance_id=clearance_id[:200], step=step.value, longest=TEXT_MAX)
            who, now = actor.subject_id, self._clock()
            if not store.end_clearance(connection, clearance_id, step.value, by=who, why=reason.strip(), at=now):
                raise ClearanceClosed(clearance_id=clearance_id[:200], state="ended", step=step.value)
            ended = self._find(connection, clearance_id)
            self._write(actor, step.value, ended, {"reason": reason[:300]})
        return ended

    def _find_open(self, connection: sa.Connection, clearance_id: str, step: Step) -> Clearance:
        clearance = store.find_clearance(connection, clearance_id, lock=True)
        if clearance is None:
            raise ClearanceUnknown(clearance_id=clearance_id[:200])
        state = self.state(clearance)
        if state not in OPEN[step]:
            raise ClearanceClosed(clearance_id=clearance_id, state=state.value, step=step.value)
        return clearance

    def _find(self, connection: sa.Connection, clearance_id: str) -> Clearance:
        clearance = store.find_clearance(connection, clearance_id)
        if clearance is None:
            raise ClearanceUnknown(clearance_id=clearance_id[:200])
        return clearance

    def _bound_now(self, clearance: Clearance) -> str:
        try:
            dataset = self._catalogue.dataset(clearance.dataset_id)
        except GongshuError:  # gone, or declared a state secret
            return ""
        return bound_hash(dataset, self._fingerprint(clearance.party_id))

    def _has_all(self, dataset: Dataset, standing: PartyStanding) -> bool:
        return needed_kinds(dataset.label, standing) <= standing.in_force

    def _fingerprint(self, party: PartyId) -> str:
        try:
            known = self._parties.get(party)
            return f"{known.identity} {known.fingerprint} {known.certificate}"
        except GongshuError:  # no such party, or one without a key of its own
            return ""

    def _require_person(self, actor: Subject, roles: frozenset[Role], act: str) -> None:
        """Raise NotAllowed unless the actor is a person of this organisation with one of the roles."""
        is_own = actor.party_id == self._own_party_id and actor.subject_id.startswith(_PEOPLE)
        require_right(actor if is_own else _nobody(actor), roles, act)

    def _pack(self) -> Pack:
        return self._packs.get(PACK)

    def _write(self, actor: Subject, step: str, clearance: Clearance, more: Mapping[str, Any]) -> None:
        details: dict[str, Any] = {
            "kind": clearance.kind.value,
            "dataset": clearance.dataset_id,
            "party": clearance.party_id,
            "digest": digest_of(clearance),
            "valid_until": clearance.valid_until.isoformat(),
            **more,
        }
        event = AuditEvent(self._clock(), actor.subject_id, f"clearance.{step}", clearance.clearance_id, "ok", details)
        self._audit.write(event)


def _nobody(actor: Subject) -> Subject:
    return Subject(actor.subject_id, actor.party_id, frozenset())


def _label_faults(dataset: Dataset, reason: str) -> list[str]:
    faults = []
    if dataset.label.importance is Importance.CORE:
        faults.append("核心 data do not leave by any procedure of this node")
    if dataset.label.standing is not GradeStanding.CONFIRMED:
        faults.append(f"its grade is {dataset.label.standing.value}; a steward has to confirm it first")
    if not 0 < len(reason.strip()) <= TEXT_MAX:
        faults.append(f"a reason of 1 to {TEXT_MAX} characters is missing")
    return faults
