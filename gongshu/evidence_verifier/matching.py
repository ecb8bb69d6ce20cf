"""Matches what two bundles say about the same things, and how each delivery stands."""

from collections.abc import Iterator

from .findings import AGREES, DIFFERS, ONLY, RESENT, Bundle, Finding
from .primitives import fingerprint_of, jws_parts, parse_text, text_of


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
    found += _compared(one, other, "contract", _contracts(one), _contracts(other))
    for sender, receiver in ((one, other), (other, one)):
        for kind in ("message", "entry", "receipt", "deletion", "notice"):
            found += _compared(sender, receiver, kind, _items(sender, kind, "out"), _items(receiver, kind, "in"))
    return found + meter([one, other])


def _compared(one: Bundle, other: Bundle, kind: str, mine: dict[str, str], theirs: dict[str, str]) -> Iterator[Finding]:
    for item in [*mine, *(each for each in theirs if each not in mine)]:
        if item not in theirs:
            yield Finding(kind, item, ONLY, f"{one.name}; {other.name} does not have it")
        elif item not in mine:
            yield Finding(kind, item, ONLY, f"{other.name}; {one.name} does not have it")
        elif mine[item] != theirs[item]:
            yield Finding(kind, item, DIFFERS, f"{one.name}: {mine[item][:300]}; {other.name}: {theirs[item][:300]}")
        else:
            yield Finding(kind, item, AGREES, "both sides")


def _contracts(bundle: Bundle) -> dict[str, str]:
    return {str(record["document"]["id"]): text_of(record).decode() for record in bundle.of("contract")}


def _items(bundle: Bundle, kind: str, direction: str) -> dict[str, str]:
    """Return what one side sent or received, by name, with what has to be equal on the other side."""
    items = {}
    for record in bundle.of(kind, direction):
        if kind == "message":
            value = text_of(parse_text(record["body"])).decode()
            value = value if record["type"] in RESENT else f"{record['sha256']} {value}"
            items[f"{record['type']} {record['id']}"] = value
        elif kind == "notice":
            claims = jws_parts(record["document"])[0]
            if bundle.header["counterparty"] in (claims["from"], claims["to"]):
                items[claims["id"]] = record["document"]
        else:
            body = parse_text(record["body"])
            name = body["key"] if kind == "deletion" else f"{body['sequence']} {body.get('kind', '')}".strip()
            items[name] = f"{record['body']} {record['signature']}"
    return items


def meter(bundles: list[Bundle]) -> list[Finding]:
    """Return how each delivery stands by the lines and choices that both have signed, from one file or from both."""
    head = bundles[0].header
    sides = {head["party"]: head["side"], head["counterparty"]: _other(head["side"])}
    lines: dict[str, dict[str, str]] = {}
    choices: dict[tuple[str, int], dict[str, tuple[str, str, str]]] = {}
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
                choices.setdefault((str(body.get("delivery")), body.get("round", 0)), {})[side] = choice
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
        return Finding("meter", delivery, AGREES, f"settled by both, the {settled}'s figures count; {values}")
    return Finding("meter", delivery, DIFFERS if len(lines) == 2 else ONLY, values)


def _other(side: str) -> str:
    return "consumer" if side == "provider" else "provider"
