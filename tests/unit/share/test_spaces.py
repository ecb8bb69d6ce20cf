"""Spaces between an operator and its members: admission, the matrix at work, entries, revocation, news."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.secure.dcp.fetching import HttpFetch
from gongshu.secure.errors import NotAllowed
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party
from gongshu.secure.peer_tls import TlsSettings
from gongshu.secure.trust_documents import read_trust_list
from gongshu.secure.trust_lists import TrustLists
from gongshu.share.errors import PeerAnswerInvalid, PeerRefused, PeerUnreachable
from gongshu.share.key_changes.service import KeyChanges
from gongshu.share.spaces.errors import (
    ApplicationInvalid,
    EntryUnknown,
    IdentifierInvalid,
    RulesNotSigned,
    SpaceForbids,
    SpaceMoveIllegal,
    SpaceUnknown,
)
from gongshu.share.spaces.identifiers import require_identifier
from gongshu.share.spaces.notices import NOTICE_PATH
from gongshu.share.spaces.register import read_admitted
from gongshu.share.spaces.roles import APPLICABLE, Act, SpaceRole, may
from gongshu.share.spaces.signing import rules_hash, sign_rules
from gongshu.share.spaces.states import Standing, Step
from gongshu.share.spaces.tables import space_links
from gongshu.share.trusting import Trusting
from tests.conftest import Clock
from tests.unit.share.town import AREA, ORGANISATION, RULES, House, Json, Town, town

OPERATOR = PartyId("urn:gongshu:party:operator")


@pytest.fixture
def village(tmp_path: Path, clock: Clock) -> Iterator[Town]:
    with town(tmp_path, clock, "mill", "shop") as made:
        yield made


def product(resource: str, **more: Any) -> Json:
    base: Json = {"kind": "product", "title": "主轴温度数据产品", "description": "hourly", "resources": [resource]}
    base |= {"delivery": "HttpData-PULL", "dataset_id": "orders", "offer_id": "o1", "terms": {"uses_max": 2}}
    return base | more


def resource(title: str = "Spindle temperature") -> Json:
    return {"kind": "resource", "title": title, "description": "from the mill's machines"}


class Place:
    """A space with its operator, a provider and a user, and short ways to act in it."""

    def __init__(self, village: Town) -> None:
        self.town, self.operator = village, village.house("operator")
        self.host, self.li = self.operator.spaces.host, self.operator.li
        self.space_id = village.open_space()
        self.mill = village.join(self.space_id, "mill", "provider")
        self.shop = village.join(self.space_id, "shop", "user")

    def say(self, house: House, message: str, document: Json) -> Json:
        return self.operator.spaces.desk.answer(house.party, self.space_id, message, document)

    def submit(self, entry: Json) -> str:
        return str(self.mill.spaces.membership.submit(OPERATOR, self.space_id, entry, self.mill.li)["entry_id"])

    def found(self, words: str = "") -> list[str]:
        answer = self.shop.spaces.membership.look(OPERATOR, self.space_id, "catalogue", self.shop.li, words=words)
        return [entry["title"] for entry in answer["entries"]]

    def activate(self, entry: Json) -> str:
        entry_id = self.submit(entry)
        self.host.audit(self.space_id, entry_id, self.li)
        self.host.register(self.space_id, entry_id, self.li)
        self.mill.spaces.membership.publish(OPERATOR, self.space_id, entry_id, self.mill.li)
        return entry_id


@pytest.fixture
def place(village: Town) -> Place:
    return Place(village)


# ---- T5-1: roles and admission ---------------------------------------------------------------------------


@pytest.mark.parametrize("role", sorted(APPLICABLE))
def test_the_endpoints_keep_to_the_matrix(village: Town, role: SpaceRole) -> None:
    space_id = village.open_space()
    member = village.join(space_id, "mill", role.value)
    other = village.join(space_id, "shop", "provider")
    operator = village.house("operator")
    desk, host, li = operator.spaces.desk, operator.spaces.host, operator.li

    def registered() -> str:
        owner = member if may([role], Act.SUBMIT) else other
        entry_id = str(desk.answer(owner.party, space_id, "entry", resource())["entry_id"])
        host.audit(space_id, entry_id, li)
        host.register(space_id, entry_id, li)
        return entry_id

    fact = {"agreement_id": "a", "provider": member.party, "consumer": other.party, "status": "active"}
    fact |= {"policy_hash": "0" * 64, "agreed_at": "2026-11-02T08:00:00Z"}
    theirs = {**fact, "agreement_id": "b", "provider": other.party, "consumer": "urn:x:third"}
    desk.answer(other.party, space_id, "contract", theirs)
    tried: dict[Act, Any] = {
        Act.SEE_CATALOGUE: lambda: desk.answer(member.party, space_id, "question", {"what": "catalogue"}),
        Act.SEE_MEMBERS: lambda: desk.answer(member.party, space_id, "question", {"what": "members"}),
        Act.SEE_HISTORY: lambda: desk.answer(member.party, space_id, "question", {"what": "history"}),
        Act.SUBMIT: lambda: desk.answer(member.party, space_id, "entry", resource()),
        Act.PUBLISH: lambda: desk.answer(member.party, space_id, "publish", {"entry_id": registered()}),
        Act.WITHDRAW: lambda: desk.answer(member.party, space_id, "withdraw", {"entry_id": registered()}),
        Act.REPORT: lambda: desk.answer(member.party, space_id, "contract", fact),
        Act.LEAVE: lambda: desk.answer(member.party, space_id, "leave", {}),
    }
    seen = desk.answer(member.party, space_id, "question", {"what": "contracts"})["contracts"]
    assert bool(seen) == may([role], Act.SEE_CONTRACTS), "others' contracts are for the regulator alone"
    for act, attempt_it in tried.items():
        if may([role], act):
            attempt_it()
        else:
            with pytest.raises(SpaceForbids, match=role.value):
                attempt_it()
    assert set(Act) - tried.keys() - {Act.SEE_CONTRACTS} == {Act.AUDIT, Act.ADMIT, Act.DISSOLVE}
    assert set(desk.messages) == {"rules", "apply", "leave", "entry", "publish", "withdraw", "contract", "question"}


def test_admission_takes_signed_rules_and_a_record_of_the_check(village: Town) -> None:
    space_id, operator = village.open_space(), village.house("operator")
    mill, host = village.house("mill"), operator.spaces.host
    assert mill.spaces.membership.rules(OPERATOR, space_id, mill.li)["rules"] == RULES
    assert village.apply(space_id, mill, "provider", "user")["state"] == "applied"
    with pytest.raises(SpaceForbids, match="not admitted"):
        operator.spaces.desk.answer(mill.party, space_id, "question", {"what": "catalogue"})
    with pytest.raises(ApplicationInvalid, match="identity"):
        host.admit(space_id, mill.party, operator.li, identity_check=" ")
    admitted = host.admit(space_id, mill.party, operator.li, identity_check="licence seen")
    assert (admitted["state"], admitted["roles"]) == ("admitted", ["provider", "user"])
    assert (admitted["identity_check"], admitted["fingerprint"]) == ("licence seen", mill.keys.fingerprint())
    assert village.tell() == 1
    assert mill.spaces.membership.standings(mill.li)[0]["state"] == "admitted"
    steps = [(line["step"], line["actor"]) for line in host.history(space_id, operator.li)]
    assert ("admitted", "user:li") in steps


@pytest.mark.parametrize(
    "change, error",
    [
        ({"signature": "00" * 64}, RulesNotSigned),
        ({"signature": ""}, ApplicationInvalid),
        ({"rules_hash": rules_hash("other rules")}, RulesNotSigned),
        ({"roles": ["provider"]}, RulesNotSigned),
        ({"roles": ["operator"]}, ApplicationInvalid),
        ({"roles": ["regulator", "user"]}, ApplicationInvalid),
        ({"roles": []}, ApplicationInvalid),
        ({"roles": ["god"]}, ApplicationInvalid),
        ({"area": "000000"}, IdentifierInvalid),
        ({"organisation": "x"}, ApplicationInvalid),
        ({"rows": [1, 2]}, ApplicationInvalid),
    ],
)
def test_a_false_application_is_refused(village: Town, change: Json, error: type[Exception]) -> None:
    space_id, mill = village.open_space(), village.house("mill")
    digest = rules_hash(RULES)
    signature = sign_rules(mill.keys, space_id=space_id, party=mill.party, roles=["user"], rules_digest=digest)
    sent: Json = {"roles": ["user"], "area": AREA, "organisation": ORGANISATION, "rules_hash": digest}
    desk = village.house("operator").spaces.desk
    with pytest.raises(error):
        desk.answer(mill.party, space_id, "apply", {**sent, "signature": signature, **change})
    with pytest.raises(RulesNotSigned):
        desk.answer(village.house("shop").party, space_id, "apply", {**sent, "signature": signature})
    assert desk.answer(mill.party, space_id, "apply", {**sent, "signature": signature})["state"] == "applied"


def test_who_does_not_belong_learns_nothing(place: Place) -> None:
    stranger = PartyId("urn:gongshu:party:stranger")
    desk = place.operator.spaces.desk
    for message, document in (("question", {"what": "members"}), ("entry", resource()), ("leave", {})):
        with pytest.raises(SpaceUnknown) as inside:
            desk.answer(stranger, place.space_id, message, document)
        with pytest.raises(SpaceUnknown) as outside:
            desk.answer(stranger, "urn:uuid:none", message, document)
        assert inside.value.code == outside.value.code


def test_only_the_right_people_decide(place: Place) -> None:
    viewer = Subject(SubjectId("user:guest"), OPERATOR, frozenset({Role.VIEWER}))
    with pytest.raises(NotAllowed):
        place.host.decide_member(place.space_id, place.mill.party, Step.EXPEL, viewer, "")
    with pytest.raises(NotAllowed):
        place.host.approve(place.space_id, viewer)
    assert place.host.members(place.space_id, viewer)


def test_a_suspended_regulator_reads_which_sight_it_has_lost(place: Place) -> None:
    space_id = place.town.open_space("Gears")
    office = place.town.join(space_id, "mill", "regulator")
    place.host.decide_member(space_id, office.party, Step.SUSPEND, place.li, "under review")
    with pytest.raises(SpaceForbids, match="may not see the facts of all contracts"):
        place.operator.spaces.desk.answer(office.party, space_id, "question", {"what": "contracts"})


def test_what_takes_something_away_is_explained_to_whom_it_concerns(place: Place) -> None:
    entry_id, host, li = place.submit(resource()), place.host, place.li
    taken: list[Callable[[str], Json]] = [
        *(partial(host.decide_member, place.space_id, place.shop.party, s, li) for s in (Step.SUSPEND, Step.EXPEL)),
        *(partial(host.decide_entry, place.space_id, entry_id, s, li) for s in (Step.REFUSE, Step.WITHDRAW)),
        partial(host.dissolve, place.space_id, li),
    ]
    for take in taken:
        with pytest.raises(ApplicationInvalid, match="no reason is given"):
            take(" ")
    assert host.space(place.space_id, li)["state"] == "active"
    assert {member["state"] for member in host.members(place.space_id, li)} == {"admitted"}


def test_suspended_members_wait_expelled_ones_stay_out_refused_ones_may_come_again(place: Place) -> None:
    host, li, mill = place.host, place.li, place.mill
    host.decide_member(place.space_id, mill.party, Step.SUSPEND, li, "late fee")
    with pytest.raises(SpaceForbids):
        place.say(mill, "entry", resource())
    host.decide_member(place.space_id, mill.party, Step.RESUME, li, "paid")
    assert place.say(mill, "entry", resource())["state"] == "pending"
    host.decide_member(place.space_id, mill.party, Step.EXPEL, li, "breach")
    with pytest.raises(PeerRefused, match="expelled"):
        place.town.apply(place.space_id, mill, "user")
    with pytest.raises(SpaceMoveIllegal):
        host.decide_member(place.space_id, mill.party, Step.RESUME, li, "")
    other = place.town.open_space("Gears")
    place.town.apply(other, mill, "user")
    host.decide_member(other, mill.party, Step.REFUSE, li, "incomplete")
    assert place.town.apply(other, mill, "provider")["state"] == "applied"


def test_expulsion_ends_access_at_every_member_and_tells_them(place: Place) -> None:
    mill, shop, town_ = place.mill, place.shop, place.town
    place.activate(resource())
    mine = place.submit(resource("Another"))
    linked = mill.agree(shop, "1", offer_id="o1")
    place.host.audit(place.space_id, mine, place.li)
    place.submit(product(mine))
    reported, elsewhere = mill.agree(shop, "2"), mill.agree(shop, "3")
    mill.spaces.membership.report(OPERATOR, place.space_id, reported, mill.li)
    town_.tell()
    place.host.decide_member(place.space_id, shop.party, Step.EXPEL, place.li, "sold data on")
    town_.tell()
    assert [mill.status(each) for each in (linked, reported, elsewhere)] == ["retired", "retired", "active"]
    assert "expelled" in mill.agreement(linked).reason
    assert shop.spaces.membership.standings(shop.li)[0]["state"] == "expelled"
    place.host.decide_member(place.space_id, mill.party, Step.EXPEL, place.li, "too")
    states = {entry["state"] for entry in place.host.entries(place.space_id, place.li)}
    assert states == {"withdrawn"}
    assert place.host.catalogue(place.space_id, "主轴温度", place.li) == []


def test_news_waits_for_who_is_silent_in_order_and_is_obeyed_once(place: Place, clock: Clock) -> None:
    mill, shop, town_ = place.mill, place.shop, place.town
    town_.tell()
    agreement = mill.agree(shop, "1")
    mill.spaces.membership.report(OPERATOR, place.space_id, agreement, mill.li)
    town_.silent.add(mill.party)
    for step in (Step.SUSPEND, Step.RESUME, Step.EXPEL):
        clock.forward(seconds=1)
        place.host.decide_member(place.space_id, shop.party, step, place.li, "late fee")
    town_.tell()
    assert mill.status(agreement) == "active"
    town_.silent.clear()
    assert town_.tell() == 0, "it is not asked again at once"
    clock.forward(minutes=5)
    assert town_.tell() == 3
    assert mill.status(agreement) == "retired"
    paths = [path for _, party, path in town_.sent if party == mill.party]
    clock.forward(days=2)
    assert town_.tell() == 0
    assert [path for _, party, path in town_.sent if party == mill.party] == paths


def test_nobody_else_brings_news(place: Place) -> None:
    mill, shop = place.mill, place.shop
    agreement = mill.agree(shop, "1")
    mill.spaces.membership.report(OPERATOR, place.space_id, agreement, mill.li)
    news: Json = {"notice_id": "n1", "space_id": place.space_id, "about": "space", "name": place.space_id}
    news |= {"state": "dissolved", "at": "2026-11-02T08:00:00Z"}
    with pytest.raises(SpaceForbids):
        mill.spaces.membership.receive(shop.party, news)
    with pytest.raises(ApplicationInvalid):
        mill.spaces.membership.receive(OPERATOR, {**news, "at": "yesterday"})
    assert mill.status(agreement) == "active"
    mill.spaces.membership.receive(OPERATOR, news)
    mill.spaces.membership.receive(OPERATOR, news)
    assert mill.status(agreement) == "retired"


def test_who_is_not_registered_there_yet_reads_what_to_do(village: Town) -> None:
    space_id, mill = village.open_space(), village.house("mill")
    village.strangers.add(mill.party)
    with pytest.raises(PeerRefused, match="gongshu share invite"):
        mill.spaces.membership.rules(OPERATOR, space_id, mill.li)


def test_a_lost_answer_to_an_application_leaves_no_member_deaf_to_news(village: Town) -> None:
    space_id, mill, operator = village.open_space(), village.house("mill"), village.house("operator")
    village.mute.add("apply")
    with pytest.raises(PeerUnreachable):
        village.apply(space_id, mill, "provider")
    village.mute.clear()
    operator.spaces.host.admit(space_id, mill.party, operator.li, identity_check="licence seen")
    shop = village.join(space_id, "shop", "user")
    agreement = mill.agree(shop, "1")
    mill.spaces.membership.report(OPERATOR, space_id, agreement, mill.li)
    operator.spaces.host.decide_member(space_id, shop.party, Step.EXPEL, operator.li, "sold data on")
    village.tell()
    assert mill.spaces.membership.standings(mill.li)[0]["state"] == "admitted"
    assert mill.status(agreement) == "retired"


def test_a_refused_application_changes_nothing_here(village: Town) -> None:
    space_id, mill = village.open_space(), village.house("mill")
    more = {"area": AREA, "organisation": ORGANISATION}
    with pytest.raises(PeerRefused, match="another version"):
        mill.spaces.membership.apply(OPERATOR, space_id, ["user"], mill.li, rules="other rules", **more)
    assert mill.spaces.membership.standings(mill.li) == []
    village.join(space_id, "mill", "provider")
    village.tell()
    with pytest.raises(PeerRefused, match="admitted"):
        village.apply(space_id, mill, "user")
    (told,) = mill.spaces.membership.standings(mill.li)
    assert (told["state"], told["roles"]) == ("admitted", "provider")


@pytest.mark.parametrize("message", ["entry", "contract"])
def test_what_was_told_to_a_space_belongs_to_it_even_if_the_answer_is_lost(place: Place, message: str) -> None:
    mill, shop, member = place.mill, place.shop, place.mill.spaces.membership
    own = place.submit(resource())
    place.host.audit(place.space_id, own, place.li)
    agreement, kept = mill.agree(shop, "1", offer_id="o1"), mill.agree(shop, "2", offer_id="o2")
    place.town.mute.add(message)
    tell: dict[str, Callable[[], Json]] = {
        "entry": lambda: member.submit(OPERATOR, place.space_id, product(own), mill.li),
        "contract": lambda: member.report(OPERATOR, place.space_id, agreement, mill.li),
    }
    with pytest.raises(PeerUnreachable):
        tell[message]()
    with pytest.raises(PeerRefused):
        member.submit(OPERATOR, place.space_id, product("none", offer_id="o2"), mill.li)
    place.town.mute.clear()
    place.host.decide_member(place.space_id, shop.party, Step.EXPEL, place.li, "sold data on")
    place.town.tell()
    assert (mill.status(agreement), mill.status(kept)) == ("retired", "active")


def test_news_that_is_not_taken_holds_up_none_of_another_space(place: Place) -> None:
    mill, shop, village = place.mill, place.shop, place.town
    village.tell()
    village.mute.add("requests")
    with pytest.raises(PeerUnreachable):
        mill.spaces.membership.request_space(OPERATOR, "Gears", RULES, mill.li)
    asked = next(each for each in place.host.spaces(place.li) if each["title"] == "Gears")
    place.host.refuse(asked["space_id"], place.li, "no purpose")
    village.tell()
    agreement = mill.agree(shop, "1")
    mill.spaces.membership.report(OPERATOR, place.space_id, agreement, mill.li)
    place.host.decide_member(place.space_id, shop.party, Step.EXPEL, place.li, "sold data on")
    village.tell()
    assert mill.status(agreement) == "retired"


def test_a_member_of_many_spaces_that_is_silent_is_waited_for_once(village: Town) -> None:
    spaces = [village.open_space() for _ in range(3)]
    houses = [village.house("mill"), village.house("shop")]
    for space_id in spaces:
        for house in houses:
            village.apply(space_id, house, "user")
            village.house("operator").spaces.host.admit(
                space_id, house.party, village.house("operator").li, identity_check="licence seen"
            )
    village.silent.add(houses[0].party)
    village.sent.clear()
    village.tell()
    asked = [to for _, to, path in village.sent if path == NOTICE_PATH]
    assert asked.count(houses[0].party) == 1
    assert all(each["state"] == "admitted" for each in houses[1].spaces.membership.standings(houses[1].li))


@pytest.mark.parametrize("named", ["../../x", "x" * 201, ["a"], ""])
@pytest.mark.parametrize("act", ["apply", "submit", "report", "leave"])
def test_an_operator_that_names_its_space_oddly_changes_nothing_here(
    place: Place, monkeypatch: pytest.MonkeyPatch, named: object, act: str
) -> None:
    mill, member, li = place.mill, place.mill.spaces.membership, place.mill.li
    before, agreement = member.standings(li), mill.agree(place.shop, "1")
    monkeypatch.setattr(place.operator, "take", lambda *_: {"space_id": named, "title": "x", "state": "left"})
    acts: dict[str, Callable[[], Json]] = {
        "apply": lambda: member.apply(
            OPERATOR, place.space_id, ["user"], li, area=AREA, organisation=ORGANISATION, rules=RULES
        ),
        "submit": lambda: member.submit(OPERATOR, place.space_id, product("none", offer_id="o1"), li),
        "report": lambda: member.report(OPERATOR, place.space_id, agreement, li),
        "leave": lambda: member.leave(OPERATOR, place.space_id, li),
    }
    with pytest.raises(PeerAnswerInvalid):
        acts[act]()
    with mill.database.connect() as connection:
        assert connection.execute(sa.select(space_links)).all() == []
    assert member.standings(li) == before


def test_a_standing_that_was_asked_for_counts_like_news(place: Place, clock: Clock) -> None:
    mill, shop, village = place.mill, place.shop, place.town
    agreement = mill.agree(shop, "1")
    mill.spaces.membership.report(OPERATOR, place.space_id, agreement, mill.li)
    village.tell()
    village.silent.add(mill.party)
    place.host.dissolve(place.space_id, place.li, "the project ended")
    village.tell()
    clock.now += timedelta(days=31)
    village.tell()
    village.silent.clear()
    mill.spaces.membership.look(OPERATOR, place.space_id, "standing", mill.li)
    assert mill.spaces.membership.standings(mill.li)[0]["state"] == "ended"
    assert mill.status(agreement) == "retired"


HOSTILE: list[tuple[str, Json]] = [
    ("standing", {"state": "admitted", "roles": 7}),
    ("standing", {"state": ["admitted"]}),
    ("standing", {"state": "admitted", "entries": "<b>"}),
    ("catalogue", {"entries": [{"entry_id": "1", "title": "a", "state": "active", "kind": ["resource"]}]}),
    ("catalogue", {}),
    ("members", {"members": [{"party": {"a": 1}}]}),
    ("contracts", {"contracts": [{"provider": "urn:p"}]}),
    ("history", {"history": [{"life": "ghost", "name": "", "state": "", "actor": "", "reason": "", "at": None}]}),
]


@pytest.mark.parametrize(("what", "answer"), HOSTILE)
def test_an_operator_that_answers_something_else_is_one_clear_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str, answer: Json
) -> None:
    membership, li = place.mill.spaces.membership, place.mill.li
    before = membership.standings(li)
    monkeypatch.setattr(place.operator, "take", lambda *_: answer)
    with pytest.raises(PeerAnswerInvalid, match=f"the question for the {what} of a space"):
        membership.look(OPERATOR, place.space_id, what, li)
    assert membership.standings(li) == before


@pytest.mark.parametrize("what", ["standing", "catalogue", "members"])
def test_what_our_own_operator_answers_has_the_form(place: Place, what: str) -> None:
    place.activate({"kind": "resource", "title": "spindle"})
    answer = place.mill.spaces.membership.look(OPERATOR, place.space_id, what, place.mill.li)
    assert answer["roles" if what == "standing" else "entries" if what == "catalogue" else "members"]
    newer = {**answer, "new_field": 1}
    place.operator.take = lambda *_: newer  # type: ignore[method-assign]  # a newer version says more
    assert place.mill.spaces.membership.look(OPERATOR, place.space_id, what, place.mill.li) == newer


def test_what_a_person_writes_is_kept_whole_or_refused(place: Place) -> None:
    host, long = place.host, "x" * 2001
    with pytest.raises(ApplicationInvalid, match="at most 2000 characters"):
        host.decide_member(place.space_id, place.shop.party, Step.SUSPEND, place.li, long)
    with pytest.raises(ApplicationInvalid, match="at most 2000 characters"):
        host.admit(place.space_id, place.shop.party, place.li, identity_check=long)


def test_a_membership_is_with_a_key(place: Place, tmp_path: Path, clock: Clock) -> None:
    operator, shop = place.operator, place.shop
    keys = KeyStore(tmp_path / "other-keys")
    operator.parties.replace(replace(operator.parties.get(shop.party), public_key_pem=keys.public_key_pem()))
    questions = [("question", {"what": what}) for what in ("standing", "catalogue", "members")]
    for message, document in [*questions, ("leave", {})]:
        with pytest.raises(SpaceForbids, match="another one than it was admitted with"):
            place.say(shop, message, document)
    changes = KeyChanges(operator.database, operator.parties, operator.audit, clock)
    (stranded,) = changes.stranded(place.li)
    assert (stranded.party_id, stranded.spaces) == (shop.party, (place.space_id,))
    change = changes.request(shop.party, place.li, reason="new machine, told on the phone")
    wu = replace(place.li, subject_id=SubjectId("user:wu"))
    changes.confirm(change.change_id, keys.fingerprint(), wu)
    assert place.say(shop, "question", {"what": "catalogue"}) == {"entries": []}
    assert place.say(shop, "leave", {})["state"] == "left"
    assert changes.stranded(place.li) == []


def test_the_signed_list_of_a_space_names_its_admitted_members_alone(place: Place, clock: Clock) -> None:
    operator, mill, shop = place.operator, place.mill, place.shop
    ourselves = Party(OPERATOR, "", operator.keys.public_key_pem(), "https://operator.example")
    fetch = HttpFetch(TlsSettings())
    lists = TrustLists(operator.database, operator.parties, operator.audit, clock, fetch, OPERATOR, [])
    admitted = partial(read_admitted, operator.database)
    trusting = Trusting(lists, operator.keys, operator.parties, clock, lambda: ourselves, admitted)

    def named(space_id: str) -> set[str]:
        return {member.party_id for member in read_trust_list(trusting.publish(space_id, place.li)[0]).members}

    assert named(place.space_id) == named("TDS-000001") == {OPERATOR, mill.party, shop.party}
    place.host.decide_member(place.space_id, shop.party, Step.EXPEL, place.li, "sold data on")
    assert named(place.space_id) == {OPERATOR, mill.party}
    assert named("urn:gongshu:space:kept-elsewhere") == {OPERATOR, mill.party, shop.party}


# ---- T5-2: logical spaces ---------------------------------------------------------------------------


def test_a_logical_space_is_requested_audited_numbered_and_dissolved(village: Town) -> None:
    operator, mill = village.house("operator"), village.house("mill")
    host, li = operator.spaces.host, operator.li
    asked = mill.spaces.membership.request_space(OPERATOR, "Gear chain", RULES, mill.li)
    space_id = asked["space_id"]
    assert (asked["state"], host.space(space_id, li)["number"]) == ("requested", None)
    with pytest.raises(PeerRefused):
        village.apply(space_id, mill, "provider")
    approved = host.approve(space_id, li, "in order")
    assert (approved["state"], approved["number"]) == ("active", "TDS-000001")
    village.tell()
    assert mill.spaces.membership.standings(mill.li)[0]["state"] == "active"
    with pytest.raises(SpaceMoveIllegal):
        host.approve(space_id, li)
    village.join("TDS-000001", "mill", "provider")
    shop = village.join(space_id, "shop", "user")
    agreement = mill.agree(shop, "1")
    mill.spaces.membership.report(OPERATOR, space_id, agreement, mill.li)
    mill.spaces.membership.submit(OPERATOR, space_id, resource(), mill.li)
    host.dissolve(space_id, li, "the project ended")
    village.tell()
    assert mill.status(agreement) == "retired"
    assert {member["state"] for member in host.members(space_id, li)} == {"ended"}
    assert {entry["state"] for entry in host.entries(space_id, li)} == {"withdrawn"}
    assert {each.spaces.membership.standings(each.li)[0]["state"] for each in (mill, shop)} == {"ended"}
    with pytest.raises(SpaceForbids, match="dissolved"):
        operator.spaces.desk.answer(shop.party, space_id, "question", {"what": "catalogue"})
    again = host.request("Next", RULES, li)
    assert host.approve(again["space_id"], li)["number"] == "TDS-000002"


def test_a_member_knows_a_space_by_its_title_and_reads_why_it_was_refused(village: Town) -> None:
    mill, host, li = village.house("mill"), village.house("operator").spaces.host, village.house("operator").li
    asked = mill.spaces.membership.request_space(OPERATOR, "Bearings", RULES, mill.li)
    host.refuse(asked["space_id"], li, "the rules lack an end")
    village.tell()
    (told,) = mill.spaces.membership.standings(mill.li)
    assert (told["title"], told["state"], told["reason"]) == ("Bearings", "refused", "the rules lack an end")


def test_the_owner_of_an_entry_reads_why_it_was_refused(place: Place) -> None:
    entry_id = place.submit(resource())
    place.host.decide_entry(place.space_id, entry_id, Step.REFUSE, place.li, "no machine is named")
    mine = place.mill.spaces.membership.look(OPERATOR, place.space_id, "standing", place.mill.li)
    assert mine["title"] == "Bearings"
    assert [(each["entry_id"], each["reason"]) for each in mine["entries"]] == [(entry_id, "no machine is named")]


@pytest.mark.parametrize("odd", ["", "../../x", "a/b", "a b", "?x", "x" * 201])
def test_an_odd_id_of_a_space_never_becomes_an_address(village: Town, odd: str) -> None:
    mill, before = village.house("mill"), len(village.sent)
    with pytest.raises(SpaceUnknown):
        mill.spaces.membership.rules(OPERATOR, odd, mill.li)
    assert len(village.sent) == before


@pytest.mark.parametrize(
    ("title", "rules", "said"),
    [
        ("", RULES, "the name: it is missing"),
        ("x" * 401, RULES, "the name: at most 400 characters"),
        ("a\nb", RULES, "the name: it is not in the form"),
        ("Bearings", "", "the rules of the space: it is missing"),
    ],
)
def test_what_a_person_typed_wrongly_is_said_in_words(village: Town, title: str, rules: str, said: str) -> None:
    with pytest.raises(ApplicationInvalid, match=said):
        village.house("operator").spaces.host.request(title, rules, village.house("operator").li)


def test_a_refused_request_is_told_and_stays_refused(village: Town) -> None:
    operator, mill = village.house("operator"), village.house("mill")
    asked = mill.spaces.membership.request_space(OPERATOR, "Odd", RULES, mill.li)
    operator.spaces.host.refuse(asked["space_id"], operator.li, "no purpose")
    village.tell()
    assert mill.spaces.membership.standings(mill.li)[0]["state"] == "refused"
    with pytest.raises(SpaceMoveIllegal):
        operator.spaces.host.approve(asked["space_id"], operator.li)


# ---- T5-4: entries ---------------------------------------------------------------------------


def test_only_active_entries_are_found_by_meaning_in_both_languages(place: Place) -> None:
    entry_id = place.submit(resource())
    stages = [place.found("主轴温度")]
    place.host.audit(place.space_id, entry_id, place.li)
    stages.append(place.found("主轴温度"))
    registered = place.host.register(place.space_id, entry_id, place.li)
    stages.append(place.found("主轴温度"))
    place.mill.spaces.membership.publish(OPERATOR, place.space_id, entry_id, place.mill.li)
    assert stages == [[], [], []]
    for words in ("主轴温度", "spindle temperature", "zhuzhou wendu", ""):
        assert place.found(words) == ["Spindle temperature"]
    assert require_identifier(registered["identifier"]).startswith(f"{AREA}{ORGANISATION}/1000001")
    place.mill.spaces.membership.withdraw(OPERATOR, place.space_id, entry_id, place.mill.li, "replaced")
    assert place.found("主轴温度") == place.found() == []
    lines = [line for line in place.host.history(place.space_id, place.li) if line["name"] == entry_id]
    steps = [(line["state"], line["actor"]) for line in reversed(lines)]
    mill = place.mill.party
    assert steps == [
        ("pending", mill), ("audited", "user:li"), ("registered", "user:li"), ("active", mill), ("withdrawn", mill),
    ]  # fmt: skip


def test_steps_cannot_be_left_out(place: Place) -> None:
    entry_id = place.submit(resource())
    with pytest.raises(SpaceMoveIllegal, match="audited"):
        place.host.register(place.space_id, entry_id, place.li)
    with pytest.raises(SpaceMoveIllegal):
        place.say(place.mill, "publish", {"entry_id": entry_id})
    place.host.decide_entry(place.space_id, entry_id, Step.REFUSE, place.li, "no such data")
    with pytest.raises(SpaceMoveIllegal):
        place.host.audit(place.space_id, entry_id, place.li)


def test_a_product_is_made_of_audited_resources_of_its_owner(place: Place) -> None:
    own = place.submit(resource())
    with pytest.raises(ApplicationInvalid, match="audited"):
        place.say(place.mill, "entry", product(own))
    place.host.audit(place.space_id, own, place.li)
    made = place.say(place.mill, "entry", product(own))
    assert (made["kind"], made["resources"], made["terms"]) == ("product", [own], {"uses_max": 2})
    with pytest.raises(EntryUnknown):
        place.say(place.mill, "entry", product(made["entry_id"]))
    place.host.audit(place.space_id, made["entry_id"], place.li)
    number = place.host.register(place.space_id, made["entry_id"], place.li)["identifier"]
    assert number.split("/")[1][:7] == "2000001"
    assert place.host.entries(place.space_id, place.li, state=Standing.REGISTERED)[0]["entry_id"] == made["entry_id"]


def test_an_entry_is_its_owners_alone(place: Place) -> None:
    entry_id = place.activate(resource())
    other = place.town.open_space("Other")
    place.town.join(other, "shop", "provider")
    for space_id in (place.space_id, other):
        with pytest.raises((EntryUnknown, SpaceForbids)):
            place.operator.spaces.desk.answer(place.shop.party, space_id, "withdraw", {"entry_id": entry_id})
    assert place.found() == ["Spindle temperature"]


@pytest.mark.parametrize(
    "document",
    [
        {}, {"kind": "resource"}, {"kind": "x", "title": "t"}, {"kind": "resource", "title": ""},
        {"kind": "resource", "title": "a\x00b"}, {"kind": "resource", "title": "t" * 401},
        {"kind": "resource", "title": "t", "rows": [[1, 2]]}, {"kind": "resource", "title": ["t"]},
        {"kind": "product", "title": "t"}, product("r", resources=[]), product("r", terms=[]),
        {"kind": "resource", "title": "t", "description": "d" * 20_001},
    ],
)  # fmt: skip
def test_odd_entries_are_refused_with_their_place(place: Place, document: Json) -> None:
    with pytest.raises(ApplicationInvalid):
        place.say(place.mill, "entry", document)


def test_reports_are_about_own_contracts_and_hold_no_data(place: Place) -> None:
    fact: Json = {"agreement_id": "a", "provider": place.mill.party, "consumer": place.shop.party, "status": "active"}
    fact |= {"policy_hash": "0" * 64, "agreed_at": "2026-11-02T08:00:00Z"}
    for house in (place.mill, place.shop, place.mill):
        place.say(house, "contract", fact)
    assert len(place.host.contracts(place.space_id, place.li)) == 2
    for change in ({"provider": "urn:x:y", "consumer": "urn:x:z"}, {"consumer": place.mill.party}):
        with pytest.raises(SpaceForbids):
            place.say(place.mill, "contract", {**fact, **change})
    odd: list[Json] = [{"rows": [1]}, {"policy_hash": "x"}, {"agreed_at": "2026-11-02T08:00:00"}]
    for more in odd:
        with pytest.raises(ApplicationInvalid):
            place.say(place.mill, "contract", {**fact, **more})


def test_news_is_given_up_after_a_month(place: Place, clock: Clock) -> None:
    place.town.silent |= {place.mill.party, place.shop.party}
    place.town.tell()
    clock.now += timedelta(days=31)
    place.town.tell()
    place.town.silent.clear()
    clock.now += timedelta(days=1)
    assert place.town.tell() == 0
