"""What a quality judgement is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gongshu.model.ids import DatasetId


class Dimension(StrEnum):
    """The six dimensions. Source: GB/T 36344-2018."""

    NORMATIVITY = "normativity"
    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    ACCESSIBILITY = "accessibility"

    @property
    def term(self) -> str:
        """The Chinese term."""
        return dict(zip(Dimension, ("规范性", "完整性", "准确性", "一致性", "时效性", "可访问性"), strict=True))[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a rule is broken, how often, and some samples: times or row numbers, never a value."""

    rule_id: str
    indicator: str
    where: str
    """A series' or column's name."""
    count: int
    samples: tuple[str, ...]
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One rule's answer for one indicator."""

    indicator: str
    """The standard's number: `0201`."""
    rule_id: str
    a: int
    b: int
    lower_is_better: bool
    reason_zh: str = ""
    """Why it could not be judged; empty where it was."""
    reason_en: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def x_ratio(self) -> float | None:
        """A / B; None where B is 0: then nothing was judged."""
        return self.a / self.b if self.b else None

    @property
    def score(self) -> float | None:
        """0..100, higher is better; the platform's, for the standard gives no total formula."""
        x = self.x_ratio
        if x is None:
            return None
        return 100.0 * (1.0 - x) if self.lower_is_better else 100.0 * x


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """One dimension: the mean of its indicators that could be judged."""

    dimension: Dimension
    score: float | None
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """One judgement of one dataset over one span of time."""

    dataset_id: DatasetId
    run_at: datetime
    start: datetime | None
    end: datetime | None
    rows: int
    score: float | None
    judged: int
    """Indicators of the standard that were judged, out of `indicators`: coverage, to be shown beside the score."""
    indicators: int
    dimensions: tuple[DimensionResult, ...]
    packs: tuple[str, ...]
    """References of the pack versions that were applied."""

    def measures(self) -> Iterator[Measure]:
        """Yield every measure, dimension by dimension."""
        for dimension in self.dimensions:
            yield from dimension.measures

    def findings(self) -> Iterator[Finding]:
        """Yield every finding."""
        for measure in self.measures():
            yield from measure.findings
