"""The nine conditions: each fires alone, the highest counts, silence never lowers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.govern.errors import FactUnknown
from gongshu.govern.grading import FACTS, Facts, accident_class, grade_facts, importance_of, loss_class
from gongshu.model.grade import Grade, Importance
from tests.unit.govern.parts import packs

GUIDE, MEASURES, ACCIDENTS = (
    packs().get(name) for name in ("industrial-data-grading", "miit-data-security", "accident-classes")
)
SHEETS = st.fixed_dictionaries({}, optional={fact: st.sampled_from(values) for fact, values in FACTS.items()})

TRUTH = [
    ({"accident": "especially_serious"}, "condition.3.1", 3),
    ({"environment": "especially_serious"}, "condition.3.1", 3),
    ({"loss": "especially_huge"}, "condition.3.1", 3),
    ({"national_impact": "serious"}, "condition.3.2", 3),
    ({"accident": "larger"}, "condition.2.1", 2),
    ({"accident": "major"}, "condition.2.1", 2),
    ({"environment": "major"}, "condition.2.1", 2),
    ({"enterprise_impact": "large"}, "condition.2.1", 2),
    ({"loss": "larger"}, "condition.2.1", 2),
    ({"cascade": "several_enterprises"}, "condition.2.2", 2),
    ({"cascade": "several_regions"}, "condition.2.2", 2),
    ({"cascade": "several_industries"}, "condition.2.2", 2),
    ({"lasts_long": "yes"}, "condition.2.2", 2),
    ({"partners_leak": "many"}, "condition.2.2", 2),
    ({"personal_leak": "many"}, "condition.2.2", 2),
    ({"recovery": "costly"}, "condition.2.3", 2),
    ({"control_impact": "small"}, "condition.1.1", 1),
    ({"enterprise_impact": "small"}, "condition.1.2", 1),
    ({"loss": "small"}, "condition.1.2", 1),
    ({"cascade": "single"}, "condition.1.3", 1),
    ({"lasts_long": "no"}, "condition.1.3", 1),
    ({"recovery": "cheap"}, "condition.1.4", 1),
]


@pytest.mark.parametrize("values, condition, grade", TRUTH)
def test_each_fact_fires_its_condition(values: dict[str, str], condition: str, grade: int) -> None:
    result = grade_facts(Facts.of(values), GUIDE)
    assert result.grade == grade
    assert [fired.item.key for fired in result.fired] == [condition]


def test_every_condition_of_the_pack_can_fire() -> None:
    assert {row[1] for row in TRUTH} == {item.key for item in GUIDE.under("condition")}


def test_the_facts_of_the_pack_and_of_the_code_are_the_same() -> None:
    asked = {(a["fact"], value) for item in GUIDE.under("condition") for a in item.value["any"] for value in a["in"]}
    assert asked <= {(fact, value) for fact, values in FACTS.items() for value in values}
    assert {fact for fact, _ in asked} == FACTS.keys()
    for item in packs().get("platform-grading").items.values():
        if item.key.startswith(("facts.", "marker.")):
            Facts.of(item.value)


def test_the_highest_condition_counts_and_the_others_stay_visible() -> None:
    result = grade_facts(Facts.of({"recovery": "cheap", "personal_leak": "many"}), GUIDE)
    assert result.grade is Grade.TWO
    assert {fired.grade for fired in result.fired} == {Grade.ONE, Grade.TWO}
    assert {condition.item.key for condition in result.open} == {"condition.3.1", "condition.3.2"}


def test_without_facts_the_strictest_grade_stays_possible() -> None:
    assert grade_facts(Facts.of({}), GUIDE).grade is Grade.THREE


@given(SHEETS, SHEETS)
def test_worse_facts_never_lower_the_grade(one: dict[str, str], two: dict[str, str]) -> None:
    sheet, other = Facts.of(one), Facts.of(two)
    both = Facts.worst_of([sheet, other])
    known = grade_facts(both, GUIDE)
    for part in (sheet, other):
        alone = grade_facts(part, GUIDE)
        if alone.fired:
            assert known.grade >= alone.grade


@pytest.mark.parametrize(
    "values, importance",
    [
        ({"recovery": "cheap"}, Importance.GENERAL),
        ({"recovery": "costly"}, Importance.GENERAL),
        ({"cascade": "several_regions"}, Importance.IMPORTANT),
        ({"accident": "especially_serious"}, Importance.IMPORTANT),
        ({"national_impact": "serious"}, Importance.CORE),
    ],
)
def test_the_crosswalk_is_the_platforms_and_says_so(values: dict[str, str], importance: Importance) -> None:
    facts = Facts.of(values)
    level, item = importance_of(grade_facts(facts, GUIDE), facts, MEASURES)
    assert level is importance
    assert item.confidence == "platform"
    assert "平台" in item.citation


@pytest.mark.parametrize(
    "deaths, injuries, loss_cny, name",
    [
        (0, 0, 0, "general"),
        (2, 9, 9_999_999, "general"),
        (3, 0, 0, "larger"),
        (0, 10, 0, "larger"),
        (0, 0, 10_000_000, "larger"),
        (10, 0, 0, "major"),
        (0, 50, 0, "major"),
        (0, 0, 50_000_000, "major"),
        (30, 0, 0, "especially_serious"),
        (0, 100, 0, "especially_serious"),
        (0, 0, 100_000_000, "especially_serious"),
    ],
)
def test_accidents_are_classed_at_their_bounds(deaths: int, injuries: int, loss_cny: float, name: str) -> None:
    assert accident_class(ACCIDENTS, deaths=deaths, injuries=injuries, loss_cny=loss_cny) == name


def test_losses_are_classed_by_the_platforms_own_bounds() -> None:
    assert [loss_class(ACCIDENTS, loss) for loss in (9e6, 1e7, 1e8)] == ["small", "larger", "especially_huge"]


def test_an_unknown_fact_or_value_is_refused() -> None:
    with pytest.raises(FactUnknown, match="recovery=cheap"):
        Facts.of({"colour": "red"})
    with pytest.raises(FactUnknown):
        Facts.of({"recovery": "dear"})
