"""The one byte form of a document that is signed, and its digest.

Source: RFC 8785 (JSON Canonicalization Scheme), kept to documents of text, integers, booleans, lists and objects with
ASCII keys, for which sorted keys and no white space are all of it. Floats are refused: a figure travels as text.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]


def encode_canonical(document: Document) -> bytes:
    """Return the bytes that stand for the document, whatever the order of its fields.

    >>> encode_canonical({"b": 1, "a": ["零"]}).decode()
    '{"a":["零"],"b":1}'
    """
    _require_exact(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(document: Document) -> str:
    """Return the SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(encode_canonical(document)).hexdigest()


def signed_bytes(document: Document) -> bytes:
    """Return what a signature covers: the document's type on a line of its own, then the canonical bytes.

    The type in front keeps a signature under one kind of document from being shown under another.
    """
    return f"{document['type']}\n".encode() + encode_canonical(document)


def encode_signature(signature: bytes) -> str:
    """Return the signature as unpadded base64url."""
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def decode_signature(text: str) -> bytes:
    """Return the signature's bytes; what cannot be decoded is an empty signature, which fits no key."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _require_exact(value: object) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            assert isinstance(key, str), f"key {key!r}"
            assert key.isascii(), f"key {key!r}"
            _require_exact(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            _require_exact(item)
    else:
        assert value is None or isinstance(value, str | bool | int), f"{type(value).__name__} in a signed document"
