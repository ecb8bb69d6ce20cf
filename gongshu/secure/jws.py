"""Compact JSON Web Signatures with Ed25519: as much of RFC 7515 and RFC 8037 as two nodes need, and no more.

One algorithm, one header. What a token says about its algorithm is compared, never believed.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gongshu.secure.keys import KeyStore

HEADER = {"alg": "EdDSA", "typ": "JWT"}
TOKEN_SIZE_MAX = 8192


class JwsInvalid(ValueError):
    """The text is not a token of ours; internal, callers translate it."""


def encode_jws(claims: Mapping[str, Any], keys: KeyStore) -> str:
    """Return `header.payload.signature`."""
    message = f"{encode_part(write_object(HEADER))}.{encode_part(write_object(claims))}"
    return f"{message}.{encode_part(keys.sign(message.encode('ascii')))}"


def decode_jws(token: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Return (claims, signed message, signature) of a token that nobody has verified yet.

    Raises: JwsInvalid on anything but the one header, canonical base64url and JSON objects without repeated names.
    """
    if len(token) > TOKEN_SIZE_MAX or not token.isascii():
        raise JwsInvalid("size or characters")
    parts = token.split(".")
    if len(parts) != 3:
        raise JwsInvalid("not three parts")
    if read_object(decode_part(parts[0])) != HEADER:
        raise JwsInvalid("header")
    return read_object(decode_part(parts[1])), f"{parts[0]}.{parts[1]}".encode("ascii"), decode_part(parts[2])


def is_signed_by(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    """True if the signature over the message belongs to the key."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def is_text(value: Any) -> bool:
    """Return whether every text in a JSON value can be kept: no NUL character, no half of a pair of surrogates.

    >>> is_text({"a": "b"}), is_text(["\\ud800"])
    (True, False)
    """
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return all(is_text(name) and is_text(inner) for name, inner in value.items())
    return all(map(is_text, value)) if isinstance(value, list) else True


def write_object(value: object) -> bytes:
    """Return JSON of one spelling, in bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def encode_part(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_part(text: str) -> bytes:
    """Return what base64url of the one canonical spelling holds. Raises: JwsInvalid."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as cause:
        raise JwsInvalid("base64url") from cause
    if encode_part(raw) != text:
        raise JwsInvalid("base64url is not canonical")
    return raw


def read_object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object in which no name stands twice, and no text that a database could not hold.

    Raises: JwsInvalid.
    """
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except JwsInvalid:
        raise
    except (ValueError, RecursionError) as cause:  # also a number too long to be read
        raise JwsInvalid("JSON") from cause
    if not isinstance(value, dict):
        raise JwsInvalid("not an object")
    if b"\\u" in raw and not is_text(value):
        raise JwsInvalid("a text in it is none")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JwsInvalid("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise JwsInvalid(name)
