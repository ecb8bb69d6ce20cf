"""From measures to scores, and to and from what is stored. Pure.

The standard gives indicators, no total: an indicator's score is the mean of its rules that could be judged, a
dimension's the mean of its indicators, the total the mean of the dimensions. What was not judged counts neither for
nor against, and stands in the report with its reason.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from statistics import fmean
from typing import Any

from gongshu.govern.quality.model import Dimension, DimensionResult, Finding, Measure, QualityReport
from gongshu.model.ids import DatasetId
from gongshu.packs import Pack

NO_RULE = ("没有适用的规则或声明", "No rule or declaration applies to this dataset")


def build_report(
    dataset_id: DatasetId,
    measures: Sequence[Measure],
    *,
    standard: Pack,
    packs: Sequence[Pack],
    run_at: datetime,
    start: datetime | None,
    end: datetime | None,
    rows: int,
) -> QualityReport:
    """Return the report; indicators of the standard that no rule spoke for are added as not judged."""
    spoken = {measure.indicator for measure in measures}
    silent = [
        Measure(code, "", 0, 0, is_low_better(standard, code), *NO_RULE)
        for code in _codes(standard)
        if code not in spoken
    ]
    by_dimension: dict[str, list[Measure]] = defaultdict(list)
    for measure in sorted([*measures, *silent], key=lambda m: (m.indicator, m.rule_id)):
        by_dimension[standard.value(f"indicator.{measure.indicator}")["dimension"]].append(measure)
    dimensions = tuple(
        DimensionResult(dimension, _score(by_dimension[dimension.value]), tuple(by_dimension[dimension.value]))
        for dimension in Dimension
    )
    scores = [result.score for result in dimensions if result.score is not None]
    return QualityReport(
        dataset_id=dataset_id,
        run_at=run_at,
        start=start,
        end=end,
        rows=rows,
        score=round(fmean(scores), 1) if scores else None,
        judged=len({measure.indicator for measure in measures if measure.b}),
        indicators=len(_codes(standard)),
        dimensions=dimensions,
        packs=tuple(pack.reference for pack in packs),
    )


def is_low_better(standard: Pack, code: str) -> bool:
    """Return whether a smaller X is better for the indicator."""
    return bool(standard.value(f"indicator.{code}")["better"] == "low")


def encode_report(report: QualityReport) -> dict[str, Any]:
    """Return the report as JSON values, with X and score of each measure for readers."""
    raw = asdict(report)
    for name in ("run_at", "start", "end"):
        raw[name] = raw[name].isoformat() if raw[name] else None
    for dimension, result in zip(raw["dimensions"], report.dimensions, strict=True):
        dimension["term"] = result.dimension.term
        for written, measure in zip(dimension["measures"], result.measures, strict=True):
            written |= {"x_ratio": measure.x_ratio, "score": measure.score}
    return raw


def decode_report(raw: Mapping[str, Any]) -> QualityReport:
    """Return the report that `encode_report` wrote."""
    return QualityReport(
        dataset_id=DatasetId(raw["dataset_id"]),
        run_at=datetime.fromisoformat(raw["run_at"]),
        start=datetime.fromisoformat(raw["start"]) if raw["start"] else None,
        end=datetime.fromisoformat(raw["end"]) if raw["end"] else None,
        rows=raw["rows"],
        score=raw["score"],
        judged=raw["judged"],
        indicators=raw["indicators"],
        dimensions=tuple(
            DimensionResult(
                Dimension(result["dimension"]), result["score"], tuple(map(_decode_measure, result["measures"]))
            )
            for result in raw["dimensions"]
        ),
        packs=tuple(raw["packs"]),
    )


def _decode_measure(raw: Mapping[str, Any]) -> Measure:
    return Measure(
        indicator=raw["indicator"],
        rule_id=raw["rule_id"],
        a=raw["a"],
        b=raw["b"],
        lower_is_better=raw["lower_is_better"],
        reason_zh=raw["reason_zh"],
        reason_en=raw["reason_en"],
        findings=tuple(Finding(**{**f, "samples": tuple(f["samples"])}) for f in raw["findings"]),
    )


def _codes(standard: Pack) -> list[str]:
    return [item.key.removeprefix("indicator.") for item in standard.under("indicator")]


def _score(measures: Sequence[Measure]) -> float | None:
    by_indicator: dict[str, list[float]] = defaultdict(list)
    for measure in measures:
        if measure.score is not None:
            by_indicator[measure.indicator].append(measure.score)
    return round(fmean(fmean(scores) for scores in by_indicator.values()), 1) if by_indicator else None
