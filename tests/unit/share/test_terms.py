"""Terms and grades: what is allowed when, and what is not judged too early."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import PartyId
from gongshu.share.clearances.judging import judge_grade
from gongshu.share.clearances.model import PartyStanding
from gongshu.share.enforcement import CLASSES, Enforcement, enforcement_of
from gongshu.share.errors import TermsInvalid
from gongshu.share.judging import CARRIED_OUT_IN_READING, DECLARATIONS, JUDGES, end_of, judge_terms
from gongshu.share.offerable import require_offerable
from gongshu.share.terms import (
    Circumstances,
    Comparison,
    Operation,
    Payment,
    Phase,
    RowCondition,
    Terms,
)

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
A, B = PartyId("a"), PartyId("b")
COLUMNS = {"time": "TIMESTAMP WITH TIME ZONE", "price": "DOUBLE", "ok": "BOOLEAN", "part": "VARCHAR"}
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
    [
        (Phase.CATALOGUE, False),
        (Phase.NEGOTIATION, False),
        (Phase.TRANSFER, True),
        (Phase.ACCESS, True),
        (Phase.KEEP, True),
    ],
)
def test_uses_are_judged_once_there_is_an_agreement(phase: Phase, is_judged: bool) -> None:
    assert bool(judge_terms(Terms(uses_max=2), replace(CASE, phase=phase, uses=2))) is is_judged
    assert judge_terms(Terms(uses_max=2), replace(CASE, phase=phase, uses=1)) is None


@pytest.mark.parametrize("phase", Phase)
def test_purpose_and_columns_are_judged_where_they_are_stated(phase: Phase) -> None:
    terms = Terms(purposes=frozenset({"quality"}), columns=frozenset({"time"}))
    case = replace(CASE, phase=phase)
    is_access = phase in (Phase.ACCESS, Phase.KEEP)
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
    here = [PartyStanding(A, "CN-33", is_inside=True)]
    assert judge_grade(replace(LABEL, grade=Grade.TWO), Terms(parties=frozenset({A})), here) is None


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
        require_offerable(terms, now=NOW, columns=COLUMNS, named_exist=[A])


def test_no_restriction_has_to_be_declared() -> None:
    require_offerable(Terms(unrestricted=True), now=NOW, columns=COLUMNS, named_exist=[A])


def where(column: str, comparison: Comparison, *values: str) -> Terms:
    return Terms(rows_where=frozenset({RowCondition(column, comparison, frozenset(values))}))


@pytest.mark.parametrize(
    "terms, word",
    [
        (Terms(until=NOW + timedelta(days=1), not_before=NOW + timedelta(days=2)), "before they begin"),
        (Terms(duration_s=0), "at least a second"),
        (Terms(delete_after_s=10**12), "below a century"),
        (Terms(places=frozenset({"Hangzhou"})), "ISO 3166"),
        (Terms(connectors=frozenset({"sha256:12"})), "fingerprint"),
        (Terms(groups=frozenset({"suppliers"})), "no group"),
        (Terms(notify=frozenset({B})), "not a registered party"),
        (Terms(payment=Payment("12", "yuan")), "currency"),
        (Terms(payment=Payment("-1", "CNY")), "above 0"),
        (Terms(legal_only=frozenset({"uses_max"})), "left to law"),
        (Terms(uses_max=1, legal_only=frozenset({"no_onward"})), "not among the terms"),
        (Terms(operations=frozenset({Operation.EXPORT})), "nothing can be received"),
        (Terms(operations=frozenset({Operation.AGGREGATE})), "smallest group"),
        (Terms(aggregate_min=5), "read is not"),
        (Terms(aggregate_min=5, operations=frozenset({Operation.READ, Operation.AGGREGATE})), "read is not"),
        (Terms(aggregate_min=1, operations=frozenset({Operation.AGGREGATE})), "at least 2"),
        (where("nothing", Comparison.EQUAL, "1"), "no column"),
        (where("price", Comparison.EQUAL, "cheap"), "cannot be read"),
        (where("price", Comparison.EQUAL, "nan"), "cannot be read"),
        (where("price", Comparison.EQUAL, "1", "2"), "one value"),
        (where("price", Comparison.AMONG), "one value"),
        (where("time", Comparison.ABOVE, "2026-01-01T00:00:00"), "cannot be read"),
        (where("ok", Comparison.ABOVE, "true"), "no order"),
        (where("ok", Comparison.EQUAL, "1"), "cannot be read"),
        (where("part", Comparison.EQUAL, "x" * 201), "at most"),
    ],
)
def test_newer_terms_that_cannot_be_offered(terms: Terms, word: str) -> None:
    with pytest.raises(TermsInvalid, match=word):
        require_offerable(terms, now=NOW, columns=COLUMNS, named_exist=[A])


FULL = Terms(
    parties=frozenset({A}),
    until=NOW,
    uses_max=1,
    purposes=frozenset({"p"}),
    columns=frozenset({"time"}),
    rows_max=1,
    groups=frozenset({"g"}),
    not_before=NOW,
    duration_s=60,
    places=frozenset({"CN"}),
    connectors=frozenset({"sha256:" + "0" * 64}),
    rows_where=frozenset({RowCondition("price", Comparison.ABOVE, frozenset({"1.5"}))}),
    operations=frozenset({Operation.AGGREGATE, Operation.EXPORT}),
    aggregate_min=2,
    delete_after_s=60,
    notify=frozenset({A}),
    no_onward=True,
    payment=Payment("1", "CNY"),
)
MET = Circumstances(
    NOW,
    A,
    Phase.ACCESS,
    0,
    "p",
    frozenset({"time"}),
    agreed_at=NOW,
    received_at=NOW,
    groups=frozenset({"g", "h"}),
    place="CN-33",
    connector="sha256:" + "0" * 64,
    operation=Operation.AGGREGATE,
    keeps_terms=True,
    is_paid=True,
)


def test_all_terms_can_stand_together_and_be_met() -> None:
    soon = replace(FULL, until=NOW + timedelta(days=1))
    require_offerable(soon, now=NOW, columns=COLUMNS, named_exist=[A], groups_exist=["g"])
    for phase in Phase:
        assert judge_terms(FULL, replace(MET, phase=phase)) is None, phase


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"now": NOW - timedelta(seconds=1)}, "begins"),
        ({"now": NOW + timedelta(seconds=1)}, "ended"),
        ({"agreed_at": None}, "not known when"),
        ({"agreed_at": NOW - timedelta(seconds=61)}, "ended"),
        ({"groups": frozenset({"h"})}, "none of its groups"),
        ({"place": ""}, "not registered"),
        ({"place": "CNX"}, "the place"),
        ({"place": "DE"}, "the place"),
        ({"connector": ""}, "another connector"),
        ({"operation": Operation.READ}, "operation read"),
        ({"operation": Operation.DERIVE}, "operation derive"),
        ({"keeps_terms": False}, "does not declare"),
        ({"is_paid": False}, "not confirmed"),
    ],
)
def test_each_newer_term_forbids_alone(changes: dict[str, Any], word: str) -> None:
    assert word in str(judge_terms(FULL, replace(MET, **changes)))


def test_aggregates_only_refuses_rows_even_where_no_operation_is_named() -> None:
    assert "only aggregates" in str(judge_terms(Terms(aggregate_min=3), CASE))


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"received_at": None}, "not known when the copy"),
        ({"received_at": NOW - timedelta(seconds=61)}, "deleted at"),
        ({"is_onward": True}, "hand data on"),
        ({"operation": Operation.DERIVE}, "operation derive"),
        ({"place": "DE"}, "the place"),
        ({"uses": 1}, "used up"),
    ],
)
def test_a_copy_is_judged_too(changes: dict[str, Any], word: str) -> None:
    assert word in str(judge_terms(FULL, replace(MET, phase=Phase.KEEP, **changes)))


def test_no_onward_lets_a_file_out_only_where_it_is_left_to_law() -> None:
    case = replace(MET, phase=Phase.KEEP, operation=Operation.EXPORT)
    assert judge_terms(Terms(no_onward=True, legal_only=frozenset({"no_onward"})), case) is None
    assert "cannot be followed" in str(judge_terms(Terms(no_onward=True), case))


def test_what_only_law_keeps_needs_the_providers_word() -> None:
    case = replace(CASE, phase=Phase.NEGOTIATION)
    assert "does not declare" in str(judge_terms(Terms(no_onward=True), case))
    assert judge_terms(Terms(no_onward=True, legal_only=frozenset({"no_onward"})), case) is None


@pytest.mark.parametrize(
    "broken",
    [
        Terms(until=datetime(2030, 1, 1)),  # noqa: DTZ001
        Terms(not_before="2020"),  # type: ignore[arg-type]
        Terms(duration_s=10**30),
        Terms(delete_after_s="5"),  # type: ignore[arg-type]
        Terms(uses_max="many"),  # type: ignore[arg-type]
        Terms(parties=5),  # type: ignore[arg-type]
        Terms(groups=["g"]),  # type: ignore[arg-type]
        Terms(places=7),  # type: ignore[arg-type]
        Terms(connectors=3.5),  # type: ignore[arg-type]
        Terms(purposes=1),  # type: ignore[arg-type]
        Terms(columns=[["x"]]),  # type: ignore[arg-type]
        Terms(operations=8),  # type: ignore[arg-type]
    ],
    ids=lambda terms: enforcement_of(terms)[0].term,
)
def test_a_term_that_cannot_be_judged_denies(broken: Terms) -> None:
    phases = {Phase.ACCESS, Phase.KEEP}
    assert any("cannot be judged" in str(judge_terms(broken, replace(MET, phase=phase))) for phase in phases)


def test_every_field_is_judged_or_carried_out_and_has_a_class() -> None:
    names = {part.name for part in fields(Terms)} - DECLARATIONS
    assert {name for name, _, _ in JUDGES} | CARRIED_OUT_IN_READING == names
    assert set(CLASSES) == names
    assert [clause.term for clause in enforcement_of(FULL)] == [n.name for n in fields(Terms) if n.name in names]


def test_what_is_left_to_law_is_shown_as_such() -> None:
    terms = Terms(no_onward=True, delete_after_s=5, legal_only=frozenset({"no_onward"}))
    assert {clause.term: clause.enforcement for clause in enforcement_of(terms)} == {
        "no_onward": Enforcement.LEGAL,
        "delete_after_s": Enforcement.HARD_BOTH,
    }


def test_the_end_is_the_earlier_of_date_and_duration() -> None:
    assert end_of(Terms(uses_max=1), NOW) is None
    assert end_of(Terms(until=NOW + timedelta(hours=1), duration_s=60), NOW) == NOW + timedelta(seconds=60)
    assert end_of(Terms(until=NOW, duration_s=60), NOW) == NOW


RESTRICTIONS: dict[str, st.SearchStrategy[Any]] = {
    "parties": st.frozensets(st.sampled_from([A, B]), min_size=1),
    "until": st.sampled_from([NOW, NOW - timedelta(days=1), NOW + timedelta(days=1)]),
    "uses_max": st.integers(1, 3),
    "purposes": st.frozensets(st.sampled_from(["p", "q"]), min_size=1),
    "columns": st.frozensets(st.sampled_from(["c", "d"]), min_size=1),
    "rows_max": st.integers(1, 3),
    "groups": st.frozensets(st.sampled_from(["g", "h"]), min_size=1),
    "not_before": st.sampled_from([NOW, NOW + timedelta(days=1)]),
    "duration_s": st.sampled_from([1, 100]),
    "places": st.frozensets(st.sampled_from(["CN", "DE"]), min_size=1),
    "connectors": st.frozensets(st.sampled_from(["k", "l"]), min_size=1),
    "rows_where": st.just(FULL.rows_where),
    "operations": st.frozensets(st.sampled_from(Operation), min_size=1),
    "aggregate_min": st.integers(2, 5),
    "delete_after_s": st.sampled_from([1, 100]),
    "notify": st.just(frozenset({A})),
    "no_onward": st.just(value=True),
    "payment": st.just(Payment("1", "CNY")),
}
some_terms = st.fixed_dictionaries({}, optional=RESTRICTIONS).map(lambda found: Terms(**found))
some_case = st.builds(
    Circumstances,
    st.just(NOW),
    st.just(A),
    st.sampled_from(Phase),
    st.integers(0, 4),
    st.sampled_from(["", "p", "r"]),
    st.frozensets(st.sampled_from(["c", "e"])),
    agreed_at=st.sampled_from([None, NOW, NOW - timedelta(seconds=50)]),
    received_at=st.sampled_from([None, NOW, NOW - timedelta(seconds=50)]),
    groups=st.frozensets(st.sampled_from(["g", "i"])),
    place=st.sampled_from(["", "CN-33"]),
    connector=st.sampled_from(["", "k"]),
    operation=st.sampled_from(Operation),
    is_onward=st.booleans(),
    keeps_terms=st.booleans(),
    is_paid=st.booleans(),
)


@given(some_terms, some_case, st.data())
def test_one_more_restriction_never_opens(terms: Terms, case: Circumstances, data: st.DataObject) -> None:
    free = [name for name in RESTRICTIONS if getattr(terms, name) == getattr(Terms(), name)]
    if not free:
        return
    name = data.draw(st.sampled_from(free))
    stricter = replace(terms, **{name: data.draw(RESTRICTIONS[name])})
    if judge_terms(terms, case) is not None:
        assert judge_terms(stricter, case) is not None
