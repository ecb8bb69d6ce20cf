"""Hashes, signatures and texts, checked without any of the code that wrote them. Nothing here raises on odd content
but ValueError and its kin, which the callers turn into a finding.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""The fixed head of an Ed25519 public key in DER. Source: RFC 8410 §4."""


def parse_line(raw: bytes) -> dict[str, Any] | None:
    """Return the object of one line if it is in the one form in which it was written, else None."""
    try:
        content = parse_text(raw.decode("ascii"))
        return content if text_of(content) + b"\n" == raw else None
    except (ValueError, RecursionError):
        return None


def parse_text(text: str) -> dict[str, Any]:
    """Return a JSON object without repeated names. Raises: ValueError, RecursionError."""
    content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def text_of(value: object) -> bytes:
    """Return the line form of a value: sorted, compact, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def plain_of(value: object) -> bytes:
    """Return the canonical form that contracts are signed in. Source: RFC 8785, for whole numbers and plain names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def key_of(text: object) -> Ed25519PublicKey | None:
    """Return the key of 64 hexadecimal digits, None for anything else."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)) if isinstance(text, str) else None
    except ValueError:
        return None


def fingerprint_of(key: Ed25519PublicKey) -> str:
    """Return `sha256:<hex>` over the key's DER form."""
    return "sha256:" + hashlib.sha256(SPKI_ED25519 + key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def is_signed(key: Ed25519PublicKey | None, signature: object, message: bytes) -> bool:
    """True if the hexadecimal signature over the message belongs to the key."""
    if key is None or not isinstance(signature, str) or len(signature) != 128:
        return False
    try:
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def jws_parts(document: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Return (claims, signed message, signature) of a compact JWS. Raises: ValueError. Source: RFC 7515."""
    head, claims, signature = document.split(".")
    if parse_text(_unbase64(head).decode("utf-8")) != {"alg": "EdDSA", "typ": "JWT"}:
        raise ValueError("another algorithm")
    return parse_text(_unbase64(claims).decode("utf-8")), f"{head}.{claims}".encode("ascii"), _unbase64(signature)


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """True if the path proves the leaf hash at `index` in the tree of this size and root. Source: RFC 9162 §2.1.3.2."""
    if not 0 <= index < size or len(path) > 64:
        return False
    position, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        is_right = position & 1 == 1 or position == last
        pair = sibling + current if is_right else current + sibling
        current = hashlib.sha256(b"\x01" + pair).digest()
        while is_right and position & 1 == 0 and position != 0:
            position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    return last == 0 and current == root


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
