"""A space's trust list: its members with their keys, signed by the space's operator. Pure.

The signature proves that who made the list holds the operator's key; people compare that key's fingerprint once.
"""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature

from gongshu.model.ids import PartyId
from gongshu.secure.errors import PartyInvalid, TrustListInvalid
from gongshu.secure.jws import JwsInvalid, decode_part, encode_part, read_object, write_object
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, is_party_id, require_valid

PREFIX = "gongshu-trust-1."
_DOMAIN = b"gongshu trust list 1\n"
"""Stands in front of what is signed, so that the signature counts for nothing else."""
LENGTH_MAX = 8 * 1024 * 1024
MEMBERS_MAX = 5000
LEEWAY = timedelta(seconds=60)
_FIELDS = ("party_id", "title", "public_key_pem", "address", "identity", "certificate")


@dataclass(frozen=True, slots=True)
class TrustList:
    """What an operator vouches for, from one moment to another."""

    space_id: str
    operator_key_pem: str
    serial: int
    issued_at: datetime
    valid_until: datetime
    members: tuple[Party, ...]

    @property
    def fingerprint(self) -> str:
        """That of the operator's key. Raises: PartyInvalid."""
        return Party(PartyId(self.space_id), "", self.operator_key_pem).fingerprint

    def require_current(self, now: datetime) -> None:
        """Check that it holds at this time. Raises: TrustListInvalid."""
        if now + LEEWAY < self.issued_at:
            raise TrustListInvalid(space=self.space_id, reason="it was issued in the future; compare the two clocks")
        if now >= self.valid_until:
            raise TrustListInvalid(space=self.space_id, reason=f"it ended at {self.valid_until.isoformat()}")


def write_trust_list(
    keys: KeyStore,
    *,
    space_id: str,
    serial: int,
    issued_at: datetime,
    valid_until: datetime,
    members: Sequence[Party],
) -> str:
    """Return the list as its operator publishes it."""
    payload = write_object(
        {
            "space_id": space_id,
            "operator_key_pem": keys.public_key_pem(),
            "serial": serial,
            "issued_at": int(issued_at.timestamp()),
            "valid_until": int(valid_until.timestamp()),
            "members": [{**{f: getattr(m, f) for f in _FIELDS}, "roles": list(m.roles)} for m in members],
        }
    )
    return f"{PREFIX}{encode_part(payload)}.{encode_part(keys.sign(_DOMAIN + payload))}"


def read_trust_list(text: str) -> TrustList:
    """Return a list whose signature belongs to the key that it holds; whose key that is, the caller compares.

    Raises: TrustListInvalid.
    """
    line = text.strip()
    first, _, second = line.removeprefix(PREFIX).partition(".")
    if not line.startswith(PREFIX) or len(line) > LENGTH_MAX:
        raise TrustListInvalid(space="?", reason=f"it does not begin with {PREFIX}, or is too long")
    try:
        payload, signature = decode_part(first), decode_part(second)
        said = read_object(payload)
        space_id = said["space_id"]
        operator = Party(PartyId(space_id), "", said["operator_key_pem"])
        operator.public_key.verify(signature, _DOMAIN + payload)
        if not is_party_id(space_id) or type(said["serial"]) is not int or not 0 <= said["serial"] < 2**53:
            raise TrustListInvalid(space=str(space_id)[:200], reason="its space or its serial is no such thing")
        members = said["members"]
        if not isinstance(members, list) or len(members) > MEMBERS_MAX:
            raise TrustListInvalid(space=space_id, reason="its members are no list, or too many")
        issued, ends = (datetime.fromtimestamp(said[name], tz=UTC) for name in ("issued_at", "valid_until"))
        read = tuple(_member(space_id, member, ends) for member in members)
    except InvalidSignature as cause:
        raise TrustListInvalid(space="?", reason="its signature does not belong to its key") from cause
    except (JwsInvalid, binascii.Error, KeyError, TypeError, AttributeError, ValueError, OverflowError) as cause:
        raise TrustListInvalid(space="?", reason="it is cut or altered") from cause
    except (PartyInvalid, OSError) as cause:
        raise TrustListInvalid(space="?", reason=str(cause)) from cause
    if len({member.party_id for member in read}) != len(read):
        raise TrustListInvalid(space=space_id, reason="it names a member twice")
    return TrustList(space_id, said["operator_key_pem"], said["serial"], issued, ends, read)


def _member(space_id: str, said: Any, ends: datetime) -> Party:
    """Return a member as a partner; what it is in its space is kept under a name of its own, and gives nothing here."""
    texts = {name: said[name] for name in _FIELDS}
    roles = said["roles"]
    if not all(isinstance(value, str) and len(value) <= 8000 for value in (*texts.values(), *roles)):
        raise TypeError("a field is not text")
    parts = urlsplit(texts["address"])
    if texts["address"] and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
        raise ValueError("an address is none")
    named = tuple(f"space:{role}" for role in roles if role.isascii() and role.isalnum())
    party = Party(
        PartyId(texts["party_id"]),
        texts["title"],
        texts["public_key_pem"],
        texts["address"],
        tuple(sorted(("partner", *named))),
        texts["identity"],
        texts["certificate"],
        space_id,
        ends,
    )
    require_valid(party)
    return party
