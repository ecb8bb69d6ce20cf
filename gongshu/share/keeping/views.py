"""What is kept, receipted and deleted as plain fields, for programs and tables. No key appears, only fingerprints."""

from datetime import datetime
from typing import Any

from gongshu.share.keeping.model import Deletion, Fault, Kept, Receipt

View = dict[str, Any]


def kept_view(kept: Kept) -> View:
    """Return one dataset that we hold."""
    version = kept.version
    return {
        "dataset_id": version.dataset_id,
        "version": version.number,
        "kind": version.kind,
        "agreements": list(dict.fromkeys(key.agreement_id for key in version.keys)),
        "parties": list(dict.fromkeys(key.counterparty for key in version.keys)),
        "rows": sum(file.rows for file in version.files),
        "size_bytes": sum(file.size_bytes for file in version.files),
        "reads": version.reads,
        "received_at": version.made_at.isoformat(),
        "ends_at": _moment(kept.ends_at),
        "obstacle": kept.obstacle,
        "keys": [key.fingerprint for key in version.keys],
    }


def receipt_view(receipt: Receipt) -> View:
    """Return one usage receipt."""
    told = {name: receipt.body.get(name) for name in ("dataset", "role", "purpose", "operation", "rows", "outcome")}
    return {
        "sequence": receipt.sequence,
        "agreement_id": receipt.agreement_id,
        "party": receipt.counterparty,
        "at": receipt.body.get("at"),
        **told,
        "hash": receipt.body_hash,
        "acknowledged_at": _moment(receipt.acknowledged_at),
    }


def fault_view(fault: Fault) -> View:
    """Return one thing that was wrong."""
    return {
        "agreement_id": fault.agreement_id,
        "kind": fault.kind,
        "sequence": fault.sequence,
        "seen": fault.seen,
        "at": fault.at.isoformat(),
    }


def deletion_view(deletion: Deletion) -> View:
    """Return how one deletion stands."""
    return {
        "whose": "ours" if deletion.direction == "out" else "partner's",
        "agreement_id": deletion.agreement_id,
        "party": deletion.counterparty,
        "state": str(deletion.state),
        "since": deletion.since.isoformat(),
        "proved_at": _moment(deletion.proved_at),
        "key": deletion.fingerprint,
        "files": deletion.files,
        "reason": deletion.reason,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
