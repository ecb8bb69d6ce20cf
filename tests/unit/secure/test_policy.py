"""Policies: what may be deployed, what the shipped ones say, and that every failure denies."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.database import Database
from gongshu.model.access import Mask, Obligations, Role, Subject
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import AssetId, DatasetId, PartyId, SubjectId
from gongshu.secure.audit import AuditLog
from gongshu.secure.errors import PolicyInvalid
from gongshu.secure.gate.entities import authorization_request, dataset_entity, standing_at, subject_entity
from gongshu.secure.policy import CompiledPolicies, PolicyService, Verdict, find_faults
from gongshu.secure.policy.obligations import add_up, strictest_rule
from gongshu.secure.policy.text import default_text, schema_text, split_statements
from tests.conftest import Clock
from tests.unit.secure.conftest import OWN

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
OTHER = PartyId("urn:gongshu:party:other")
DEFAULT = CompiledPolicies(default_text())


def dataset(
    grade: Grade = Grade.ONE,
    importance: Importance = Importance.GENERAL,
    standing: GradeStanding = GradeStanding.CONFIRMED,
) -> Dataset:
    until = NOW + timedelta(days=1) if standing is GradeStanding.CONFIRMED else None
    label = GradeLabel(grade, importance, "production.process_parameter", standing, until)
    asset = AssetId("plant/line-2/mill-3")
    return Dataset(DatasetId("ds"), DatasetKind.SERIES, "DS", asset, None, (), (), label, "user:li", NOW, "source:opc")


def subject(role: Role, *, party: PartyId = OWN, name: str = "user:li", **attributes: str) -> Subject:
    return Subject(SubjectId(name), party, frozenset({role}), attributes)


def judge(
    who: Subject,
    what: Dataset,
    *,
    action: str = "read",
    purpose: str = "analysis",
    policies: CompiledPolicies = DEFAULT,
    cleared: bool | None = None,
) -> Verdict:
    if cleared is None:
        cleared = what.label.grade < Grade.THREE and what.label.importance is Importance.GENERAL
    facts = json.dumps([subject_entity(who, OWN), dataset_entity(what, NOW, cleared=cleared)])
    entities = cedarpy.Entities.from_json_str(facts, schema_text())
    (verdict,) = policies.judge([authorization_request(who, action, purpose, what.dataset_id, NOW)], entities)
    return verdict


def test_the_shipped_policies_can_be_deployed() -> None:
    assert find_faults(default_text()) == []


def test_facts_are_those_of_the_schema() -> None:
    who = subject(Role.PARTNER, party=OTHER, agreement="urn:1", shift="night")
    cedarpy.Entities.from_json_str(
        json.dumps([subject_entity(who, OWN), dataset_entity(dataset(), NOW, cleared=True)]), schema_text()
    )


INSIDE: list[tuple[Role, int, int]] = [
    (Role.STEWARD, 3, 2),
    (Role.ENGINEER, 3, 1),
    (Role.ANALYST, 2, 1),
    (Role.PRODUCT_OWNER, 2, 1),
    (Role.VIEWER, 1, 0),
    (Role.SYSTEM_ADMIN, 0, -1),
    (Role.SECURITY_ADMIN, 0, -1),
    (Role.AUDIT_ADMIN, 0, -1),
    (Role.APP, 0, -1),
    (Role.PARTNER, 0, -1),
]
"""Role, highest grade and highest importance that it reads inside its own organisation, whatever the standing."""


@pytest.mark.parametrize(("role", "grade_max", "rank_max"), INSIDE)
@pytest.mark.parametrize("standing", GradeStanding)
def test_each_role_reads_inside_up_to_its_grade(
    role: Role, grade_max: int, rank_max: int, standing: GradeStanding
) -> None:
    for grade in Grade:
        for importance in Importance:
            verdict = judge(subject(role), dataset(grade, importance, standing))
            assert verdict.permitted == (grade <= grade_max and importance.rank <= rank_max)


@pytest.mark.parametrize("role", Role)
def test_nobody_of_another_party_reads_without_an_agreement(role: Role) -> None:
    verdict = judge(subject(role, party=OTHER), dataset())
    assert not verdict.permitted
    assert verdict.ask


@pytest.mark.parametrize("role", set(Role) - {Role.PARTNER})
def test_an_agreement_helps_only_a_partner(role: Role) -> None:
    assert not judge(subject(role, party=OTHER, agreement="urn:1"), dataset()).permitted


@pytest.mark.parametrize("action", ["read", "share", "export", "aggregate"])
@pytest.mark.parametrize("standing", GradeStanding)
@pytest.mark.parametrize("importance", Importance)
@pytest.mark.parametrize("grade", Grade)
def test_a_partner_under_agreement_gets_confirmed_data_that_are_cleared_for_it(
    grade: Grade, importance: Importance, standing: GradeStanding, action: str
) -> None:
    who = subject(Role.PARTNER, party=OTHER, name=f"partner:{OTHER}", agreement="urn:uuid:1")
    what = dataset(grade, importance, standing)
    for cleared in (False, True):
        good = cleared and importance.rank <= 1 and standing is GradeStanding.CONFIRMED and action in ("read", "share")
        assert judge(who, what, action=action, cleared=cleared).permitted == good
    for nobody in (subject(Role.PARTNER, party=OTHER, agreement=""), subject(Role.STEWARD, party=OTHER)):
        assert not judge(nobody, what, action=action, cleared=True).permitted


@pytest.mark.parametrize("importance", Importance)
@pytest.mark.parametrize("grade", Grade)
def test_what_is_cleared_can_be_offered_by_those_who_deal_but_never_core(grade: Grade, importance: Importance) -> None:
    for role in Role:
        deals = role in (Role.PRODUCT_OWNER, Role.STEWARD, Role.APP)
        verdict = judge(subject(role), dataset(grade, importance), action="share", cleared=True)
        assert verdict.permitted == (deals and importance is not Importance.CORE)
        assert not judge(subject(role), dataset(grade, importance), action="share", cleared=False).permitted


def test_a_claim_in_the_request_clears_nothing() -> None:
    claims = {"agreement": "urn:uuid:1", "cleared": "true", "clearance": "urn:uuid:2"}
    who = subject(Role.PARTNER, party=OTHER, name=f"partner:{OTHER}", **claims)
    assert not judge(who, dataset(Grade.THREE), purpose="cleared", cleared=False).permitted


@pytest.mark.parametrize("standing", GradeStanding)
@pytest.mark.parametrize("grade", Grade)
def test_grade_three_and_unconfirmed_data_cannot_be_offered(grade: Grade, standing: GradeStanding) -> None:
    verdict = judge(subject(Role.PRODUCT_OWNER), dataset(grade, standing=standing), action="share")
    assert verdict.permitted == (grade <= 2 and standing is GradeStanding.CONFIRMED)
    if not verdict.permitted:
        assert "shared" in " ".join(verdict.because)
        assert verdict.ask


@pytest.mark.parametrize(
    ("name", "purpose", "permitted"),
    [
        ("service:oee", "app:oee", True),
        ("service:oee", "oee", True),
        ("service:oee", "app:spc", False),
        ("service:oee", "app:oee:spc", False),
        ("service:oee", "analysis", False),
        ("user:oee", "app:oee", False),
        ("service:", "app:", True),
    ],
)
def test_an_app_reads_for_the_purpose_that_carries_its_name(name: str, purpose: str, permitted: bool) -> None:
    assert judge(subject(Role.APP, name=name), dataset(), purpose=purpose).permitted == permitted


def test_a_confirmed_grade_expires_at_its_date() -> None:
    label = dataset().label
    assert label.valid_until is not None
    assert standing_at(label, label.valid_until) is GradeStanding.EXPIRED
    assert standing_at(label, label.valid_until - timedelta(microseconds=1)) is GradeStanding.CONFIRMED


OVERFLOW = "resource.grade + 9223372036854775807 > 0"
"""Valid by the schema, and an error whenever it is evaluated."""


@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_a_policy_that_fails_denies_whatever_the_others_say(effect: str) -> None:
    text = default_text() + f'\n@id("failing")\n{effect} (principal, action, resource) when {{ {OVERFLOW} }};\n'
    assert find_faults(text) == []
    verdict = judge(subject(Role.STEWARD), dataset(), policies=CompiledPolicies(text))
    assert (verdict.permitted, verdict.because) == (False, ("policy-error: failing",))


def test_cedar_itself_would_let_it_through() -> None:
    """The premise of decision 0032: a forbid that fails is dropped by the engine."""
    text = f"permit (principal, action, resource); forbid (principal, action, resource) when {{ {OVERFLOW} }};"
    who, what = subject(Role.STEWARD), dataset()
    request = authorization_request(who, "read", "x", what.dataset_id, NOW)
    result = cedarpy.is_authorized(request, text, [subject_entity(who, OWN), dataset_entity(what, NOW, cleared=True)])
    assert result.allowed


def test_facts_that_lack_an_attribute_deny() -> None:
    who, what = subject(Role.ENGINEER), dataset()
    entity = dataset_entity(what, NOW, cleared=True)
    del entity["attrs"]["importance"]
    entities = cedarpy.Entities.from_json_str(json.dumps([subject_entity(who, OWN), entity]))
    (verdict,) = DEFAULT.judge([authorization_request(who, "read", "x", what.dataset_id, NOW)], entities)
    assert not verdict.permitted
    assert verdict.because[0].startswith("policy-error: ")


def test_an_unreadable_request_denies() -> None:
    entities = cedarpy.Entities.from_json_str("[]")
    request: dict[str, Any] = {"principal": "nonsense", "action": "x", "resource": "y", "context": {}}
    (verdict,) = DEFAULT.judge([request], entities)
    assert not verdict.permitted


CONDITIONS = st.sampled_from(
    ["true", "false", "resource.grade >= 2", "principal.own_party", OVERFLOW, 'context.purpose == "analysis"']
)


@given(CONDITIONS, st.sampled_from(list(Role)), st.sampled_from(list(Grade)), st.sampled_from(list(GradeStanding)))
def test_one_more_forbid_never_opens(condition: str, role: Role, grade: Grade, standing: GradeStanding) -> None:
    more = CompiledPolicies(
        default_text() + f'\n@id("one-more")\nforbid (principal, action, resource) when {{ {condition} }};\n'
    )
    what = dataset(grade, standing=standing)
    for action in ("read", "share"):
        before = judge(subject(role), what, action=action)
        after = judge(subject(role), what, action=action, policies=more)
        assert before.permitted or not after.permitted


FAULTS = [
    ("permit (principal, action, resource) when { resource.grad < 2 };", 3, "grad"),
    ('permit (principal, action, resource) when { resource.grade < "x" };', 3, "String"),
    ('permit (principal, action, resource) when { principal.agreement == "x" };', 3, "agreement"),
    ('permit (principal == Machine::"x", action, resource);', 3, "Machine"),
    ('permit (principal, action == Action::"steal", resource);', 3, "steal"),
    ("permitt (principal, action, resource);", 3, "permitt"),
    ("permit (principal, action, resource)", 3, "unexpected"),
    ("permit (principal == ?principal, action, resource);", 1, "templates"),
]


@pytest.mark.parametrize(("policy", "line", "word"), FAULTS)
def test_a_faulty_policy_is_named_with_its_line(policy: str, line: int, word: str) -> None:
    text = f'// a comment; with a semicolon\n\n@id("mine")\n{policy}\n'
    faults = find_faults(text)
    assert faults
    assert faults[0].line == line
    assert any(word in fault.message for fault in faults)


ANNOTATIONS = [
    ('@mask("customer")', "@mask"),
    ('@mask("customer:rot13")', "rot13"),
    ('@mask("customer:round:x")', "round"),
    ('@mask("cust omer:null")', "column"),
    ('@mask("")', "empty"),
    ('@columns("a,,b")', "empty"),
    ('@row_filter("")', "empty"),
    ('@row_filter("a = (SELECT 1)")', "condition"),
    ("@row_filter(\"read_text('/etc/passwd') = 1\")", "read_text"),
    ('@row_filter("sum(a) > 1")', "more than one row"),
    ('@row_filter("orders.a = 1")', "table"),
    ('@row_filter("a = 1; DROP TABLE x")', "one expression"),
    ('@rows_max("0")', "whole number"),
    ('@rows_max("-1")', "whole number"),
    ('@rows_max("many")', "whole number"),
    ('@watermark("x")', "not known"),
]


@pytest.mark.parametrize(("annotation", "word"), ANNOTATIONS)
def test_an_obligation_that_cannot_be_carried_out_is_refused(annotation: str, word: str) -> None:
    (fault, *_) = find_faults(f'@id("mine")\n{annotation}\npermit (principal, action, resource);')
    assert word in fault.message
    assert (fault.line, fault.policy) == (1, "mine")


def test_a_forbid_softens_nothing() -> None:
    (fault,) = find_faults('@id("mine")\n@mask("a:null")\nforbid (principal, action, resource);')
    assert "forbid" in fault.message


def test_ids_are_needed_and_used_once() -> None:
    one, other = "permit (principal, action, resource);", "forbid (principal, action, resource);"
    assert "@id" in find_faults(one)[0].message
    (fault,) = find_faults(f'@id("same")\n{one}\n@id("same")\n{other}')
    assert (fault.line, "line 1" in fault.message) == (3, True)


def test_an_empty_text_cannot_be_deployed() -> None:
    assert find_faults("// nothing")
    assert find_faults("x" * 2_000_000)


def test_statements_end_at_semicolons_outside_of_strings_and_comments() -> None:
    text = '// one; two\n@id("a;b")\npermit (principal, action, resource);\n\n  // x\n'
    text += "forbid (principal, action, resource);"
    assert [line for line, _ in split_statements(text)] == [2, 6]


def test_permits_add_up_their_demands() -> None:
    text = """
@id("one") @mask("a:round:2, b:hash") @columns("a, b, c") @row_filter("x = 1") @rows_max("50")
permit (principal, action, resource);
@id("two") @mask("A:round:0, d:null") @columns("b, c, d") @row_filter("y = 1") @rows_max("40")
permit (principal, action, resource);
@id("three") permit (principal, action, resource);
"""
    assert find_faults(text) == []
    verdict = judge(subject(Role.VIEWER), dataset(), policies=CompiledPolicies(text))
    assert verdict.because == ("one", "two", "three")
    assert verdict.obligations == Obligations(
        (Mask("a", "round:0"), Mask("b", "hash"), Mask("d", "null")), frozenset({"b", "c"}), ("x = 1", "y = 1"), 40
    )


RULES = st.sampled_from(["null", "hash", "partial", "hour", "round:0", "round:2"])


@given(RULES, RULES)
def test_the_stricter_mask_does_not_depend_on_order(one: str, other: str) -> None:
    assert strictest_rule(one, other) == strictest_rule(other, one)
    assert strictest_rule(one, "null") == "null"


DEMANDS = st.builds(
    Obligations,
    masks=st.lists(st.builds(Mask, st.sampled_from("abc"), RULES), max_size=3).map(tuple),
    columns=st.none() | st.frozensets(st.sampled_from("abc")),
    row_filters=st.lists(st.sampled_from(["x = 1", "y = 2"]), max_size=2, unique=True).map(tuple),
    rows_max=st.none() | st.integers(1, 9),
)


@given(st.lists(DEMANDS, max_size=4), DEMANDS)
def test_one_more_demand_is_never_weaker(demands: list[Obligations], more: Obligations) -> None:
    before, after = add_up(demands), add_up([*demands, more])
    assert {mask.column for mask in before.masks} <= {mask.column for mask in after.masks}
    assert set(before.row_filters) <= set(after.row_filters)
    if before.columns is not None:
        assert after.columns is not None
        assert after.columns <= before.columns
    if before.rows_max is not None:
        assert after.rows_max is not None
        assert after.rows_max <= before.rows_max


@pytest.fixture
def policies(database: Database, audit: AuditLog, clock: Clock) -> PolicyService:
    return PolicyService(database, audit, clock)


MINE = '@id("mine")\npermit (principal, action, resource);\n'


def test_a_new_node_has_the_shipped_policies(policies: PolicyService) -> None:
    assert (policies.active(), policies.version()) == (default_text(), 0)


def test_a_deployed_text_is_in_force_for_every_process(
    policies: PolicyService, database: Database, audit: AuditLog, clock: Clock
) -> None:
    other = PolicyService(database, audit, clock)
    before = other.compiled()
    version = policies.deploy(MINE, SubjectId("user:sec"))
    assert (version.version, other.version(), other.active()) == (1, 1, MINE)
    assert other.compiled() is not before
    assert other.compiled() is other.compiled()
    (entry,) = audit.entries(action="policy.deployed")
    assert (entry.actor, entry.details["sha256"]) == ("user:sec", version.text_hash)
    assert [(v.version, v.author) for v in policies.versions()] == [(1, "user:sec"), (0, "system:package")]


def test_a_faulty_text_leaves_the_former_in_force(policies: PolicyService, audit: AuditLog) -> None:
    policies.deploy(MINE, "user:sec")
    with pytest.raises(PolicyInvalid, match=r"line 1 .*nonsense"):
        policies.deploy(MINE.replace("{", "").replace(";", " when { resource.nonsense == 1 };"), "user:sec")
    assert policies.active() == MINE
    assert [entry.outcome for entry in audit.entries(action="policy.refused")] == ["failed"]


def test_context_and_tags_can_be_asked_for() -> None:
    text = """
@id("night") permit (principal, action, resource)
when { principal.hasTag("shift") && principal.getTag("shift") == "night" && context.now < datetime("2027-01-01")
  && resource in Asset::"plant/line-2" && resource in Category::"production" };
"""
    assert find_faults(text) == []
    policies = CompiledPolicies(text)
    assert judge(subject(Role.VIEWER, shift="night"), dataset(), policies=policies).permitted
    assert not judge(subject(Role.VIEWER, shift="day"), dataset(), policies=policies).permitted
    assert not judge(subject(Role.VIEWER), dataset(), policies=policies).permitted
