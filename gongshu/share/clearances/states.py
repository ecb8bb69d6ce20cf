"""The life of a clearance. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson

from gongshu.model.access import Role
from gongshu.model.dataset import Dataset
from gongshu.share.clearances.model import APPROVERS, Clearance, State


class Step(StrEnum):
    """What people do with a clearance."""

    APPROVE = "approved"
    REFUSE = "refused"
    REVOKE = "revoked"


OPEN: Mapping[Step, frozenset[State]] = {
    Step.APPROVE: frozenset({State.REQUESTED}),
    Step.REFUSE: frozenset({State.REQUESTED}),
    Step.REVOKE: frozenset({State.REQUESTED, State.IN_FORCE, State.OUTDATED}),
}
"""From where each step leads; an ended clearance never opens again: a new one is requested."""


def state_of(clearance: Clearance, now: datetime, bound_now: str) -> State:
    """Return where a clearance stands, given what the dataset and the party are now.

    Cost: one hash.
    """
    if clearance.ended_as:
        return State.REFUSED if clearance.ended_as == Step.REFUSE.value else State.REVOKED
    if now >= clearance.valid_until:
        return State.EXPIRED
    digest = digest_of(clearance)
    if bound_now != clearance.bound_to or any(approval.digest != digest for approval in clearance.approvals):
        return State.OUTDATED
    return State.IN_FORCE if is_approved(clearance) else State.REQUESTED


def is_approved(clearance: Clearance) -> bool:
    """True with one approval for each role, by different people, none of them who requested it."""
    people = {approval.by for approval in clearance.approvals}
    roles = {approval.role for approval in clearance.approvals}
    return roles >= set(APPROVERS) and len(people) >= len(APPROVERS) and clearance.requested_by not in people


def role_to_count(clearance: Clearance, person: str, roles: frozenset[Role]) -> Role | str:
    """Return the role for which a person's approval counts, or why it does not count."""
    if person == clearance.requested_by:
        return "who requested it cannot approve it"
    if any(approval.by == person for approval in clearance.approvals):
        return "the same person has approved it before; another one has to"
    taken = {approval.role for approval in clearance.approvals}
    free = [role for role in APPROVERS if role in roles and role not in taken]
    if not free:
        return f"a {' and a '.join(sorted(taken & roles))} approved before; the other role is missing"
    return free[0]


def digest_of(clearance: Clearance) -> str:
    """Return the hash of what people approve: everything but the approvals and the end."""
    return _hash(
        {
            "id": clearance.clearance_id,
            "kind": clearance.kind.value,
            "dataset": clearance.dataset_id,
            "party": clearance.party_id,
            "reason": clearance.reason,
            "record": clearance.record,
            "bound_to": clearance.bound_to,
            "requested_at": _moment(clearance.requested_at),
            "requested_by": clearance.requested_by,
            "valid_until": _moment(clearance.valid_until),
        }
    )


def bound_hash(dataset: Dataset, fingerprint: str) -> str:
    """Return the hash of what a clearance stands on: the label with its review, the columns, the party's key."""
    label = dataset.label
    return _hash(
        {
            "dataset": dataset.dataset_id,
            "grade": [int(label.grade), label.importance.value, label.category, label.standing.value],
            "review": _moment(label.valid_until) if label.valid_until else "",
            "columns": [
                [c.name, c.type, c.unit, [int(c.label.grade), c.label.importance.value] if c.label else None]
                for c in dataset.columns
            ],
            "series": sorted(dataset.series),
            "key": fingerprint,
        }
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
