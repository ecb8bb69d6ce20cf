"""Signatures on contracts: Ed25519 over the canonical bytes of the document, the signer's key and the time. Pure."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.share.contract import canonical_bytes

DOMAIN = b"gongshu-contract-signature-1\0"
"""Stands before what is signed, so that the key's other signatures never pass for one on a contract."""


def sign_contract(document: Mapping[str, Any], keys: KeyStore, party: PartyId, at: datetime) -> dict[str, str]:
    """Return the party's signature statement on a contract document."""
    statement = {
        "party": str(party),
        "key": keys.fingerprint(),
        "public_key": base64.b64encode(keys.public_key_raw()).decode("ascii"),
        "signed_at": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
    }
    signed = DOMAIN + canonical_bytes(dict(document)) + b"\0" + canonical_bytes(statement)
    return statement | {"signature": base64.b64encode(keys.sign(signed)).decode("ascii")}
