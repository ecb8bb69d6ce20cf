"""Evidence as pages, commands and programs show it."""

from dataclasses import asdict
from typing import Any

from gongshu.share.evidence.ledger import Holding
from gongshu.share.evidence.model import Entry, Figures, Metered

View = dict[str, Any]


def metered_view(line: Metered) -> View:
    """Return a delivery as both sides count it."""
    return {
        "agreement_id": line.agreement_id,
        "party": line.counterparty,
        "side": line.side,
        "delivery": line.delivery,
        "standing": line.standing,
        "one_sided": line.is_one_sided,
        "ours": _figures_view(line.ours),
        "theirs": _figures_view(line.theirs),
        "our_choice": line.our_choice,
        "their_choice": line.their_choice,
        "reason": line.reason,
        "since": line.since,
        "due_at": line.due_at,
    }


def entry_view(entry: Entry) -> View:
    """Return an entry of a chain, as it was signed."""
    return {
        "direction": entry.direction,
        "sequence": entry.sequence,
        "kind": entry.kind,
        "body": dict(entry.body),
        "hash": entry.body_hash,
        "signature": entry.signature,
        "at": entry.at,
        "acknowledged_at": entry.acknowledged_at,
    }


def _figures_view(figures: Figures | None) -> View | None:
    return None if figures is None else figures.as_json()


def holding_view(line: Holding) -> View:
    """Return a line of the ledger."""
    return asdict(line) | {"purposes": list(line.purposes), "derived": list(line.derived)}
