"""Reads a bundle: which of its lines are what was written, at the place where they were written."""

import codecs
import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .findings import AGREES, FORGED, Bundle, Unreadable
from .primitives import is_signed, jws_parts, key_of, parse_line, parse_text, text_of

FORMAT = "gongshu-evidence-1"
LINE_BYTES_MAX = 16 * 1024 * 1024
"""No record is as long; a file without line ends is not read into memory."""
FORMS: dict[str, dict[str, type]] = {
    "agreement": {"policy": str, "policy_hash": str},
    "contract": {"document": dict, "signatures": list},
    "process": {"provider": str, "consumer": str},
    "message": {"direction": str, "id": str, "type": str, "sha256": str, "body": str},
    "entry": {"direction": str, "body": str, "signature": str},
    "receipt": {"direction": str, "body": str, "signature": str},
    "deletion": {"direction": str, "body": str, "signature": str},
    "notice": {"direction": str, "party": str, "document": str},
    "audit": {"index": int, "leaf": str, "signature": str, "path": list},
}
BODIES: dict[str, dict[str, type]] = {
    "message": {},
    "entry": {"contract": str, "author": str, "sequence": int, "previous": str, "kind": str},
    "receipt": {"contract": str, "sequence": int, "previous": str, "operation": str},
    "deletion": {"contract": str, "key": str},
}
"""What the text inside a record has to hold, as far as it is looked at."""


def read_bundle(file: BinaryIO, name: str) -> Bundle:
    """Return a bundle with those of its records that are what was written at their place."""
    first = file.readline(LINE_BYTES_MAX + 1)
    if first.startswith(codecs.BOM_UTF8) or first.endswith(b"\r\n"):
        raise Unreadable(f"{name}: a program rewrote it as text on its way; have it sent again, packed")
    head = parse_line(first)
    header = head.get("header") if head else None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise Unreadable(f"{name}: its first line does not name the format {FORMAT}")
    texts = ("agreement", "contract_hash", "party", "counterparty", "side", "written_at", "checkpoint")
    keys = header.get("keys")
    if not all(isinstance(header.get(text), str) for text in texts) or not isinstance(keys, dict):
        raise Unreadable(f"{name}: its header lacks what it has to hold")
    known = {party: key for party, text in keys.items() if (key := key_of(text)) is not None}
    bundle = Bundle(name, header, known)
    signer = known.get(header["party"])
    signature = head.get("signature") if head else None
    if signer is None or not is_signed(signer, signature, b"gongshu evidence header 1\n" + text_of(header)):
        bundle.say("file", "header", FORGED, "the header was altered or is not signed by the exporter's key")
        return bundle
    _read_records(file, bundle, signer, hashlib.sha256(text_of(header)).digest())
    return bundle


def _read_records(file: BinaryIO, bundle: Bundle, signer: Ed25519PublicKey, bundle_id: bytes) -> None:
    expected, ended = 0, False
    for line, raw in enumerate(_lines(file), start=2):
        content = parse_line(raw)
        if content is None or set(content) != {"kind", "n", "record", "signature"}:
            bundle.say("file", f"line {line}", FORGED, "it is damaged or was altered")
            expected += 1
            continue
        number, kind, record = content["n"], content["kind"], content["record"]
        body = hashlib.sha256(text_of({"kind": kind, "record": record})).digest()
        is_number = type(number) is int and 0 <= number < 2**63
        message = b"gongshu evidence record 1\n" + bundle_id + b"\n%d\n" % (number if is_number else 0) + body
        if not is_number or not isinstance(record, dict) or not is_signed(signer, content["signature"], message):
            bundle.say("file", f"record {expected}", FORGED, "it was altered, or comes from another file")
            expected += 1
            continue
        if number < expected or ended:
            bundle.say("file", f"record {number}", FORGED, "it was repeated, moved or added")
            continue
        if number > expected:
            bundle.say("file", f"records {expected} to {number - 1}", FORGED, "they were removed or moved")
        expected, ended = number + 1, kind == "end"
        if kind == "end":
            is_whole = record == {"records": number}
            bundle.say("file", f"{number} records", AGREES if is_whole else FORGED)
        elif fault := _form_fault(kind, record):
            bundle.say("file", f"record {number}", FORGED, fault)
        else:
            bundle.records.setdefault(kind, []).append(record)
    if not ended:
        bundle.say("file", f"after record {expected - 1}", FORGED, "the file was cut")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while raw := file.readline(LINE_BYTES_MAX + 1):
        yield raw


def _form_fault(kind: object, record: dict[str, Any]) -> str:
    """Return what is wrong with the form of a record, empty if nothing is."""
    if not isinstance(kind, str) or kind not in FORMS:
        return "its kind is unknown"
    try:
        faults = _misfits(record, FORMS[kind])
        faults += _misfits(parse_text(record["body"]), BODIES[kind]) if kind in BODIES and not faults else []
        if kind == "audit" and not faults:
            faults += _misfits(parse_text(record["leaf"]), {"index": int, "action": str})
        if kind == "notice" and not faults:
            claims = jws_parts(record["document"])[0]
            faults += _misfits(claims, {"id": str, "from": str, "to": str, "agreement": str})
    except (ValueError, RecursionError):
        return "a text inside it cannot be read"
    return f"{faults[0]} is missing or of another type" if faults else ""


def _misfits(content: dict[str, Any], form: dict[str, type]) -> list[str]:
    return [name for name, kind in form.items() if type(content.get(name)) is not kind]
