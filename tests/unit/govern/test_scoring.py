"""From counts to scores: the formula, the direction, and what was not judged."""

import json
from datetime import UTC, datetime

import pytest

from gongshu.govern.errors import ExpectationInvalid
from gongshu.govern.quality.expectations import Expectation, ExpectationKind, require_valid
from gongshu.govern.quality.model import Dimension, Finding, Measure
from gongshu.govern.quality.scoring import build_report, decode_report, encode_report, is_low_better
from gongshu.model.ids import DatasetId
from tests.unit.govern.parts import packs

STANDARD = packs().get("gbt-36344")
NOW = datetime(2026, 11, 2, tzinfo=UTC)
ORDERS = DatasetId("orders")


def report_of(*measures: Measure):  # type: ignore[no-untyped-def]
    return build_report(ORDERS, measures, standard=STANDARD, packs=[STANDARD], run_at=NOW, start=None, end=NOW, rows=4)


def test_x_is_a_over_b_and_its_direction_comes_from_the_standard() -> None:
    assert Measure("0201", "r", 3, 4, is_low_better(STANDARD, "0201")).score == 75.0
    assert Measure("0303", "r", 1, 4, is_low_better(STANDARD, "0303")).score == 75.0


def test_nothing_counted_is_not_judged_and_neither_good_nor_bad() -> None:
    measure = Measure("0201", "r", 0, 0, False, "无", "none")
    assert measure.x_ratio is None
    assert measure.score is None
    report = report_of(measure)
    assert report.score is None
    assert report.judged == 0
    assert report.indicators == 20


def test_a_dimension_is_the_mean_of_its_indicators_and_those_of_their_rules() -> None:
    report = report_of(
        Measure("0301", "a", 1, 2, False),
        Measure("0301", "b", 2, 2, False),
        Measure("0302", "c", 1, 4, False),
        Measure("0201", "d", 1, 1, False),
    )
    scores = {result.dimension: result.score for result in report.dimensions}
    assert scores[Dimension.ACCURACY] == 50.0
    assert scores[Dimension.COMPLETENESS] == 100.0
    assert scores[Dimension.TIMELINESS] is None
    assert report.score == 75.0
    assert report.judged == 3


def test_every_indicator_of_the_standard_is_in_the_report_with_a_reason_if_silent() -> None:
    report = report_of(Measure("0201", "d", 1, 1, False))
    assert {m.indicator for m in report.measures()} == {
        i.key.removeprefix("indicator.") for i in STANDARD.under("indicator")
    }
    assert all(measure.b or (measure.reason_zh and measure.reason_en) for measure in report.measures())


def test_a_report_reads_back_as_it_was_stored() -> None:
    finding = Finding("d", "0201", "col", 3, ("row 1",), "空", "empty")
    report = report_of(Measure("0201", "d", 1, 4, False, findings=(finding,)))
    assert decode_report(json.loads(json.dumps(encode_report(report)))) == report
    assert list(report.findings()) == [finding]


@pytest.mark.parametrize(
    "kind, spec, reason",
    [
        ("bounds", {}, "neither"),
        ("bounds", {"low": 5, "high": 1}, "above"),
        ("bounds", {"low": "1; DROP"}, "not a number"),
        ("bounds", {"low": True}, "not a number"),
        ("interval", {}, "missing"),
        ("interval", {"interval_s": 0}, "not above 0"),
        ("codes", {"codes": ["a"], "extra": 1}, "not a field"),
        ("codes", {"codes": "ab"}, "not a list"),
        ("reference", {"dataset": "x"}, "column is missing"),
        ("reference", {"dataset": "x", "column": 7}, "not a text"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(kind: str, spec: dict[str, object], reason: str) -> None:
    with pytest.raises(ExpectationInvalid, match=reason):
        require_valid(ORDERS, Expectation("part", ExpectationKind(kind), spec))
