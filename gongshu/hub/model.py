"""The nouns of reporting as frozen values, and the documents that stand for them on the wire."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gongshu.hub.period import Period
from gongshu.model.ids import DatasetId, PartyId

TERMS_TYPE = "gongshu.reporting-agreement/1"
REPORT_TYPE = "gongshu.report/1"
RECEIPT_TYPE = "gongshu.receipt/1"


class Aggregate(StrEnum):
    """How members' values of an indicator become one."""

    SUM = "sum"
    MEAN = "mean"
    """Weighted by another indicator of the same report."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """What is reported, as the pack `reporting` defines it."""

    code: str
    title_zh: str
    title_en: str
    unit: str
    decimals: int
    minimum: Decimal
    maximum: Decimal
    aggregate: Aggregate
    weight: str
    """Code of the indicator that weighs a mean; empty for a sum."""
    formula: str
    pack: str
    """The pack version that defines it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A reporting agreement: who tells whom what, what for, how often and until when."""

    agreement_id: str
    province: PartyId
    member: PartyId
    division: str
    indicators: tuple[str, ...]
    purpose: str
    basis: str
    """Approval or filing number of the survey, or `voluntary`. Source: Statistics Law, regulation, art. 17."""
    utc_offset_minutes: int
    due_days: int
    valid_from: datetime
    valid_until: datetime

    def document(self) -> dict[str, Any]:
        """Return the document that both parties sign."""
        fields = asdict(self)
        return {
            "type": TERMS_TYPE,
            **fields,
            "indicators": list(self.indicators),
            "period": "month",
            "valid_from": self.valid_from.isoformat(),
            "valid_until": self.valid_until.isoformat(),
        }

    def is_in_force(self, now: datetime) -> bool:
        """Return whether reports may be accepted at this moment."""
        return self.valid_from <= now < self.valid_until


@dataclass(frozen=True, slots=True)
class Agreement:
    """Signed terms as this node keeps them."""

    terms: Terms
    as_province: bool
    """True where this node receives the reports."""
    member_title: str
    province_title: str
    signed_at: datetime
    ended_at: datetime | None
    """Set when one side ended it before its time."""


@dataclass(frozen=True, slots=True)
class ReportedValue:
    """One indicator of one report."""

    indicator: str
    value: Decimal | None
    """None where the member has no figure; `reason` says why."""
    unit: str
    formula: str
    source: str
    """The member's dataset that the figure was taken from."""
    query_sha256: str
    """Digest of the member's query: the member can be asked to open exactly this one."""
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """Return the value as it stands in the signed report: figures are text."""
        return asdict(self) | {"value": None if self.value is None else format(self.value, "f")}


@dataclass(frozen=True, slots=True)
class Report:
    """What one member says about one month."""

    agreement_id: str
    province: PartyId
    member: PartyId
    division: str
    period: Period
    revision: int
    preliminary: bool
    """True while the month is not over; a final report replaces it as a new revision."""
    made_at: datetime
    values: tuple[ReportedValue, ...]

    def document(self) -> dict[str, Any]:
        """Return the document that the member signs."""
        return {
            "type": REPORT_TYPE,
            "agreement_id": self.agreement_id,
            "province": self.province,
            "member": self.member,
            "division": self.division,
            "period": str(self.period),
            "revision": self.revision,
            "preliminary": self.preliminary,
            "made_at": self.made_at.isoformat(),
            "values": [value.document() for value in self.values],
        }


@dataclass(frozen=True, slots=True)
class Signed:
    """A document with its signature, as it travels and as it is kept."""

    document: Mapping[str, Any]
    signature: str


@dataclass(frozen=True, slots=True)
class IndicatorSource:
    """The dataset and query behind an indicator on a member's node."""

    indicator: str
    dataset_id: DatasetId
    sql: str
    """One row with one number; `{period_start}` and `{period_end}` stand for the month's bounds."""


@dataclass(frozen=True, slots=True)
class OpenedValue:
    """A reported figure opened down to its inputs, on the member's own node (I7)."""

    value: ReportedValue
    dataset_id: DatasetId
    sql: str
    audit_index: int
    """The record of the read in the audit log."""


class DeliveryState(StrEnum):
    """Where a report stands on its way up."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    """The province's signed receipt is kept."""
    REFUSED = "refused"
    """The province said no; sending the same again cannot help."""


@dataclass(frozen=True, slots=True)
class SentReport:
    """A report that this node made, and how its delivery goes."""

    report_id: int
    agreement_id: str
    period: Period
    revision: int
    preliminary: bool
    made_at: datetime
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    answer: str
    """The receipt's number, or why it was refused or is still waiting."""


class Standing(StrEnum):
    """Where a member stands with a month's report, seen by the province."""

    REPORTED = "reported"
    PRELIMINARY = "preliminary"
    MISSING = "missing"
    """Not here yet, and not due yet."""
    LATE = "late"
    """Not here, and overdue; or only a preliminary one is."""


@dataclass(frozen=True, slots=True)
class MemberStanding:
    """One member in the list of a month's reporters. It carries no value of the report."""

    member: PartyId
    title: str
    division: str
    agreement_id: str
    standing: Standing
    due_at: datetime
    received_at: datetime | None
    revision: int
    was_late: bool


@dataclass(frozen=True, slots=True)
class TotalCell:
    """One figure of a publication, or the reason why it is not shown."""

    indicator: str
    key: str
    """Empty for the total, a letter for a section, letter and two digits for a division of GB/T 4754."""
    contributors: int
    preliminary: int
    """How many of the contributors have only a preliminary report."""
    shown: str
    """A value of `disclosure.Shown`."""
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Publication:
    """The totals of one month as they were released."""

    period: Period
    number: int
    released_at: datetime
    released_by: str
    pack: str
    least_contributors: int
    cells: tuple[TotalCell, ...]
    held_back: int
    """How many members' later changes wait until enough of them change together."""
