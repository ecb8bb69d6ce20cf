"""Checks one bundle by itself: contract, messages, chains, papers, audit records."""

import base64
import hashlib
import re
from collections.abc import Callable

from .findings import AGREES, FORGED, ONLY, RESENT, UNREADABLE, Bundle
from .primitives import fingerprint_of, hash_of, is_included, is_signed, jws_parts, parse_text, plain_of


def check(bundle: Bundle) -> None:
    """Note everything that one side's evidence shows by itself, taking the keys in it for theirs."""
    parts: tuple[tuple[str, Callable[[Bundle], None]], ...] = (
        ("agreement", _check_agreement),
        ("contract", _check_contract),
        ("message", _check_messages),
        ("entry", _check_chains),
        ("deletion", _check_papers),
        ("audit", _check_audit),
    )
    for kind, part in parts:
        try:
            part(bundle)
        except UNREADABLE as cause:
            bundle.say(kind, "content", FORGED, f"it cannot be read ({type(cause).__name__})")


def _check_agreement(bundle: Bundle) -> None:
    """The agreement's text is the one that the header and everything signed name by its hash."""
    head, agreements = bundle.header, bundle.of("agreement")
    if len(agreements) != 1:
        bundle.say("agreement", head["agreement"], FORGED, f"{len(agreements)} stand in the file")
    for record in agreements:
        digest, named = hash_of(record["policy"]), parse_text(record["policy"]).get("@id")
        is_right = digest == record["policy_hash"] == head["contract_hash"] and named == head["agreement"]
        bundle.say("agreement", head["agreement"], AGREES if is_right else FORGED, f"hash {digest}")


def _check_contract(bundle: Bundle) -> None:
    """The document names the agreement and both parties, and is signed by those who stand in it."""
    head = bundle.header
    for record in bundle.of("contract"):
        document, fault = record["document"], ""
        sides = {side["id"]: side["key"] for side in document["parties"].values()}
        if document["id"] != head["agreement"] or document["agreement_hash"] != head["contract_hash"]:
            fault = "it is the document of another agreement"
        if set(sides) != {head["party"], head["counterparty"]}:
            fault = "it names other parties"
        for statement in record["signatures"]:
            if not _is_signature(bundle, document, statement, sides):
                fault = f"the signature of {statement['party']} does not hold"
        missing = sorted(set(sides) - {statement["party"] for statement in record["signatures"]})
        verdict = FORGED if fault else ONLY if missing else AGREES
        bundle.say("contract", document["id"], verdict, fault or (f"{missing[0]} has not signed" if missing else ""))


def _is_signature(bundle: Bundle, document: object, statement: dict[str, str], sides: dict[str, str]) -> bool:
    key = bundle.keys.get(statement["party"])
    unsigned = {name: value for name, value in statement.items() if name != "signature"}
    message = b"gongshu-contract-signature-1\0" + plain_of(document) + b"\0" + plain_of(unsigned)
    signature = base64.b64decode(statement["signature"], validate=True).hex()
    is_named = key is not None and sides.get(statement["party"]) == fingerprint_of(key)
    return is_named and is_signed(key, signature, message)


def _check_messages(bundle: Bundle) -> None:
    """A message of ours that is stored whole has the hash of what went over the wire."""
    for record in bundle.of("message", "out"):
        is_right = hash_of(record["body"]) == record["sha256"] or record["type"] in RESENT
        bundle.say("message", f"out {record['type']} {record['id']}", AGREES if is_right else FORGED)


def _check_chains(bundle: Bundle) -> None:
    """Each chain begins with the contract, has no gap, and is signed by its author."""
    head = bundle.header
    authors = {"out": head["party"], "in": head["counterparty"]}
    consumer = head["party"] if head["side"] == "consumer" else head["counterparty"]
    for kind, domain in (("entry", b"gongshu evidence entry 1\n"), ("receipt", b"gongshu usage receipt 1\n")):
        for direction, party in authors.items():
            author = consumer if kind == "receipt" else party
            previous, number = head["contract_hash"], 0
            for record in bundle.of(kind, direction):
                body, number, fault = parse_text(record["body"]), number + 1, ""
                if body["contract"] != head["agreement"] or body.get("author", author) != author:
                    fault = "it belongs to another contract or author"
                elif body["sequence"] != number or body["previous"] != previous:
                    fault = f"it does not follow on {kind} {number - 1}: one was removed, moved or replaced"
                elif not is_signed(bundle.keys.get(author), record["signature"], domain + record["body"].encode()):
                    fault = "it is not signed by its author's key"
                what = f"{author} {body['sequence']} {body.get('kind', body.get('operation'))}"
                bundle.say(kind, what, FORGED if fault else AGREES, fault)
                record["is_forged"] = bool(fault)
                previous, number = hash_of(record["body"]), body["sequence"]


def _check_papers(bundle: Bundle) -> None:
    """Deletion proofs are signed by the consumer, notices by who sent them."""
    head = bundle.header
    consumer = head["party"] if head["side"] == "consumer" else head["counterparty"]
    for record in bundle.of("deletion"):
        body, domain = parse_text(record["body"]), b"gongshu deletion proof 1\n"
        is_right = body["contract"] == head["agreement"]
        is_right = is_right and is_signed(
            bundle.keys.get(consumer), record["signature"], domain + record["body"].encode()
        )
        bundle.say("deletion", body["key"], AGREES if is_right else FORGED)
    for record in bundle.of("notice"):
        claims, message, signature = jws_parts(record["document"])
        sender = head["party"] if record["direction"] == "out" else record["party"]
        is_right = claims["from"] == sender and claims["agreement"] == head["agreement"]
        is_right = is_right and is_signed(bundle.keys.get(sender), signature.hex(), message)
        bundle.say("notice", claims["id"], AGREES if is_right else FORGED)


def _check_audit(bundle: Bundle) -> None:
    """Every record stands in the log that the checkpoint covers, and both are signed by the exporter."""
    key, note = bundle.keys[bundle.header["party"]], bundle.header["checkpoint"]
    text, _, rest = note.partition("\n\n")
    parts = text.split("\n")
    signed = re.fullmatch(r"— (\S+) ([A-Za-z0-9+/]+={0,2})\n", rest)
    signature = base64.b64decode(signed[2], validate=True)[4:].hex() if signed else ""
    if len(parts) != 5 or not is_signed(key, signature, (text + "\n").encode()):
        bundle.say("audit", "checkpoint", FORGED, "it is not signed by the exporter's key")
        return
    origin, size, root = parts[0], int(parts[1]), base64.b64decode(parts[2], validate=True)
    bundle.say("audit", f"checkpoint over {size} records", AGREES)
    for record in bundle.of("audit"):
        index, leaf = record["index"], record["leaf"].encode()
        digest = hashlib.sha256(b"\0" + leaf).digest()
        message = b"gongshu-audit-record-v1\n" + origin.encode() + b"\n%d\n" % index + digest
        body = parse_text(record["leaf"])
        is_right = body["index"] == index and is_signed(key, record["signature"], message)
        is_right = is_right and is_included(digest, index, size, [bytes.fromhex(step) for step in record["path"]], root)
        bundle.say("audit", f"{index} {body['action']}", AGREES if is_right else FORGED)
