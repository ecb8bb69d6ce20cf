"""Entries of a chain as signed documents: how they are written and what form they have. Pure.

Every entry names the hash of the one before it; the first one names the hash of the contract's own text, which both
sides hold. So an entry that is left out, altered, moved, or taken from another contract shows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gongshu.share.dsp.states import Side
from gongshu.share.evidence.model import EntryKind, Figures
from gongshu.share.keeping.chain import SEQUENCE_MAX, moment

ENTRY_DOMAIN = b"gongshu evidence entry 1\n"
TEXT_MAX = 2000
ID_MAX = 400
DELIVERY_MAX = 200

_HEAD: Mapping[str, type] = {
    "contract": str,
    "contract_hash": str,
    "author": str,
    "kind": str,
    "sequence": int,
    "previous": str,
    "at": str,
}
_FIELDS: Mapping[EntryKind, Mapping[str, type]] = {
    EntryKind.LINE: {
        "delivery": str,
        "transfer": str,
        "rows": int,
        "size_bytes": int,
        "sha256": str,
        "measure": str,
        "encoding": str,
        "begun_at": str,
        "ended_at": str,
    },
    EntryKind.AGREE: {"delivery": str, "line": str, "own": str},
    EntryKind.DISPUTE: {"delivery": str, "line": str, "own": str, "reason": str},
    EntryKind.SETTLE: {
        "delivery": str,
        "figures": str,
        "line": str,
        "own": str,
        "round": int,
        "reason": str,
        "by": str,
    },
    EntryKind.END: {"reason": str},
}


def build_body(
    kind: EntryKind,
    fields: Mapping[str, Any],
    *,
    contract: str,
    contract_hash: str,
    author: str,
    sequence: int,
    previous: str,
    at: datetime,
) -> dict[str, Any]:
    """Return the body of an entry, before it is signed."""
    head = {"contract": contract, "contract_hash": contract_hash, "author": author, "kind": kind.value}
    return {**head, "sequence": sequence, "previous": previous, "at": moment(at), **fields}


def entry_fault(body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the form of an entry, None if nothing is."""
    try:
        kind = EntryKind(body.get("kind", ""))
    except ValueError:
        return "its kind is unknown"
    fields = {**_HEAD, **_FIELDS[kind]}
    if set(body) != set(fields):
        return "it does not hold the fields it has to"
    for name, wanted in fields.items():
        value = body[name]
        if not isinstance(value, wanted) or isinstance(value, bool):
            return f"its field {name} is of another type"
        if isinstance(value, str) and len(value) > (TEXT_MAX if name == "reason" else ID_MAX):
            return f"its field {name} is too long"
        if isinstance(value, int) and not 0 <= value <= SEQUENCE_MAX:
            return f"its field {name} is not 0 to {SEQUENCE_MAX}"
    if body["sequence"] < 1:
        return "its sequence begins at 1"
    if not 0 < len(body.get("delivery", "x")) <= DELIVERY_MAX:
        return f"its delivery has 1 to {DELIVERY_MAX} characters"
    if kind is EntryKind.SETTLE and body["figures"] not in {Side.PROVIDER, Side.CONSUMER}:
        return "its figures are neither the provider's nor the consumer's"
    return None


def figures_of(body: Mapping[str, Any]) -> Figures:
    """Return what a line counted."""
    return Figures(body["rows"], body["size_bytes"], body["sha256"])


def choice_of(body: Mapping[str, Any], *, is_own: bool, side: Side) -> str:
    """Return a choice as one text that two sides can compare: whose figures, and the lines it was made about.

    `side` is ours; `line` and `own` of an entry are seen from its author.
    """
    author = side if is_own else side.other
    lines = {author: body["own"], author.other: body["line"]}
    return f"{body['figures']} {lines[Side.PROVIDER] or '-'} {lines[Side.CONSUMER] or '-'}"
