"""JSON Web Tokens of other makers: Ed25519 (EdDSA) and P-256 (ES256), keys as JWK. Pure.

Which algorithm is used is decided by the key; what a token says about it has to agree.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gongshu.secure.jws import JwsInvalid, decode_part, encode_part, read_object, write_object

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey
TOKEN_SIZE_MAX = 256 * 1024
"""A presentation carries whole credentials. Chosen by us."""
_HALF = 32
"""Bytes of r and of s in an ES256 signature (RFC 7518 §3.4)."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token that nobody has verified yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    message: bytes
    signature: bytes

    @property
    def kid(self) -> str:
        """The key that it names, empty if it names none."""
        return str(self.header.get("kid") or "")


def read_jwt(token: object, *, size_max: int = TOKEN_SIZE_MAX) -> Jwt:
    """Return the parts of a compact token.

    Raises: JwsInvalid on anything but canonical base64url and JSON objects without repeated names.
    """
    if not isinstance(token, str) or len(token) > size_max or not token.isascii():
        raise JwsInvalid("size or characters")
    parts = token.split(".")
    if len(parts) != 3:
        raise JwsInvalid("not three parts")
    header = read_object(decode_part(parts[0]))
    if header.keys() & {"crit", "b64", "jku", "x5u", "zip"} or not isinstance(header.get("kid", ""), str):
        raise JwsInvalid("a header that changes how it is read")
    message = f"{parts[0]}.{parts[1]}".encode("ascii")
    return Jwt(header, read_object(decode_part(parts[1])), message, decode_part(parts[2]))


def is_signed_by(token: Jwt, key: PublicKey) -> bool:
    """True if the token is signed by the key, with the one algorithm of keys of this kind."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(token.signature, token.message)
            return token.header.get("alg") in ("EdDSA", "Ed25519")
        if len(token.signature) != 2 * _HALF:
            return False
        r, s = (int.from_bytes(half, "big") for half in (token.signature[:_HALF], token.signature[_HALF:]))
        key.verify(encode_dss_signature(r, s), token.message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return token.header.get("alg") == "ES256"


def sign_jwt(claims: Mapping[str, Any], *, kid: str, key: ec.EllipticCurvePrivateKey) -> str:
    """Return a compact token, signed with ES256, which every other maker can verify."""
    header = {"alg": "ES256", "kid": kid, "typ": "JWT"}
    message = f"{encode_part(write_object(header))}.{encode_part(write_object(claims))}"
    r, s = decode_dss_signature(key.sign(message.encode("ascii"), ec.ECDSA(hashes.SHA256())))
    return f"{message}.{encode_part(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"


def read_jwk(jwk: object) -> PublicKey:
    """Return the public key of a JWK.

    Raises: JwsInvalid unless it is an Ed25519 or P-256 key.
    """
    if not isinstance(jwk, dict):
        raise JwsInvalid("no JWK")
    try:
        if (jwk.get("kty"), jwk.get("crv")) == ("OKP", "Ed25519"):
            return Ed25519PublicKey.from_public_bytes(_number(jwk["x"]))
        if (jwk.get("kty"), jwk.get("crv")) == ("EC", "P-256"):
            x, y = (int.from_bytes(_number(jwk[name]), "big") for name in ("x", "y"))
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except (KeyError, TypeError, ValueError) as cause:
        raise JwsInvalid("JWK") from cause
    raise JwsInvalid("kind of key")


def write_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return a P-256 key as JWK."""
    numbers = key.public_numbers()
    x, y = (encode_part(number.to_bytes(_HALF, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _number(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > 100:
        raise ValueError("not a number of a key")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
