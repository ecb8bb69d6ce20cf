"""Terms and grades: what is allowed when, and what is not judged too early."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import PartyId
from gongshu.share.errors import TermsInvalid
from gongshu.share.terms import Circumstances, Phase, Terms, judge_grade, judge_terms, require_offerable

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
A, B = PartyId("a"), PartyId("b")
CASE = Circumstances(NOW, A, Phase.ACCESS)
LABEL = GradeLabel(Grade.ONE, Importance.GENERAL, "production", GradeStanding.CONFIRMED, None)


@pytest.mark.parametrize("phase", Phase)
def test_party_and_date_are_judged_in_every_phase(phase: Phase) -> None:
    case = replace(CASE, phase=phase)
    assert judge_terms(Terms(parties=frozenset({B})), case) == "it is not made for this party"
    assert "ended" in str(judge_terms(Terms(until=NOW - timedelta(microseconds=1)), case))
    assert judge_terms(Terms(parties=frozenset({A}), until=NOW), case) is None


@pytest.mark.parametrize(
    "phase, is_judged",
    [(Phase.CATALOGUE, False), (Phase.NEGOTIATION, False), (Phase.TRANSFER, True), (Phase.ACCESS, True)],
)
def test_uses_are_judged_once_there_is_an_agreement(phase: Phase, is_judged: bool) -> None:
    assert bool(judge_terms(Terms(uses_max=2), replace(CASE, phase=phase, uses=2))) is is_judged
    assert judge_terms(Terms(uses_max=2), replace(CASE, phase=phase, uses=1)) is None


@pytest.mark.parametrize("phase", Phase)
def test_purpose_and_columns_are_judged_where_they_are_stated(phase: Phase) -> None:
    terms = Terms(purposes=frozenset({"quality"}), columns=frozenset({"time"}))
    case = replace(CASE, phase=phase)
    is_access = phase is Phase.ACCESS
    assert bool(judge_terms(terms, case)) is is_access
    assert bool(judge_terms(terms, replace(case, purpose="other"))) is is_access
    assert judge_terms(terms, replace(case, purpose="quality", columns=frozenset({"time"}))) is None
    assert bool(judge_terms(terms, replace(case, purpose="quality", columns=frozenset({"price"})))) is is_access


@pytest.mark.parametrize(
    "label, parties, word",
    [
        (replace(LABEL, grade=Grade.THREE), {A}, "三级"),
        (replace(LABEL, grade=Grade.TWO), set(), "named parties"),
        (replace(LABEL, importance=Importance.IMPORTANT), {A}, "重要"),
        (replace(LABEL, importance=Importance.CORE), {A}, "核心"),
        (replace(LABEL, standing=GradeStanding.PROPOSED), {A}, "proposed"),
        (replace(LABEL, standing=GradeStanding.EXPIRED), {A}, "overdue"),
    ],
)
def test_grades_that_are_not_shared(label: GradeLabel, parties: set[PartyId], word: str) -> None:
    assert word in str(judge_grade(label, Terms(parties=frozenset(parties))))


def test_grade_one_is_for_anybody_and_grade_two_for_named_parties() -> None:
    assert judge_grade(LABEL, Terms(uses_max=1)) is None
    assert judge_grade(replace(LABEL, grade=Grade.TWO), Terms(parties=frozenset({A}))) is None


@pytest.mark.parametrize(
    "terms, word",
    [
        (Terms(), "restrict nothing"),
        (Terms(uses_max=1, unrestricted=True), "at once"),
        (Terms(until=NOW), "past"),
        (Terms(uses_max=0), "at least 1"),
        (Terms(rows_max=-1), "at least 1"),
        (Terms(columns=frozenset({"nothing"})), "no column"),
        (Terms(parties=frozenset({B})), "not a registered party"),
        (Terms(purposes=frozenset({""})), "characters"),
        (Terms(purposes=frozenset({"x" * 201})), "characters"),
    ],
)
def test_terms_that_cannot_be_offered(terms: Terms, word: str) -> None:
    with pytest.raises(TermsInvalid, match=word):
        require_offerable(terms, now=NOW, columns=["time"], named_exist=[A])


def test_no_restriction_has_to_be_declared() -> None:
    require_offerable(Terms(unrestricted=True), now=NOW, columns=["time"], named_exist=[A])


some_terms = st.builds(
    Terms,
    parties=st.frozensets(st.sampled_from([A, B])),
    until=st.none() | st.sampled_from([NOW, NOW - timedelta(days=1), NOW + timedelta(days=1)]),
    uses_max=st.none() | st.integers(1, 3),
    purposes=st.frozensets(st.sampled_from(["p", "q"])),
    columns=st.frozensets(st.sampled_from(["c", "d"])),
    rows_max=st.none() | st.integers(1, 3),
)


@given(
    some_terms,
    st.sampled_from(Phase),
    st.integers(0, 4),
    st.sampled_from(["", "p", "r"]),
    st.frozensets(st.sampled_from(["c", "e"])),
)
def test_one_more_bound_never_opens(
    terms: Terms, phase: Phase, uses: int, purpose: str, columns: frozenset[str]
) -> None:
    case = Circumstances(NOW, A, phase, uses, purpose, columns)
    if judge_terms(terms, case) is None:
        return
    stricter = replace(
        terms,
        parties=terms.parties or frozenset({A}),
        until=min(terms.until or NOW, NOW),
        uses_max=min(terms.uses_max or 1, 1),
        purposes=terms.purposes or frozenset({"p"}),
        columns=terms.columns or frozenset({"c"}),
    )
    assert judge_terms(stricter, case) is not None
