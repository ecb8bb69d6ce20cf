"""The values of the apps: bindings, findings, what a run needs and gives, and a figure opened to its sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from gongshu.apply.spec import AppSpec, InputSpec, ParamValue
from gongshu.model.ids import AssetId, DatasetId, SeriesId
from gongshu.model.series import Series
from gongshu.packs import Pack


class Outcome(StrEnum):
    """The three outcomes of every judgement."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an app needs, and whether the data hold it."""

    asset: AssetId
    role: str
    need: str
    """`bound`, `kind`, `unit`, `readable`, `readings`, `good`, `gap`, `age`."""
    outcome: Outcome
    seen: str
    expected: str
    remedy: str
    """What to do; empty where it holds."""
    required: bool = True
    """False only for an optional role that is not bound."""

    @property
    def stops(self) -> bool:
        """Whether it keeps the app from running: something required that does not demonstrably hold."""
        return self.required and self.outcome is not Outcome.HOLDS

    def __str__(self) -> str:
        return f"{self.asset} {self.role}: {self.seen}, expected {self.expected}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class AssetBinding:
    """Which series play which roles for one asset."""

    asset: AssetId
    roles: Mapping[str, SeriesId]


@dataclass(frozen=True, slots=True)
class BoundInput:
    """A role, the series that plays it, and how its values become values of the role's unit."""

    spec: InputSpec
    series: Series
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What was counted of one series in the span; the gate let the counts out, not the readings."""

    readings: int = 0
    good: int = 0
    first: datetime | None = None
    last: datetime | None = None
    gap_s: float = 0.0
    """Longest time without a reading within the span, its edges included."""
    before: datetime | None = None
    """The last reading before the span, within the look-back."""
    withheld: str = ""
    """What the gate's obligations change or leave out; empty where readings come as they are."""


Inputs = Mapping[AssetId, Mapping[str, BoundInput]]


class ReadingSource(Protocol):
    """How an app gets at readings; behind it stand the gate, the app's own subject and its purpose."""

    def read(self, series: Sequence[SeriesId], start: datetime, end: datetime) -> pa.Table:
        """Return the readings of some series in [start, end), in order of series and time.

        Shape: series_id int32, time timestamp[us, UTC], value double?, value_text string?, status uint32.
        """
        ...

    def gaps(self, series: Sequence[SeriesId], start: datetime, end: datetime, *, gap_min_s: float) -> pa.Table:
        """Return the spans longer than `gap_min_s` in which a series has no good reading, the edges included.

        Shape: series_id int32, gap_start timestamp[us, UTC], gap_end timestamp[us, UTC].
        """
        ...


@dataclass(frozen=True, slots=True)
class AppCall:
    """Everything that one run of an app depends on."""

    run_id: str
    spec: AppSpec
    inputs: Inputs
    params: Mapping[str, ParamValue]
    start: datetime
    end: datetime
    now: datetime
    """What lies after it has not happened: no value may be believed to hold there."""
    packs: Mapping[str, Pack]
    source: ReadingSource


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a formula, and the readings that made it."""

    symbol: str
    title_zh: str
    title_en: str
    value: float | None
    unit: str
    series: tuple[SeriesId, ...]
    readings: int
    """Readings of those series that were used."""
    excluded: int
    """Readings left out because their status is not good."""
    source: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one asset, opened one step: its formula and terms."""

    name: str
    value: float | None
    """None where it cannot be judged; `remark` says why."""
    title_zh: str
    title_en: str
    formula: str
    source: str
    terms: tuple[Term, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class AssetResult:
    """What a run found for one asset."""

    asset: AssetId
    figures: Mapping[str, Figure]
    notes: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """Further numbers that pages show: times by state, time not judged."""


@dataclass(frozen=True, slots=True)
class AppResult:
    """What an app gives back: figures to open and tables to store."""

    assets: tuple[AssetResult, ...]
    outputs: Mapping[str, pa.Table]
    """By output name; each has the schema that the spec declares."""
    readings: int
    digest: str
    """SHA-256 over the readings used: the same digest means the same input."""


class AppProgram(Protocol):
    """The function that an app's `opens` names."""

    def __call__(self, call: AppCall) -> AppResult:
        """Compute; it reads through `call.source` alone and writes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class RunReport:
    """What is kept of a run, so that each of its figures can be opened for good."""

    run_id: str
    app: str
    app_version: str
    code_sha256: str
    actor: str
    started_at: datetime
    finished_at: datetime
    start: datetime
    end: datetime
    params: Mapping[str, ParamValue]
    bindings: tuple[AssetBinding, ...]
    inputs: tuple[DatasetId, ...]
    input_readings: int
    input_sha256: str
    audit_indexes: tuple[int, ...]
    """The gate's audit records of the reads that fed it."""
    packs: tuple[str, ...]
    findings: tuple[Finding, ...]
    assets: tuple[AssetResult, ...]
    outputs: tuple[DatasetId, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A term with the names behind its series and a query that shows its readings."""

    term: Term
    names: tuple[str, ...]
    """`asset/series`, one for each of the term's series."""
    datasets: tuple[DatasetId, ...]
    query: str
    """For `gongshu sql` or the console: through the gate, as whoever asks."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A figure opened down to formula, numbers, inputs and sources (I7)."""

    run: RunReport
    asset: AssetId
    figure: Figure
    terms: tuple[Opened, ...]
    not_judged_s: float | None
