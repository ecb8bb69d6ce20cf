"""The values of governance: why a label is proposed, what changed, what comes from what, what is due."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gongshu.model.grade import Grade, GradeLabel, Importance
from gongshu.model.ids import DatasetId


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for a proposal; it never quotes a value of the data."""

    rule_id: str
    """Which rule spoke: `name.term`, `unit.physical`, `access.writable`, `condition.2.1`."""
    seen: str
    """What it saw, in a few words: a name, a unit, a share of values."""
    source: str
    """The pack's citation: source, clause, and how sure that is."""
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A category and a grade by both schemes, with the reasons and how sure the rules are."""

    category: str
    category_2022: str
    """The class key of the measures of 2022 (`production`), by the platform's crosswalk."""
    grade: Grade
    importance: Importance
    confidence: float
    """0..1, of the category; the grade is the strictest that is plausible."""
    evidence: tuple[Evidence, ...]
    markers: tuple[str, ...] = ()
    """Sensitive kinds that were found: `personal.phone`, `business.partner`, `safety.function`."""
    packs: tuple[str, ...] = ()
    """References of the pack versions that produced it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A column or series of a dataset with its own label and proposal."""

    name: str
    label: GradeLabel
    proposal: Proposal
    graded_alone: bool = False
    """A steward graded this part by itself; the whole may not be graded below it."""


class ChangeKind(StrEnum):
    """What can happen to a catalogue entry."""

    REGISTERED = "dataset.registered"
    EXTENDED = "dataset.extended"
    SERIES_CHANGED = "series.changed"
    COLUMNS_CHANGED = "columns.changed"
    REPROPOSED = "grade.reproposed"
    CONFIRMED = "grade.confirmed"
    PART_CONFIRMED = "part.confirmed"
    OWNER_CHANGED = "owner.changed"
    SECRET_DECLARED = "secret.declared"  # noqa: S105  # the name of an act, not a secret
    LINEAGE_ADDED = "lineage.added"
    EXPECTATION_DECLARED = "expectation.declared"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a dataset's history; nothing of it is ever rewritten."""

    change_id: int
    dataset_id: DatasetId
    at: datetime
    actor: str
    kind: ChangeKind
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    audit_index: int | None
    """Its index in the audit log; None for the moment between the change and its audit record."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a dataset comes from and what was made of it, one step each way."""

    dataset_id: DatasetId
    parents: tuple[DatasetId, ...]
    children: tuple[DatasetId, ...]


@dataclass(frozen=True, slots=True)
class ReviewDue:
    """A dataset that waits for a steward."""

    dataset_id: DatasetId
    title: str
    label: GradeLabel
    due_at: datetime | None
    """None where nobody has confirmed anything yet: due now."""
    why: str
    """`proposed`, `expired` or `due_soon`."""


def grade_text(grade: Grade, importance: Importance) -> str:
    """Return both labels in the standards' words.

    >>> grade_text(Grade.TWO, Importance.GENERAL)
    '二级/一般'
    """
    return f"{grade.term}/{importance.term}"
