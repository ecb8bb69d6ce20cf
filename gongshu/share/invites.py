"""How two parties come to know each other: one line of text with id, address and key, signed by that key.

The signature proves that who made the line holds the key; it does not prove who that is. People compare the
fingerprint over another channel before they accept. Pure.
"""

import base64
from dataclasses import replace
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature

from gongshu.model.ids import PartyId
from gongshu.secure.errors import PartyInvalid
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, require_valid
from gongshu.share.addresses import is_under
from gongshu.share.errors import InviteInvalid

PREFIX = "gongshu-invite-1."
_DOMAIN = b"gongshu invitation 1\n"
"""Stands in front of what is signed, so that the signature counts for nothing else."""
LENGTH_MAX = 12_000
"""Room for a certificate of an RSA key of 4096 bits."""


def write_invite(keys: KeyStore, *, party_id: PartyId, title: str, address: str, certificate: str = "") -> str:
    """Return the line that another party pastes to know this one; `certificate` (PEM) is what our node shows in TLS."""
    fields = {"party_id": party_id, "title": title, "address": address, "public_key_pem": keys.public_key_pem()}
    if certificate:
        fields["certificate"] = certificate
    payload = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    signature = keys.sign(_DOMAIN + payload)
    return f"{PREFIX}{_text(payload)}.{_text(signature)}"


def read_invite(line: str) -> Party:
    """Return the party that an invitation describes.

    Raises: InviteInvalid if it is cut, altered, or not signed by the key it holds; PartyInvalid if nobody could be
        registered by it.
    """
    whole = "".join(line.split())
    if not whole.startswith(PREFIX) or len(line) > LENGTH_MAX:
        raise InviteInvalid(reason=f"it is not one line that begins with {PREFIX!r}")
    try:
        payload, signature = (_bytes(part) for part in whole.removeprefix(PREFIX).split("."))
        fields: Any = orjson.loads(payload)
        party = Party(
            PartyId(fields["party_id"]), fields["title"], fields["public_key_pem"], fields["address"], ("partner",)
        )
        party = replace(party, certificate=fields.get("certificate", ""))
        party.public_key.verify(signature, _DOMAIN + payload)
    except (ValueError, KeyError, TypeError, AttributeError, PartyInvalid) as cause:
        raise InviteInvalid(reason="it is cut or altered") from cause
    except InvalidSignature as cause:
        raise InviteInvalid(reason="its signature does not belong to its key") from cause
    if not all(isinstance(value, str) for value in (party.party_id, party.title, party.address, party.certificate)):
        raise InviteInvalid(reason="its fields are not text")
    if not is_under(party.address, party.address):
        raise InviteInvalid(reason="its address is no plain http or https address")
    require_valid(party)  # before a person reads it: an odd title could write a fingerprint of its own
    return party


def without_spaces(fingerprint: str) -> str:
    """Return a fingerprint as it was before people wrote it in groups.

    >>> without_spaces(" SHA256: 0011 AAbb ")
    'sha256:0011aabb'
    """
    return "".join(fingerprint.split()).lower()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
