"""Turns a subject, a dataset and a moment into what policies see. Pure.

Shape: as `gongshu/secure/policy/schema.cedarschema` says; a test validates one against the other.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gongshu.model.access import Subject
from gongshu.model.dataset import Dataset
from gongshu.model.grade import GradeLabel, GradeStanding
from gongshu.model.ids import DatasetId, PartyId

ACTIONS = frozenset({"read", "share", "export", "aggregate"})


def standing_at(label: GradeLabel, now: datetime) -> GradeStanding:
    """Return the label's standing at a moment: a confirmed one is expired from `valid_until` on."""
    if label.standing is GradeStanding.CONFIRMED and (label.valid_until is None or label.valid_until <= now):
        return GradeStanding.EXPIRED
    return label.standing


def subject_entity(subject: Subject, own_party_id: PartyId) -> dict[str, Any]:
    """Return who asks. The agreement is the attribute `agreement`; an app's name is that of `service:<name>`."""
    attributes = dict(subject.attributes)
    known: dict[str, Any] = {
        "party": {"__entity": {"type": "Party", "id": subject.party_id}},
        "own_party": subject.party_id == own_party_id,
        "name": subject.subject_id,
    }
    if "agreement" in attributes:
        known["agreement"] = attributes.pop("agreement")
    if subject.subject_id.startswith("service:"):
        known["app"] = subject.subject_id.removeprefix("service:")
    return {
        "uid": _subject_uid(subject),
        "attrs": known,
        "parents": [{"type": "Role", "id": role.value} for role in sorted(subject.roles)],
        "tags": attributes,
    }


def dataset_entity(dataset: Dataset, now: datetime, *, cleared: bool) -> dict[str, Any]:
    """Return what is asked for; its parents are its asset and category with all that lies above them.

    `cleared` is what the records of this node say about the dataset and who asks, never the request.
    """
    label = dataset.label
    standing = standing_at(label, now)
    parents = [{"type": "Category", "id": path} for path in _paths(label.category, ".")]
    if dataset.asset is not None:
        parents += [{"type": "Asset", "id": path} for path in _paths(dataset.asset, "/")]
    return {
        "uid": {"type": "Dataset", "id": dataset.dataset_id},
        "attrs": {
            "grade": int(label.grade),
            "importance": label.importance.rank,
            "confirmed": standing is GradeStanding.CONFIRMED,
            "cleared": cleared,
            "standing": standing.value,
            "category": label.category,
            "kind": dataset.kind.value,
            "owner": dataset.owner,
            "origin": dataset.origin,
        },
        "parents": parents,
    }


def authorization_request(
    subject: Subject, action: str, purpose: str, dataset_id: DatasetId, now: datetime
) -> dict[str, Any]:
    """Return one question to the policies."""
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    context: Mapping[str, Any] = {
        "purpose": purpose,
        "purpose_name": purpose.rpartition(":")[2],
        "now": {"__extn": {"fn": "datetime", "arg": moment}},
    }
    return {
        "principal": _subject_uid(subject),
        "action": {"type": "Action", "id": action},
        "resource": {"type": "Dataset", "id": dataset_id},
        "context": dict(context),
    }


def _subject_uid(subject: Subject) -> dict[str, str]:
    return {"type": "Subject", "id": subject.subject_id}


def _paths(path: str, separator: str) -> Sequence[str]:
    """`a/b/c` → `a`, `a/b`, `a/b/c`; an empty path has none."""
    parts = path.split(separator) if path else []
    return [separator.join(parts[: count + 1]) for count in range(len(parts))]
