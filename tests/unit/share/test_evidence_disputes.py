"""A dispute's standings: complete, with a way out of every one, and a street of two parties that go through them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gongshu.model.access import Role, Subject
from gongshu.secure.errors import NotAllowed
from gongshu.share.dsp.states import Side
from gongshu.share.evidence.disputes import FINAL, MAY_CHOOSE, OPEN, Event, Standing, next_state
from gongshu.share.evidence.errors import SettlementRefused
from gongshu.share.evidence.model import EvidenceSettings
from tests.unit.share.evidence_world import CONTRACT, Office, Street

S = Standing
COMPATIBLE = {
    (S.AGREED, S.AGREED),
    (S.SETTLED, S.SETTLED),
    (S.ENDED, S.ENDED),
    (S.ENDED, S.SETTLED),
    (S.DISPUTED, S.DISPUTED),
    (S.ANSWERED, S.ASKED),
    (S.OPPOSED, S.OPPOSED),
}
"""How the two sides may stand once everything that was said has arrived."""


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.close()


def reachable(start: Standing) -> set[Standing]:
    found, fresh = {start}, [start]
    while fresh:
        state = fresh.pop()
        new = {next_state(state, event) for event in Event} - found
        found |= new
        fresh += new
    return found


def test_every_standing_is_reached_and_every_open_one_can_be_left_by_us_alone() -> None:
    assert reachable(S.WAITING_THEIRS) | reachable(S.WAITING_OURS) == set(Standing)
    for state in OPEN:
        assert next_state(state, Event.CONTRACT_ENDS) is S.ENDED
        assert next_state(state, Event.LINES_EQUAL) is S.AGREED
        assert next_state(state, Event.LINES_COVER) is S.COVERED
    for state in (S.WAITING_OURS, S.WAITING_THEIRS):
        assert next_state(state, Event.OVERDUE) in OPEN


def test_what_is_final_stays_so_and_only_open_standings_freeze() -> None:
    for state in FINAL:
        assert {next_state(state, event) for event in Event} == {state}
    assert OPEN | FINAL | {S.WAITING_OURS, S.WAITING_THEIRS} == set(Standing)
    assert MAY_CHOOSE < OPEN
    assert S.ANSWERED not in MAY_CHOOSE


def test_equal_lines_are_countersigned_by_both_and_freeze_nothing(street: Street) -> None:
    street.mill.deliver("key-1")
    street.shop.deliver("key-1")
    street.meet()
    assert (street.mill.stands(), street.shop.stands()) == ({"key-1": "agreed"}, {"key-1": "agreed"})
    kinds = sorted((each.direction, each.kind.value) for each in street.mill.evidence.entries(CONTRACT, street.mill.li))
    assert kinds == [("in", "agree"), ("in", "line"), ("out", "agree"), ("out", "line")]
    assert street.mill.status() == street.shop.status() == "active"


@pytest.mark.parametrize("fault", ["rows", "bytes"])
def test_figures_that_differ_freeze_both_sides_and_both_see_both(street: Street, fault: str) -> None:
    street.mill.deliver("key-1", rows=10, content=b"rows")
    street.shop.deliver("key-1", rows=9 if fault == "rows" else 10, content=b"rows" if fault == "rows" else b"other")
    street.meet()
    assert street.mill.status() == street.shop.status() == "disputed"
    mine, theirs = street.mill.one("key-1"), street.shop.one("key-1")
    assert (mine.ours, mine.theirs) == (theirs.theirs, theirs.ours)
    assert mine.ours != mine.theirs
    assert "figures differ" in mine.reason + theirs.reason
    assert [e.action for e in street.mill.audit.entries(action="evidence.*")] == ["evidence.disputed"]


def test_a_line_that_stays_away_freezes_and_thaws_when_it_comes(street: Street) -> None:
    street.mill.deliver("key-1")
    street.shop.deliver("key-1")
    street.meet()
    street.mill.deliver("key-2")
    street.meet()
    assert street.mill.stands()["key-2"] == "waiting_theirs"
    assert street.mill.status() == "active"
    street.clock.forward(hours=7)
    street.meet()
    assert street.mill.status() == street.shop.status() == "disputed"
    assert "missing" in street.mill.one("key-2").reason
    street.shop.deliver("key-2")
    street.meet()
    assert street.mill.stands()["key-2"] == street.shop.stands()["key-2"] == "agreed"
    assert street.mill.status() == street.shop.status() == "active"


def test_a_connector_that_meters_nothing_is_shown_as_one_sided_and_never_frozen(street: Street) -> None:
    street.is_foreign = True
    street.mill.deliver("")
    street.clock.forward(days=40)
    street.meet()
    (found,) = street.mill.evidence.metered(street.mill.li)
    assert found.is_one_sided
    assert found.standing is S.WAITING_THEIRS
    assert street.mill.status() == "active"
    assert found.delivery == "delivery-1"


def disputed(street: Street) -> None:
    street.mill.deliver("key-1", rows=10)
    street.shop.deliver("key-1", rows=9)
    street.meet()


def test_one_person_on_each_side_settles_a_dispute(street: Street) -> None:
    disputed(street)
    street.mill.evidence.settle(CONTRACT, "key-1", Side.CONSUMER, street.mill.li, reason="our counter lost a batch")
    street.meet()
    assert (street.mill.stands(), street.shop.stands()) == ({"key-1": "answered"}, {"key-1": "asked"})
    assert street.shop.one("key-1").their_choice == "consumer"
    assert street.mill.status() == "disputed"
    with pytest.raises(SettlementRefused):
        street.mill.evidence.settle(CONTRACT, "key-1", Side.PROVIDER, street.mill.li, reason="changed my mind")
    street.shop.evidence.settle(CONTRACT, "key-1", Side.CONSUMER, street.shop.li, reason="yes")
    street.meet()
    assert street.mill.stands() == street.shop.stands() == {"key-1": "settled"}
    assert street.mill.status() == street.shop.status() == "active"


def test_opposed_answers_may_be_given_anew(street: Street) -> None:
    disputed(street)
    street.mill.evidence.settle(CONTRACT, "key-1", Side.PROVIDER, street.mill.li, reason="ours")
    street.shop.evidence.settle(CONTRACT, "key-1", Side.CONSUMER, street.shop.li, reason="ours")
    street.meet()
    assert street.mill.stands() == street.shop.stands() == {"key-1": "opposed"}
    street.shop.evidence.settle(CONTRACT, "key-1", Side.PROVIDER, street.shop.li, reason="after a call")
    street.meet()
    street.mill.evidence.settle(CONTRACT, "key-1", Side.PROVIDER, street.mill.li, reason="after a call")
    street.meet()
    assert street.mill.stands() == street.shop.stands() == {"key-1": "settled"}


def test_who_may_not_deal_may_not_settle(street: Street) -> None:
    disputed(street)
    viewer = Subject(street.mill.li.subject_id, street.mill.party, frozenset({Role.VIEWER}))
    with pytest.raises(NotAllowed):
        street.mill.evidence.settle(CONTRACT, "key-1", Side.PROVIDER, viewer, reason="")


def test_ending_the_contract_ends_the_dispute_on_both_sides(street: Street) -> None:
    disputed(street)
    street.mill.retire("no agreement about the figures")
    street.meet()
    assert street.mill.stands() == street.shop.stands() == {"key-1": "ended"}
    assert street.shop.status() == "retired"
    assert street.shop.ended == [(CONTRACT, "the other side ended it: no agreement about the figures")]
    ends = [e for e in street.mill.evidence.entries(CONTRACT, street.mill.li) if e.kind == "end"]
    assert {each.direction for each in ends} == {"out", "in"}, "the holder signs that it has ended there too"


def test_a_counterpart_that_vanished_leaves_nothing_stuck(street: Street) -> None:
    street.mill.deliver("key-0")
    street.shop.deliver("key-0")
    street.meet()
    street.is_cut = True
    street.mill.deliver("key-1")
    street.meet()
    street.clock.forward(hours=7)
    street.meet()
    assert street.mill.status() == "disputed"
    street.mill.evidence.settle(CONTRACT, "key-1", Side.PROVIDER, street.mill.li, reason="we have sent it")
    street.clock.forward(days=31)
    street.meet()
    assert (street.mill.status(), street.mill.stands()["key-1"]) == ("retired", "ended")
    street.is_cut = False
    street.clock.forward(hours=7)
    street.meet()
    assert street.shop.status() == "retired"


def test_a_clock_that_is_not_believed_lets_no_dispute_lapse(street: Street) -> None:
    street.mill.deliver("key-0", content=b"these")
    street.shop.deliver("key-0", content=b"those")
    street.meet()
    street.mill.counted = street.shop.counted = street.clock()
    street.clock.forward(days=400)
    street.meet()
    assert street.mill.status() == street.shop.status() == "disputed"
    street.mill.counted = None
    street.meet()
    assert street.mill.status() == street.shop.status() == "retired"


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_lost_repeated_or_late_both_sides_end_alike(tmp_path: Path, seed: int) -> None:
    street, random = Street(tmp_path, EvidenceSettings(line_within_s=600, lapse_after_s=10**7)), Random(seed)
    keys = [f"key-{number}" for number in range(3)]
    plans = [(office, key) for office in (street.mill, street.shop) for key in keys if random.random() < 0.8]
    random.shuffle(plans)

    def act() -> None:
        office: Office = random.choice((street.mill, street.shop))
        choice = random.random()
        if choice < 0.3 and plans:
            planned, key = plans.pop()
            planned.deliver(key, rows=random.choice((10, 10, 9)))
        elif choice < 0.5:
            key, side = random.choice(keys), random.choice((Side.PROVIDER, Side.CONSUMER))
            with contextlib.suppress(SettlementRefused):
                office.evidence.settle(CONTRACT, key, side, office.li, reason=f"seed {seed}")
        elif choice < 0.6:
            street.clock.forward(minutes=11)
        elif choice < 0.7:
            street.is_cut = not street.is_cut
        else:
            office.evidence.step()

    for _ in range(40):
        act()
    street.is_cut = False
    for _ in range(4):
        street.clock.forward(hours=7)
        street.meet()
    for key in keys:
        pair = tuple(sorted((Standing(o.stands().get(key, "ended")) for o in (street.mill, street.shop)), key=str))
        lonely = key not in street.mill.stands() and key not in street.shop.stands()
        assert lonely or pair in {tuple(sorted(each, key=str)) for each in COMPATIBLE}, (seed, key, pair)
    assert street.mill.status() == street.shop.status(), f"seed {seed}"
    street.close()
