"""Words, profiles and proposals: what is found, and above all what is not."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.govern.classify.evaluation import evaluate, make_id_card, make_uscc, read_examples
from gongshu.govern.classify.profile import profile_column
from gongshu.govern.classify.propose import Classifier, SubjectMatter
from gongshu.govern.classify.words import Dictionary, split_words
from gongshu.model.grade import Grade, Importance
from tests.unit.govern.parts import packs, sighting

CLASSIFIER = Classifier(packs())
RULES = CLASSIFIER.check_rules
WORDS = Dictionary(packs().get("industrial-terms"))


def found(name: str) -> set[str]:
    return {match.term.key.removeprefix("term.") for match in WORDS.find(name)}


@pytest.mark.parametrize(
    "name, words",
    [
        ("SpindleLoad", ["spindle", "load"]),
        ("OEEValue2", ["oee", "value"]),
        ("ns=2;s=主轴_Temp", ["ns", "s", "主轴", "temp"]),
        ("ACADEMIC_YEAR_CODE", ["academic", "year", "code"]),
        ("", []),
    ],
)
def test_names_are_cut_at_separators_case_and_script(name: str, words: list[str]) -> None:
    assert split_words(name) == words


@pytest.mark.parametrize(
    "name", ["SpindleLoad", "spindle-loads", "spindleload", "主轴负载", "zhuzhou_fuzai", "zhuzhoufuzai"]
)
def test_one_thing_is_found_however_it_is_spelled(name: str) -> None:
    assert found(name) == {"measurement"}


@pytest.mark.parametrize(
    "name, never",
    [
        ("ACADEMIC_YEAR_CODE", "id_card"),
        ("综合同步误差", "product"),
        ("scenario_code", "personnel"),
        ("decoder_ring", "design"),
        ("incident_count", "id_card"),
        ("设计师电话", "design"),
        ("controller_fan", "command"),
        ("template_id", "measurement"),
    ],
)
def test_a_word_is_never_read_inside_another(name: str, never: str) -> None:
    assert never not in found(name)


@given(st.text(max_size=60))
def test_any_name_gets_a_proposal(name: str) -> None:
    proposal = CLASSIFIER.propose(SubjectMatter(name, "", "", "", False, is_series=False))
    assert proposal.evidence
    assert 0.0 <= proposal.confidence <= 1.0


@given(st.text(alphabet="abcdefgh主轴温度_ ", max_size=30), st.sampled_from(["", "Cel", "A"]))
def test_write_access_never_lowers_a_grade(name: str, unit: str) -> None:
    reading = CLASSIFIER.propose_series(sighting(name, unit=unit))
    writing = CLASSIFIER.propose_series(sighting(name, unit=unit, writable=True))
    assert writing.grade >= reading.grade
    assert writing.category == "production.control"


def test_each_kind_of_evidence_is_told_with_its_source() -> None:
    proposal = CLASSIFIER.propose_series(sighting("主轴温度", unit="Cel", protocol="opcua"))
    rules = {evidence.rule_id for evidence in proposal.evidence}
    assert {"name.term", "unit.physical", "protocol.field"} <= rules
    assert any(rule.startswith("condition.1") for rule in rules)
    assert all(e.source and e.text_zh and e.text_en for e in proposal.evidence)
    assert any(reference.startswith("industrial-data-grading 2020 #") for reference in proposal.packs)


def test_what_nothing_speaks_for_is_treated_strictly() -> None:
    proposal = CLASSIFIER.propose_column("xyzzy")
    assert proposal.grade is Grade.TWO
    assert proposal.confidence < 0.5
    assert proposal.evidence[0].rule_id == "default.unknown"


def test_an_unsure_category_takes_the_strictest_plausible_grade() -> None:
    unsure = CLASSIFIER.propose_column("alarm_price")
    assert unsure.grade is Grade.TWO, "alarms alone are grade one, prices grade two"


def test_a_safety_function_that_can_be_written_is_grade_three() -> None:
    written = CLASSIFIER.propose_series(sighting("EmergencyStop", unit="", writable=True))
    assert (written.grade, written.importance) == (Grade.THREE, Importance.IMPORTANT)
    assert "safety.function" in written.markers


@pytest.mark.parametrize(
    "values, right",
    [
        ([make_id_card(n, RULES) for n in range(20)], True),
        ([make_id_card(n, RULES)[:-1] + "X" for n in range(20)], False),
        ([f"{n:018d}" for n in range(20)], False),
        ([str(100000000000000000 + n * 7) for n in range(20)], False),
    ],
)
def test_identity_numbers_need_their_check_digit(values: list[str], right: bool) -> None:
    profile = profile_column(pa.array(values), RULES)
    assert (profile.id_card_ratio > 0.9) is right
    markers = CLASSIFIER.propose_column("col_7", profile=profile).markers
    assert ("personal.id_card" in markers) is right


def test_credit_codes_need_their_check_character() -> None:
    good = profile_column(pa.array(["91350100M000100Y43", *(make_uscc(n, RULES) for n in range(9))]), RULES)
    bad = profile_column(pa.array(["91350100M000100Y44"] * 9), RULES)
    assert (good.uscc_ratio, bad.uscc_ratio) == (1.0, 0.0)


@pytest.mark.parametrize(
    "name, values, marked",
    [
        ("col_3", [19900000000 + n for n in range(20)], False),
        ("serial_no", [f"199{n:08d}" for n in range(20)], False),
        ("mobile", [19900000000 + n for n in range(20)], True),
        ("联系电话", [f"199{n:08d}" for n in range(20)], True),
        ("联系电话", [n % 2 for n in range(20)], False),
        ("phone_count", list(range(20)), False),
        ("phone_of_customer", [f"199{n:08d}" for n in range(20)], True),
    ],
)
def test_numbers_alone_are_no_telephone_numbers(name: str, values: list[object], marked: bool) -> None:
    profile = profile_column(pa.array(values), RULES)
    assert ("personal.phone" in CLASSIFIER.propose_column(name, profile=profile).markers) is marked


@pytest.mark.parametrize(
    "column",
    [
        pa.array([], pa.string()),
        pa.array([None, None], pa.string()),
        pa.array([1.5, None]),
        pa.array([True, False]),
        pa.array([b"x"]),
        pa.chunked_array([["a"], ["b", None]]),
        pa.array(["é" * 18, "９" * 18]),
        pa.array([{"a": 1}]),
    ],
)
def test_any_column_has_a_profile(column: pa.Array) -> None:
    profile = profile_column(column, RULES)
    assert profile.rows == len(column)
    assert profile.values == len(column) - column.null_count


EXAMPLES = read_examples(RULES)
PAGE = Path(__file__).parents[3] / "docs" / "rooms" / "govern.md"


def test_the_rules_do_what_they_were_made_for() -> None:
    result = evaluate(CLASSIFIER, [example for example in EXAMPLES if not example.held_out])
    total, markers = result.category_total, result.marker_total
    assert result.examples >= 200
    assert (total.precision_ratio or 0) >= 0.95, result.mistakes
    assert (total.recall_ratio or 0) >= 0.95, result.mistakes
    assert (markers.precision_ratio, markers.recall_ratio) == (1.0, 1.0), result.mistakes


def test_on_names_they_were_not_made_for_nothing_sensitive_is_missed() -> None:
    result = evaluate(CLASSIFIER, [example for example in EXAMPLES if example.held_out])
    assert (result.category_total.precision_ratio or 0) >= 0.9, result.mistakes
    assert result.marker_total.recall_ratio == 1.0, result.mistakes


@pytest.mark.parametrize("name, held_out", [("tuned", False), ("held out", True)])
def test_the_docs_give_the_measured_figures(name: str, held_out: bool) -> None:
    result = evaluate(CLASSIFIER, [example for example in EXAMPLES if example.held_out is held_out])
    total, markers = result.category_total, result.marker_total
    ratios = (total.precision_ratio, total.recall_ratio, markers.precision_ratio, markers.recall_ratio)
    row = (
        f"| {name} | {result.examples} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios if ratio is not None) + " |"
    )
    assert row in PAGE.read_text(encoding="utf-8")
