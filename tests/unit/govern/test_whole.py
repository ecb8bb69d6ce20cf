"""A whole is never below its parts or sources; and the examples in docstrings hold."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gongshu.govern
import gongshu.packs
from gongshu.govern.classify.propose import Classifier
from gongshu.govern.model import Part, Proposal
from gongshu.govern.whole import is_below, propose_whole
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from tests.unit.govern.parts import packs

CATEGORIES = [item.key.removeprefix("category.") for item in packs().get("industrial-data-grading").under("category")]
LABELS = st.builds(
    GradeLabel,
    grade=st.sampled_from(Grade),
    importance=st.sampled_from(Importance),
    category=st.sampled_from(CATEGORIES),
    standing=st.just(GradeStanding.PROPOSED),
    valid_until=st.none(),
)
PROPOSALS = st.builds(
    Proposal,
    category=st.sampled_from(CATEGORIES),
    category_2022=st.just("production"),
    grade=st.sampled_from(Grade),
    importance=st.sampled_from(Importance),
    confidence=st.floats(0, 1),
    evidence=st.just(()),
)
PARTS = st.lists(st.builds(Part, name=st.text(max_size=8), label=LABELS, proposal=PROPOSALS), min_size=1, max_size=8)


@given(PARTS)
def test_a_whole_is_never_proposed_below_a_part(parts: list[Part]) -> None:
    whole = propose_whole(parts, ())
    for part in parts:
        assert not is_below(whole.grade, whole.importance, part.label.grade, part.label.importance)
        assert not is_below(whole.grade, whole.importance, part.proposal.grade, part.proposal.importance)
    assert whole.category in {part.proposal.category for part in parts}


@given(PARTS, PARTS)
def test_one_more_part_never_lowers_a_whole(parts: list[Part], more: list[Part]) -> None:
    before, after = propose_whole(parts, ()), propose_whole([*parts, *more], ())
    assert not is_below(after.grade, after.importance, before.grade, before.importance)


def test_every_category_has_assumed_facts_or_belongs_to_platform_enterprises() -> None:
    assumed = {item.key.removeprefix("facts.") for item in packs().get("platform-grading").under("facts")}
    for category in CATEGORIES:
        assert category in assumed or category.split(".")[0] in ("platform", "enterprise"), category


def test_every_category_has_a_class_of_2022() -> None:
    measures = Classifier(packs()).measures
    for category in CATEGORIES:
        for name in measures.value(f"crosswalk.class.{category.split('.')[0]}"):
            assert measures.value(f"class.{name}")


MODULES = [
    module.name
    for package in (gongshu.govern, gongshu.packs)
    for module in walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_hold(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
