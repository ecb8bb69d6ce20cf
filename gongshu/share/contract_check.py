"""Verifies a contract document with its signatures. Shares no code with the signer: it imports nothing of this product.

A third person can run it on what an export holds. It answers with everything that is wrong; nothing is right.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_ED25519_DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in its DER form. Source: RFC 8410, section 4."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_STATEMENT = frozenset({"party", "key", "public_key", "signed_at", "signature"})
_DEPTH_MAX = 16


def check_contract(
    document: Any, signatures: Sequence[Any], *, known_keys: Mapping[str, str] | None = None, both: bool = True
) -> list[str]:
    """Return what is wrong with a contract; an empty list means that it holds.

    `known_keys` are fingerprints by party, from another channel; without them a key proves only that it signed. With
    `both`, both parties have to have signed.
    """
    try:
        message = _bytes(document, 0)
        if document["format"] != "gongshu-contract-1":
            return ["the document is of another form"]
        sides = {str(side["id"]): str(side["key"]) for side in document["parties"].values()}
    except (KeyError, TypeError, AttributeError, ValueError) as cause:
        return [f"the document cannot be read ({type(cause).__name__})"]
    if len(sides) != 2:
        return ["the document does not name two parties"]
    found: list[str] = []
    signed: set[str] = set()
    for statement in signatures:
        fault, party = _check_statement(statement, message, sides, known_keys)
        if fault:
            found.append(fault)
        elif party in signed:
            found.append(f"{party} signed twice")
        signed.add(party)
    missing = sorted(set(sides) - signed)
    if missing and (both or len(missing) == 2):
        found += [f"{party} has not signed" for party in missing]
    return found


def check_chain(contracts: Sequence[Any]) -> list[str]:
    """Return what is wrong with a chain of documents, the oldest first; empty means that each names the one before."""
    found: list[str] = []
    before: tuple[str, str] | None = None
    for number, document in enumerate(contracts, start=1):
        try:
            digest = hashlib.sha256(_bytes(document, 0)).hexdigest()
            named, version = document["replaces"], document["version"]
            expected = None if before is None else {"id": before[0], "hash": before[1]}
            if named != expected:
                found.append(f"version {number} does not name the one before it")
            if version != number:
                found.append(f"version {number} calls itself {version}")
            before = (document["id"], digest)
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            return [*found, f"version {number} cannot be read ({type(fault).__name__})"]
    return found


def _check_statement(
    statement: Any, message: bytes, sides: Mapping[str, str], known_keys: Mapping[str, str] | None
) -> tuple[str, str]:
    if not isinstance(statement, dict) or set(statement) != _STATEMENT:
        return "a signature of another form", ""
    if not all(isinstance(value, str) and len(value) <= 1000 for value in statement.values()):
        return "a signature with odd values", ""
    party = statement["party"]
    if party not in sides:
        return f"{party[:200]} signed and is no party", ""
    try:
        raw = base64.b64decode(statement["public_key"], validate=True)
        signature = base64.b64decode(statement["signature"], validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
        has_zone = datetime.fromisoformat(statement["signed_at"]).tzinfo is not None
    except (binascii.Error, ValueError):
        return f"the signature of {party} cannot be read", ""
    fingerprint = "sha256:" + hashlib.sha256(_ED25519_DER + raw).hexdigest()
    if not has_zone or fingerprint != statement["key"] or fingerprint != sides[party]:
        return f"the key of {party} is not the one in the document", ""
    if known_keys is not None and known_keys.get(party) != fingerprint:
        return f"the key of {party} is not the one that is known", ""
    unsigned = {name: value for name, value in statement.items() if name != "signature"}
    try:
        key.verify(signature, b"gongshu-contract-signature-1\0" + message + b"\0" + _bytes(unsigned, 0))
    except InvalidSignature:
        return f"the signature of {party} does not hold", ""
    return "", party


def _bytes(value: Any, depth: int) -> bytes:
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deeply")
    if value is None:
        return b"null"
    if value is True or value is False:
        return b"true" if value else b"false"
    if isinstance(value, int) and -(2**53) < value < 2**53:
        return b"%d" % value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return b"[" + b",".join(_bytes(item, depth + 1) for item in value) + b"]"
    if isinstance(value, dict):
        keys = sorted(value, key=None if "".join(value).isascii() else lambda key: key.encode("utf-16-be"))
        return b"{" + b",".join([_text(key) + b":" + _bytes(value[key], depth + 1) for key in keys]) + b"}"
    raise ValueError(f"{type(value).__name__} in a contract")


def _text(text: str) -> bytes:
    if text.isprintable() and '"' not in text and "\\" not in text:  # as nearly all is
        return f'"{text}"'.encode()
    parts = [_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text]
    return f'"{"".join(parts)}"'.encode()
