"""Signs documents with the node's key, and checks a party's signature under one."""

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gongshu.hub.canonical import decode_signature, encode_signature, signed_bytes
from gongshu.hub.errors import SignatureInvalid
from gongshu.hub.model import Signed
from gongshu.secure.keys import KeyStore, fingerprint_of


def sign_document(document: Mapping[str, Any], keys: KeyStore) -> Signed:
    """Return the document with this node's signature."""
    return Signed(document, encode_signature(keys.sign(signed_bytes(document))))


def require_signature(signed: Signed, public_key_pem: str, *, what: str, party: str) -> None:
    """Check the signature under a document that was validated before.

    Raises: SignatureInvalid; also when the key is not an Ed25519 key.
    """
    key = _key_of(public_key_pem)
    try:
        if key is None:
            raise SignatureInvalid(what=what, party=party)
        key.verify(decode_signature(signed.signature), signed_bytes(signed.document))
    except InvalidSignature as cause:
        raise SignatureInvalid(what=what, party=party) from cause


def fingerprint_of_pem(public_key_pem: str) -> str:
    """Return `sha256:<hex>` of a public key, or an empty text where it is no Ed25519 key."""
    key = _key_of(public_key_pem)
    return fingerprint_of(key) if key else ""


def _key_of(public_key_pem: str) -> Ed25519PublicKey | None:
    try:
        key = load_pem_public_key(public_key_pem.encode())
    except ValueError:
        return None
    return key if isinstance(key, Ed25519PublicKey) else None
