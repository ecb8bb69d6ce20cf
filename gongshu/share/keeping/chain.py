"""Receipts and proofs as signed documents: how they are written, hashed, chained and checked. Pure, keys are arguments.

A receipt names the hash of the one before it; the first one of a contract names the hash of the contract's own text,
which both sides hold. So what is left out, altered or told twice in different words shows.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gongshu.secure.jws import is_signed_by

RECEIPT_DOMAIN = b"gongshu usage receipt 1\n"
PROOF_DOMAIN = b"gongshu deletion proof 1\n"
NOTHING_READ, NOBODY = "none", "none"
"""The operation of a receipt that says that nothing was read since the one before: it keeps silence apart from rest.
And the role where nobody has one."""
SEQUENCE_MAX = 2**53 - 1
"""The largest number that every reader of JSON keeps. Source: RFC 8259, 6."""
ROWS_UNKNOWN = -1
"""Rows of a reading whose process died."""
_RECEIPT_FIELDS: Mapping[str, type] = {
    "contract": str,
    "dataset": str,
    "role": str,
    "purpose": str,
    "operation": str,
    "outcome": str,
    "rows": int,
    "at": str,
    "sequence": int,
    "previous": str,
}
_PROOF_FIELDS: Mapping[str, type] = {
    "contract": str,
    "key": str,
    "reason": str,
    "method": str,
    "shredded_at": str,
    "written_at": str,
    "files": list,
}


def canonical(body: Mapping[str, Any]) -> str:
    """Return the one text of a document: names sorted, no blanks.

    >>> canonical({"b": 1, "a": "x"})
    '{"a":"x","b":1}'
    """
    return orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS).decode()


def hash_of(text: str) -> str:
    """Return the SHA-256 of a document's text, in hexadecimal.

    >>> hash_of("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def sign(domain: bytes, text: str, signer: Callable[[bytes], bytes]) -> str:
    """Return the signature of a document as hexadecimal; the domain keeps kinds of documents apart."""
    return signer(domain + text.encode()).hex()


def is_signed(domain: bytes, text: str, signature: str, key: Ed25519PublicKey) -> bool:
    """Return whether the signature belongs to document and key; anything that is no signature does not."""
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return False
    return is_signed_by(key, domain + text.encode(), raw)


def receipt_fault(body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the form of a receipt, None if nothing is."""
    return _fault(body, _RECEIPT_FIELDS) or (
        None if 1 <= body["sequence"] <= SEQUENCE_MAX else f"its sequence is not 1 to {SEQUENCE_MAX}"
    )


def proof_fault(body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the form of a deletion proof, None if nothing is."""
    if fault := _fault(body, _PROOF_FIELDS):
        return fault
    if not all(isinstance(f, dict) and set(f) == {"name", "sha256", "size_bytes", "deleted_at"} for f in body["files"]):
        return "its files are not each a name, a hash, a size and a time"
    return None


def link_fault(sequence: int, previous: str, *, known: Mapping[int, str], first_hash: str) -> tuple[str, str] | None:
    """Return (kind, what was seen) if a receipt does not follow on what is known; kinds are gap and fork.

    `known` holds the hashes by sequence, `first_hash` is what the first receipt names.
    >>> link_fault(3, "x", known={1: "a"}, first_hash="c")
    ('gap', 'receipt 2 is missing before 3')
    >>> link_fault(2, "x", known={1: "a"}, first_hash="c")
    ('fork', 'receipt 2 does not follow on the receipt 1 that is here')
    >>> link_fault(2, "a", known={1: "a"}, first_hash="c") is None
    True
    """
    expected = first_hash if sequence == 1 else known.get(sequence - 1)
    if expected is None:
        return "gap", f"receipt {sequence - 1} is missing before {sequence}"
    if expected != previous:
        before = "contract" if sequence == 1 else f"receipt {sequence - 1}"
        return "fork", f"receipt {sequence} does not follow on the {before} that is here"
    return None


def moment(at: datetime) -> str:
    """Return a time as documents write it.

    >>> from datetime import UTC
    >>> moment(datetime(2026, 1, 2, tzinfo=UTC))
    '2026-01-02T00:00:00.000000Z'
    """
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _fault(body: Mapping[str, Any], fields: Mapping[str, type]) -> str | None:
    if set(body) != set(fields):
        return "it does not hold the fields it has to"
    wrong = [name for name, kind in fields.items() if not isinstance(body[name], kind) or isinstance(body[name], bool)]
    return f"its field {wrong[0]} is of another type" if wrong else None
