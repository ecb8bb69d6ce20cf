"""Clearances: who may request, approve and end them, where they stand, and that nothing else opens what they close."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Role, Subject
from gongshu.model.dataset import Column
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.errors import NotAllowed
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.share.clearances.book import ClearanceBook
from gongshu.share.clearances.errors import (
    ApprovalRefused,
    ClearanceClosed,
    ClearanceEndUnexplained,
    ClearanceInvalid,
    ClearanceUnknown,
)
from gongshu.share.clearances.judging import judge_grade, needed_kinds
from gongshu.share.clearances.model import Approval, Clearance, Kind, PartyStanding, State
from gongshu.share.clearances.records import aspects_of
from gongshu.share.clearances.states import OPEN, Step, digest_of, state_of
from gongshu.share.contract_tables import share_clearance_approvals, share_clearances
from gongshu.share.partners import PartnerBook
from gongshu.share.policy import SharePolicy
from gongshu.share.terms import Phase, Terms
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.world import MILL, ORDERS, SHOP, SPY, Memory, Shelf

PACK = load_packs().get("network-data-security")
TERMS = Terms(parties=frozenset({SHOP}))
STRICT_RECORD: dict[str, Any] = {"knowers": [{"name": "tester (synthetic)", "post": "process"}], "mark": {"load": 3}}


def person(name: str, *roles: Role, party: PartyId = MILL) -> Subject:
    return Subject(SubjectId(name), party, frozenset(roles))


OWNER = person("user:owner", Role.PRODUCT_OWNER)
STEWARD = person("user:steward", Role.STEWARD)
GUARD = person("user:guard", Role.SECURITY_ADMIN)
BOTH = person("user:both", Role.STEWARD, Role.SECURITY_ADMIN)


class Desk:
    """One provider's clearances on a real database."""

    def __init__(self, folder: Path, database: Database | None = None) -> None:
        self.clock, self.audit = Clock(), Memory()
        self.database = database or new_database(folder / "mill.db")
        self.parties = PartyRegistry(self.database, self.audit, self.clock)
        for party in (SHOP, SPY):
            keys = KeyStore(folder / party.rsplit(":", 1)[1])
            self.parties.add(Party(party, party, keys.public_key_pem(), f"http://{party.rsplit(':', 1)[1]}.example"))
        self.shelf = Shelf(self.clock)
        self.book = ClearanceBook(self.database, self.shelf, self.parties, load_packs(), self.audit, self.clock, MILL)
        self.partners = PartnerBook(self.database, self.parties, self.audit, self.clock)
        self.policy = SharePolicy(self.shelf, self.clock, self.partners, self.book)
        self.partners.register_place(SHOP, "CN-33", "test", OWNER)
        self.grade(Grade.THREE)

    def grade(
        self, grade: Grade, importance: Importance = Importance.GENERAL, *, days: int = 300, **changes: Any
    ) -> None:
        label = GradeLabel(
            grade, importance, "production", GradeStanding.CONFIRMED, self.clock() + timedelta(days=days)
        )
        old = self.shelf.datasets[ORDERS]
        columns = (Column("part", "VARCHAR"), Column("load", "DOUBLE"))
        values: dict[str, Any] = {"label": label, "columns": columns} | changes
        self.shelf.datasets[ORDERS] = replace(old, **values)

    def request(self, kind: Kind = Kind.STRICT, actor: Subject = OWNER, **changes: Any) -> Clearance:
        records: dict[Kind, Callable[[], dict[str, Any]]] = {
            Kind.STRICT: lambda: dict(STRICT_RECORD),
            Kind.IMPORTANT: self.important,
            Kind.CROSS_BORDER: self.abroad,
        }
        given: dict[str, Any] = {
            "party": SHOP,
            "record": records[kind](),
            "reason": "joint fault analysis",
            "valid_until": self.clock() + timedelta(days=30),
        } | changes
        party, record = given.pop("party"), given.pop("record")
        return self.book.request(kind, ORDERS, party, record, actor, **given)

    def cleared(self, kind: Kind = Kind.STRICT, **changes: Any) -> Clearance:
        asked = self.request(kind, **changes)
        self.book.approve(asked.clearance_id, STEWARD)
        return self.book.approve(asked.clearance_id, GUARD)

    def day(self, days: int = 0) -> str:
        return (self.clock() + timedelta(days=days)).date().isoformat()

    def important(self) -> dict[str, Any]:
        aspects = {key: {"finding": "seen on site", "acceptable": True} for key in aspects_of(PACK)}
        return {
            "agreement": {"reference": "2026-17", "signed_on": self.day(-9)},
            "receiver_check": {"by": "user:guard", "on": self.day(-8), "finding": "certificate seen"},
            "assessment": {"by": "user:guard", "on": self.day(-7), "aspects": aspects},
        }

    def abroad(self) -> dict[str, Any]:
        return {
            "path": "security_assessment",
            "reference": "no. 5",
            "issued_on": self.day(-3),
            "valid_until": self.day(200),
        }

    def why_not(self, party: PartyId = SHOP, phase: Phase = Phase.ACCESS) -> str:
        return self.policy.why_not_offer(ORDERS, Terms(parties=frozenset({SHOP, SPY})), party, phase) or ""

    def state(self, clearance: Clearance) -> State:
        return self.book.get(clearance.clearance_id, OWNER)[1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.database.close()


# ---- the table of states --------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
PLAIN = Clearance(
    *("c", Kind.STRICT, DatasetId("d"), SHOP, "r", STRICT_RECORD, "bound", NOW, "user:owner"),
    valid_until=NOW + timedelta(days=1),
)


def yes(by: str, role: Role, digest: str = "") -> Approval:
    return Approval(by, role, NOW, digest or digest_of(PLAIN))


ONE, OTHER = yes("user:a", Role.STEWARD), yes("user:b", Role.SECURITY_ADMIN)


@pytest.mark.parametrize(
    ("changes", "bound", "later", "state"),
    [
        ({}, "bound", 0, State.REQUESTED),
        ({"approvals": (ONE,)}, "bound", 0, State.REQUESTED),
        ({"approvals": (ONE, OTHER)}, "bound", 0, State.IN_FORCE),
        ({"approvals": (ONE, replace(OTHER, role=Role.STEWARD))}, "bound", 0, State.REQUESTED),
        ({"approvals": (ONE, replace(OTHER, by="user:a"))}, "bound", 0, State.REQUESTED),
        ({"approvals": (ONE, replace(OTHER, by="user:owner"))}, "bound", 0, State.REQUESTED),
        ({"approvals": (ONE, replace(OTHER, digest="x"))}, "bound", 0, State.OUTDATED),
        ({"approvals": (ONE, OTHER), "record": {}}, "bound", 0, State.OUTDATED),
        ({"approvals": (ONE, OTHER), "party_id": SPY}, "bound", 0, State.OUTDATED),
        ({"approvals": (ONE, OTHER), "valid_until": NOW + timedelta(days=9)}, "bound", 0, State.OUTDATED),
        ({"approvals": (ONE, OTHER)}, "other", 0, State.OUTDATED),
        ({"approvals": (ONE, OTHER)}, "", 0, State.OUTDATED),
        ({"approvals": (ONE, OTHER)}, "bound", 24, State.EXPIRED),
        ({"approvals": (ONE, OTHER), "ended_as": "revoked"}, "bound", 0, State.REVOKED),
        ({"ended_as": "refused"}, "bound", 99, State.REFUSED),
    ],
)
def test_the_table_of_states(changes: dict[str, Any], bound: str, later: int, state: State) -> None:
    assert state_of(replace(PLAIN, **changes), NOW + timedelta(hours=later), bound) is state


def test_no_step_leads_out_of_an_end_and_only_a_request_is_approved() -> None:
    ends = {State.REFUSED, State.REVOKED, State.EXPIRED}
    assert all(not states & ends for states in OPEN.values())
    assert OPEN[Step.APPROVE] == OPEN[Step.REFUSE] == {State.REQUESTED}


# ---- what the grade demands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "CN", "CN-33", "CN-HK", "DE"])
@pytest.mark.parametrize("importance", Importance)
@pytest.mark.parametrize("grade", Grade)
def test_every_clearance_that_is_needed_is_missed(grade: Grade, importance: Importance, place: str) -> None:
    label = GradeLabel(grade, importance, "x", GradeStanding.CONFIRMED, NOW)
    standing = PartyStanding(SHOP, place, is_inside=place in ("CN", "CN-33"))
    needed = needed_kinds(label, standing)
    is_high = grade >= Grade.TWO or importance is not Importance.GENERAL
    assert (Kind.STRICT in needed) == (grade is Grade.THREE)
    assert (Kind.IMPORTANT in needed) == (importance is not Importance.GENERAL)
    assert (Kind.CROSS_BORDER in needed) == (place in ("CN-HK", "DE") or (not place and is_high))
    whole = replace(standing, in_force=needed)
    allowed = judge_grade(label, TERMS, [whole]) is None
    assert allowed == (importance is not Importance.CORE)
    for kind in needed:
        assert judge_grade(label, TERMS, [whole, replace(standing, in_force=needed - {kind})])
    for lower in (GradeStanding.PROPOSED, GradeStanding.EXPIRED):
        assert judge_grade(replace(label, standing=lower), TERMS, [whole])
    assert bool(judge_grade(label, Terms(uses_max=1), [whole])) == (is_high or not allowed)


def test_three_with_nobody_known_is_closed() -> None:
    label = GradeLabel(Grade.THREE, Importance.GENERAL, "x", GradeStanding.CONFIRMED, NOW)
    assert "nothing is known" in str(judge_grade(label, TERMS))


# ---- the life of one ------------------------------------------------------------------------------------------------


def test_two_people_of_two_roles_put_it_in_force(desk: Desk) -> None:
    assert "there is none" in desk.why_not()
    asked = desk.request()
    assert "requested" in desk.why_not()
    desk.book.approve(asked.clearance_id, STEWARD)
    assert desk.state(asked) is State.REQUESTED
    assert desk.why_not()
    desk.book.approve(asked.clearance_id, GUARD)
    assert desk.state(asked) is State.IN_FORCE
    assert [desk.why_not(phase=phase) for phase in Phase if phase is not Phase.KEEP] == [""] * 4
    assert desk.why_not(SPY)
    assert desk.policy.why_not_grade(ORDERS, Terms(), [SHOP])
    dataset = desk.shelf.dataset(ORDERS)
    assert [desk.book.is_cleared(dataset, party) for party in (SHOP, SPY, None)] == [True, False, True]
    steps = [event for event in desk.audit.events if event.action.startswith("clearance.")]
    assert [step.action for step in steps] == ["clearance.requested", "clearance.approved", "clearance.approved"]
    assert len({step.details["digest"] for step in steps}) == 1


@pytest.mark.parametrize("role", Role)
def test_the_matrix_of_roles(desk: Desk, role: Role) -> None:
    them = person("user:them", role)

    def may(act: Callable[[], object]) -> bool:
        try:
            act()
        except NotAllowed:
            return False
        return True

    asked = [desk.request().clearance_id for _ in range(3)]
    ends = role in (Role.PRODUCT_OWNER, Role.STEWARD, Role.SECURITY_ADMIN)
    approves = role in (Role.STEWARD, Role.SECURITY_ADMIN)
    assert may(lambda: desk.request(actor=them)) == (role in (Role.PRODUCT_OWNER, Role.STEWARD))
    assert may(lambda: desk.book.approve(asked[0], them)) == approves
    assert may(lambda: desk.book.refuse(asked[1], them, "no need")) == approves
    assert may(lambda: desk.book.revoke(asked[2], them, "over")) == ends
    assert may(lambda: desk.book.all(them)) == (ends or role is Role.AUDIT_ADMIN)


@pytest.mark.parametrize(
    "nobody",
    [
        person("user:x", *Role, party=SHOP),
        person("service:app", *Role),
        person(f"partner:{SHOP}", *Role, party=SHOP),
        person("system:share", *Role),
    ],
)
def test_only_people_of_this_organisation_deal_with_clearances(desk: Desk, nobody: Subject) -> None:
    asked = desk.request()
    acts: tuple[Callable[[], object], ...] = (
        lambda: desk.request(actor=nobody),
        lambda: desk.book.approve(asked.clearance_id, nobody),
        lambda: desk.book.refuse(asked.clearance_id, nobody, "x"),
        lambda: desk.book.revoke(asked.clearance_id, nobody, "x"),
    )
    for act in acts:
        with pytest.raises(NotAllowed):
            act()


def test_one_person_counts_once_and_who_requests_does_not_count(desk: Desk) -> None:
    asked = desk.request()
    assert desk.book.approve(asked.clearance_id, BOTH).approvals[0].role is Role.STEWARD
    with pytest.raises(ApprovalRefused, match="same person"):
        desk.book.approve(asked.clearance_id, BOTH)
    with pytest.raises(ApprovalRefused, match="the other role is missing"):
        desk.book.approve(asked.clearance_id, STEWARD)
    assert desk.state(asked) is State.REQUESTED
    own = desk.request(actor=person("user:both", Role.STEWARD, Role.SECURITY_ADMIN))
    with pytest.raises(ApprovalRefused, match="requested it"):
        desk.book.approve(own.clearance_id, BOTH)


def test_of_many_who_approve_at_once_one_a_role_counts(desk: Desk) -> None:
    asked = desk.request().clearance_id
    people = [person(f"user:{n}", (Role.STEWARD, Role.SECURITY_ADMIN)[n % 2]) for n in range(8)]
    refused: list[Exception] = []
    gate = threading.Barrier(len(people))

    def approve(who: Subject) -> None:
        gate.wait()
        try:
            desk.book.approve(asked, who)
        except (ApprovalRefused, ClearanceClosed) as late:
            refused.append(late)

    threads = [threading.Thread(target=approve, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, state = desk.book.get(asked, OWNER)
    assert (len(refused), state) == (6, State.IN_FORCE)
    assert {approval.role for approval in found.approvals} == {Role.STEWARD, Role.SECURITY_ADMIN}


def test_what_ended_stays_ended(desk: Desk) -> None:
    refused = desk.book.refuse(desk.request().clearance_id, GUARD, "the circle is too wide")
    revoked = desk.book.revoke(desk.cleared().clearance_id, OWNER, "the project is over")
    assert (desk.state(refused), desk.state(revoked)) == (State.REFUSED, State.REVOKED)
    assert desk.why_not()
    for ended in (refused.clearance_id, revoked.clearance_id):
        with pytest.raises(ClearanceClosed):
            desk.book.approve(ended, STEWARD)
        for end in (desk.book.refuse, desk.book.revoke):
            with pytest.raises(ClearanceClosed):
                end(ended, STEWARD, "x")
    with pytest.raises(ClearanceUnknown):
        desk.book.approve("urn:uuid:nothing", STEWARD)
    for wordless in ("  ", "x" * 4001):
        with pytest.raises(ClearanceEndUnexplained, match="is not revoked: a reason of 1 to 4000 characters"):
            desk.book.revoke(desk.cleared().clearance_id, OWNER, wordless)


def test_the_clock_ends_it(desk: Desk) -> None:
    made = desk.cleared()
    desk.clock.forward(days=29)
    assert desk.why_not() == ""
    desk.clock.forward(days=1)
    assert desk.state(made) is State.EXPIRED
    assert desk.why_not()


@pytest.mark.parametrize(
    "change",
    [
        lambda desk: desk.grade(Grade.THREE, Importance.IMPORTANT),
        lambda desk: desk.grade(Grade.THREE, days=301),
        lambda desk: desk.grade(Grade.THREE, columns=(Column("load", "DOUBLE"), Column("recipe", "VARCHAR"))),
        lambda desk: desk.grade(Grade.THREE, series=(7,)),
        lambda desk: desk.parties.replace(
            replace(desk.parties.get(SHOP), public_key_pem=desk.parties.get(SPY).public_key_pem)
        ),
        lambda desk: desk.partners.register_place(SHOP, "DE", "moved", OWNER),
        lambda desk: desk.shelf.datasets.pop(ORDERS),
    ],
    ids=["grade", "review", "columns", "series", "key", "place", "gone"],
)
def test_what_changed_since_is_closed_at_once(desk: Desk, change: Callable[[Desk], object]) -> None:
    desk.cleared()
    assert desk.why_not() == ""
    change(desk)
    assert desk.why_not()


def test_a_record_that_was_altered_in_the_database_opens_nothing(desk: Desk) -> None:
    made = desk.cleared()
    for table, values in (
        (share_clearances, {"party_id": SPY}),
        (share_clearances, {"valid_until": desk.clock() + timedelta(days=900)}),
        (share_clearance_approvals, {"digest": "0" * 64}),
    ):
        with desk.database.begin() as connection:
            connection.execute(sa.update(table).values(**values))
        assert desk.why_not(SHOP)
        assert desk.why_not(SPY)
    assert desk.state(made) is State.OUTDATED


# ---- records --------------------------------------------------------------------------------------------------------


def refused(desk: Desk, kind: Kind, **changes: Any) -> str:
    with pytest.raises(ClearanceInvalid) as caught:
        desk.request(kind, **changes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ({}, "knowers"),
        (STRICT_RECORD | {"knowers": []}, "1 to 50 persons"),
        (STRICT_RECORD | {"knowers": [{"name": "x"}]}, "post"),
        (STRICT_RECORD | {"knowers": [{"name": " ", "post": "y"}]}, "name of a knower"),
        (STRICT_RECORD | {"mark": {}}, "watermark"),
        (STRICT_RECORD | {"mark": {"part": 3}}, "DOUBLE"),
        (STRICT_RECORD | {"mark": {"load": 0}}, "1 to 9"),
        (STRICT_RECORD | {"mark": {"load": True}}, "1 to 9"),
        (STRICT_RECORD | {"approved": True}, "nothing else"),
        ({"knowers": "x" * 100, "mark": [1]}, "persons"),
    ],
)
def test_a_strict_record_is_whole(desk: Desk, record: dict[str, Any], word: str) -> None:
    assert word in refused(desk, Kind.STRICT, record=record)


def test_a_request_that_cannot_be_is_refused(desk: Desk) -> None:
    assert "past" in refused(desk, Kind.STRICT, valid_until=desk.clock())
    assert "yearly review" in refused(desk, Kind.STRICT, valid_until=desk.clock() + timedelta(days=301))
    assert "reason" in refused(desk, Kind.STRICT, reason=" ")
    assert "does not need" in refused(desk, Kind.IMPORTANT)
    assert "needs no cross-border" in refused(desk, Kind.CROSS_BORDER)
    desk.grade(Grade.THREE, Importance.CORE)
    assert "核心" in refused(desk, Kind.STRICT)
    desk.grade(Grade.TWO)
    assert "does not need" in refused(desk, Kind.STRICT)


def test_important_data_need_all_six_aspects(desk: Desk) -> None:
    desk.grade(Grade.TWO, Importance.IMPORTANT)
    assert len(aspects_of(PACK)) == 6
    for key in aspects_of(PACK):
        record = desk.important()
        del record["assessment"]["aspects"][key]
        assert "a finding for each" in refused(desk, Kind.IMPORTANT, record=record)
        record = desk.important()
        record["assessment"]["aspects"][key]["acceptable"] = False
        assert f"the aspect {key} is not found acceptable" in refused(desk, Kind.IMPORTANT, record=record)
    for part in ("agreement", "receiver_check", "assessment"):
        assert part in refused(desk, Kind.IMPORTANT, record=desk.important() | {part: {}})
    later = desk.important()
    later["receiver_check"]["on"] = desk.day(3)
    assert "has begun" in refused(desk, Kind.IMPORTANT, record=later)
    old = desk.important()
    old["assessment"]["on"] = desk.day(-350)
    assert "12 months" in refused(desk, Kind.IMPORTANT, record=old)
    assert desk.why_not()
    desk.cleared(Kind.IMPORTANT)
    assert desk.why_not() == ""


def test_what_goes_abroad_needs_its_record_whatever_the_grade(desk: Desk) -> None:
    desk.partners.register_place(SHOP, "CN-HK", "test", OWNER)
    desk.grade(Grade.ONE)
    assert "goes to CN-HK and needs a cross-border record" in desk.why_not()
    assert "path is one of" in refused(desk, Kind.CROSS_BORDER, record=desk.abroad() | {"path": "post"})
    assert "reference" in refused(desk, Kind.CROSS_BORDER, record=desk.abroad() | {"reference": ""})
    short = desk.abroad() | {"valid_until": desk.day(5)}
    assert "with the record's valid_until" in refused(desk, Kind.CROSS_BORDER, record=short)
    desk.cleared(Kind.CROSS_BORDER, record=desk.abroad() | {"path": "exempt"})
    assert desk.why_not() == ""
    desk.grade(Grade.THREE, Importance.IMPORTANT)
    by_contract = desk.abroad() | {"path": "standard_contract"}
    assert "security_assessment only" in refused(desk, Kind.CROSS_BORDER, record=by_contract)
    for kind in Kind:
        assert desk.why_not()
        desk.cleared(kind)
    assert desk.why_not() == ""


def test_a_party_without_a_place_gets_one_but_not_two(desk: Desk) -> None:
    desk.grade(Grade.ONE)
    assert desk.why_not(SPY) == ""
    desk.grade(Grade.TWO)
    assert "share place" in desk.why_not(SPY)
    desk.cleared(Kind.CROSS_BORDER, party=SPY)
    assert desk.why_not(SPY) == ""
