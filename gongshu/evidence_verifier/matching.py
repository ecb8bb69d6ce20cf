"""Matches what two bundles say about the same things, and how each delivery stands."""

from collections.abc import Iterator
from typing import Any

from .findings import AGREES, DIFFERS, FORGED, ONLY, RESENT, UNREADABLE, Bundle, Finding
from .primitives import fingerprint_of, jws_parts, parse_text, text_of

BOTH = "both sides"
SETTLED = "settled by both"


def match(one: Bundle, other: Bundle) -> list[Finding]:
    """Compare what each says about the same things."""
    a, b = one.header, other.header
    pairs = (("agreement", "agreement"), ("contract_hash", "contract_hash"), ("party", "counterparty"))
    for mine, theirs in (*pairs, ("counterparty", "party")):
        if a[mine] != b[theirs]:
            return [Finding("file", mine, DIFFERS, f"{one.name}: {a[mine]}; {other.name}: {b[theirs]}")]
    if a["side"] == b["side"]:
        return [Finding("file", "side", DIFFERS, f"both files are the {a['side']}'s")]
    found = []
    for party in sorted(set(one.keys) & set(other.keys)):
        mine, theirs = fingerprint_of(one.keys[party]), fingerprint_of(other.keys[party])
        if mine != theirs:
            found.append(Finding("key", party, DIFFERS, f"{one.name}: {mine}; {other.name}: {theirs}"))
    found += _compared(one, other, "contract", ("", ""))
    for sender, receiver in ((one, other), (other, one)):
        for kind in ("message", "entry", "receipt", "deletion", "notice"):
            found += _compared(sender, receiver, kind, ("out", "in"))
    return found + meter([one, other])


def _compared(one: Bundle, other: Bundle, kind: str, directions: tuple[str, str]) -> list[Finding]:
    """Compare, by name, what one side has of a kind in one direction with what the other has in the other."""
    try:
        mine = {name: values for record in one.of(kind, directions[0]) for name, values in _item(one, kind, record)}
        theirs = {
            name: values for record in other.of(kind, directions[1]) for name, values in _item(other, kind, record)
        }
    except UNREADABLE as cause:
        return [Finding(kind, "content", FORGED, f"it cannot be read ({type(cause).__name__})")]
    found = []
    for item in [*mine, *(each for each in theirs if each not in mine)]:
        if item not in theirs:
            found.append(Finding(kind, item, ONLY, f"{one.name}; {other.name} does not have it"))
        elif item not in mine:
            found.append(Finding(kind, item, ONLY, f"{other.name}; {one.name} does not have it"))
        elif mine[item] != theirs[item]:
            found.append(Finding(kind, item, DIFFERS, _difference(one.name, mine[item], other.name, theirs[item])))
        else:
            found.append(Finding(kind, item, AGREES, BOTH))
    return found


def _item(bundle: Bundle, kind: str, record: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a record's name and what has to be equal on both sides, part by part."""
    if kind == "contract":
        yield str(record["document"]["id"]), {name: text_of(value).decode() for name, value in record.items()}
    elif kind == "notice":
        claims = jws_parts(record["document"])[0]
        if bundle.header["counterparty"] in (claims["from"], claims["to"]):
            yield claims["id"], {"document": record["document"]}
    else:
        body = parse_text(record["body"])
        parts = {name: text_of(value).decode() for name, value in body.items()}
        if kind == "message":
            digest = {} if record["type"] in RESENT else {"sha256 of the bytes sent": record["sha256"]}
            yield f"{record['type']} {record['id']}", parts | digest
        else:
            name = body["key"] if kind == "deletion" else f"{body['sequence']} {body.get('kind', '')}".strip()
            yield name, parts | {"signature": record["signature"]}


def _difference(one: str, mine: dict[str, str], other: str, theirs: dict[str, str]) -> str:
    """Say which parts differ, with both values."""
    names = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
    shown = [f"{n}: {one} {mine.get(n, 'none')[:200]}, {other} {theirs.get(n, 'none')[:200]}" for n in names[:5]]
    return "; ".join(shown)


def meter(bundles: list[Bundle]) -> list[Finding]:
    """Return how each delivery stands by the lines and choices that both have signed, from one file or from both."""
    head = bundles[0].header
    sides = {head["party"]: head["side"], head["counterparty"]: _other(head["side"])}
    lines: dict[str, dict[str, str]] = {}
    choices: dict[tuple[str, str], dict[str, tuple[str, str, str]]] = {}
    for bundle in bundles:
        for record in bundle.of("entry"):
            body = parse_text(record["body"])
            side = sides.get(body["author"])
            if side is None or record.get("is_forged"):
                continue
            if body["kind"] == "line":
                shown = f"{body.get('rows')} rows, {body.get('size_bytes')} bytes, sha256 {body.get('sha256')}"
                lines.setdefault(str(body.get("delivery")), {}).setdefault(side, shown)
            elif body["kind"] == "settle":
                named = {side: str(body.get("own")), _other(side): str(body.get("line"))}
                choice = (str(body.get("figures")), named["provider"], named["consumer"])
                choices.setdefault((str(body.get("delivery")), str(body.get("round"))), {})[side] = choice
    settled = {
        delivery: both["provider"][0]
        for (delivery, _), both in choices.items()
        if len(both) == 2 and both["provider"] == both["consumer"]
    }
    return [_standing(delivery, both, settled.get(delivery, "")) for delivery, both in lines.items()]


def _standing(delivery: str, lines: dict[str, str], settled: str) -> Finding:
    provider, consumer = lines.get("provider", "none"), lines.get("consumer", "none")
    if provider == consumer:
        return Finding("meter", delivery, AGREES, provider)
    values = f"provider: {provider}; consumer: {consumer}"
    if settled:
        return Finding("meter", delivery, AGREES, f"{SETTLED}, the {settled}'s figures count; {values}")
    return Finding("meter", delivery, DIFFERS if len(lines) == 2 else ONLY, values)


def _other(side: str) -> str:
    return "consumer" if side == "provider" else "provider"
