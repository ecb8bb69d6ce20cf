"""Who asks, for what, and what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gongshu.model.ids import DatasetId, PartyId, SubjectId


class Role(StrEnum):
    """Roles of people and services. The three administrators are kept apart (GB/T 22239-2019, 三权分立)."""

    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDIT_ADMIN = "audit_admin"
    STEWARD = "steward"
    ENGINEER = "engineer"
    ANALYST = "analyst"
    PRODUCT_OWNER = "product_owner"
    APP = "app"
    PARTNER = "partner"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks, as proved by a password, a token or a partner's signature."""

    subject_id: SubjectId
    party_id: PartyId
    roles: frozenset[Role]
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Further facts that policies may use: `agreement`, `app`, `assets`."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A column that may be seen only in a changed form."""

    column: str
    rule: str
    """`null`, `hash`, `partial`, `round:<digits>`, or `hour`; the gate refuses a rule it does not know."""


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a permit demands before rows leave; several permits' obligations add up, the stricter bound wins."""

    masks: tuple[Mask, ...] = ()
    columns: frozenset[str] | None = None
    """Only these columns exist for the subject; None means all."""
    row_filters: tuple[str, ...] = ()
    """SQL predicates over the dataset's own columns, all of which must hold."""
    rows_max: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the gate about one dataset."""

    subject: Subject
    action: str
    """`read`, `share`, `export` or `aggregate`."""
    purpose: str
    dataset_id: DatasetId


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer and its reasons."""

    permitted: bool
    because: tuple[str, ...]
    """Ids of the policies that decided, or the reason of a refusal no policy made: `no-grade`, `policy-error: …`."""
    obligations: Obligations = Obligations()
    decided_at: datetime | None = None
