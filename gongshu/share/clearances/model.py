"""Clearances as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gongshu.model.access import Role
from gongshu.model.ids import DatasetId, PartyId

APPROVERS = (Role.STEWARD, Role.SECURITY_ADMIN)
"""One approval of each: who answers for the data, and who answers for their protection. Ours; decision 0072."""


class Kind(StrEnum):
    """Which procedure a clearance is the outcome of."""

    STRICT = "strict"
    """For 三级: named knowers, a reason, a watermark. Source: 工信厅信发〔2020〕6号, 第十五条 (严格控制知悉范围)."""
    IMPORTANT = "important"
    """For 重要: agreement, receiver checked, six aspects assessed. Source: 工信部网安〔2022〕166号, 第十八条."""
    CROSS_BORDER = "cross_border"
    """For a receiver outside of the country, whatever the grade."""


class State(StrEnum):
    """Where a clearance stands; only one of them opens anything."""

    REQUESTED = "requested"
    IN_FORCE = "in_force"
    REFUSED = "refused"
    REVOKED = "revoked"
    EXPIRED = "expired"
    OUTDATED = "outdated"
    """The dataset's grade, review or columns, the party's key, or the record itself are not what was approved."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes."""

    by: str
    role: Role
    """The approver's role for which it counts."""
    at: datetime
    digest: str
    """Of everything that was approved."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """One record."""

    clearance_id: str
    kind: Kind
    dataset_id: DatasetId
    party_id: PartyId
    reason: str
    record: Mapping[str, Any]
    """What the procedure found; its form depends on the kind (`records`)."""
    bound_to: str
    """Hash of the dataset's label and columns and of the party's key at the time of the request."""
    requested_at: datetime
    requested_by: str
    valid_until: datetime
    approvals: tuple[Approval, ...] = ()
    ended_as: str = ""
    """`refused`, `revoked`, or empty."""
    ended_at: datetime | None = None
    ended_by: str = ""
    ended_why: str = ""


@dataclass(frozen=True, slots=True)
class PartyStanding:
    """What is known, for one dataset, about one party; a default says 'nothing', which opens nothing."""

    party: PartyId
    place: str = ""
    """Where the party is registered to be; empty if nobody wrote it down."""
    is_inside: bool = False
    """True if that place is inside of the country."""
    in_force: frozenset[Kind] = frozenset()
    why_not: Mapping[Kind, str] = field(default_factory=dict)
    """Where the newest clearance of a kind stands, if it is not in force."""
