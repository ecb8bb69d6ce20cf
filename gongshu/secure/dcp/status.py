"""Whether a credential was revoked: the issuer's status lists, kept for half a minute. Fails closed."""

import base64
import binascii
import threading
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gongshu.secure.dcp.credentials import Credential, StatusEntry
from gongshu.secure.dcp.did import LOOPBACK, DidInvalid, address_of
from gongshu.secure.dcp.jose import is_signed_by, read_jwt
from gongshu.secure.dcp.resolving import Resolver
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.jws import JwsInvalid, read_object
from gongshu.secure.parties import Party

KEPT = timedelta(seconds=30)
"""With the fetching itself, a revocation works within a minute. Chosen by us."""
BITS_MAX = 8 * 1024 * 1024
LISTS_MAX = 200
_TYPES = frozenset({"BitstringStatusList", "StatusList2021"})


class StatusLists:
    """Reads issuers' status lists."""

    def __init__(self, resolver: Resolver, clock: Callable[[], datetime]) -> None:
        self._resolver = resolver
        self._clock = clock
        self._kept: dict[str, tuple[bytes, str, datetime]] = {}
        self._lock = threading.Lock()

    def require_standing(self, credential: Credential, issuer: Party) -> None:
        """Check that the issuer neither revoked nor suspended the credential.

        Raises: PeerTokenRejected, also when the list cannot be had. Cost: one request for each list not kept.
        """
        for entry in credential.statuses:
            bits, purpose = self._list(entry, issuer)
            if purpose != entry.purpose:
                raise PeerTokenRejected(reason="the status list is for another purpose than the credential says")
            if entry.index >= 8 * len(bits):
                raise PeerTokenRejected(reason="the status list does not reach the credential")
            # The first index is the left-most bit (Bitstring Status List 1.0 §3.2).
            if bits[entry.index // 8] >> (7 - entry.index % 8) & 1 and entry.purpose != "message":
                raise PeerTokenRejected(reason=f"its credential is marked in the list of {entry.purpose[:40]}")

    def _list(self, entry: StatusEntry, issuer: Party) -> tuple[bytes, str]:
        now = self._clock()
        key = f"{issuer.party_id} {entry.address}"
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and now < kept[2]:
            return kept[0], kept[1]
        require_on_host(entry.address, issuer)
        bits, purpose = self._read(self._resolver.fetched(issuer, entry.address), issuer)
        with self._lock:
            if len(self._kept) >= LISTS_MAX:
                self._kept.clear()
            self._kept[key] = (bits, purpose, now + KEPT)
        return bits, purpose

    def _read(self, answer: bytes, issuer: Party) -> tuple[bytes, str]:
        """Return the list of a signed credential, or of a plain one: then TLS to the issuer's host vouches for it."""
        try:
            if answer[:1] == b"{":
                document: Any = read_object(answer)
            else:
                token = read_jwt(answer.decode("ascii").strip())
                if not is_signed_by(token, self._resolver.document(issuer).signing_key(token.kid)):
                    raise PeerTokenRejected(reason="the status list is not signed by the issuer")
                document = token.claims.get("vc", token.claims)
            listed = document["issuer"]
            subject = document["credentialSubject"]
            if (listed["id"] if isinstance(listed, dict) else listed) != issuer.party_id:
                raise PeerTokenRejected(reason="the status list is another issuer's")
            if subject["type"] not in _TYPES:
                raise PeerTokenRejected(reason="the status list is of another kind")
            return _inflated(subject["encodedList"]), str(subject.get("statusPurpose", "revocation"))
        except (JwsInvalid, DidInvalid, UnicodeDecodeError, KeyError, TypeError, binascii.Error, zlib.error) as cause:
            raise PeerTokenRejected(reason="the status list cannot be read") from cause


def require_on_host(address: str, party: Party) -> None:
    """Check that an address that a credential names lies on its issuer's own host. Raises: PeerTokenRejected."""
    try:
        asked, own = urlsplit(address), urlsplit(address_of(str(party.party_id), plain=True))
        is_plain = asked.scheme == "http" and asked.hostname in LOOPBACK
        is_own = asked.netloc.lower() == own.netloc and (asked.scheme == "https" or is_plain)
    except (ValueError, DidInvalid):
        is_own = False
    if not is_own or not address.isascii() or not address.isprintable() or len(address) > 800:
        raise PeerTokenRejected(reason="an address in its credential is not on the issuer's host")


def _inflated(encoded: str) -> bytes:
    """Return the bits; a list that inflates beyond the bound is refused before it does."""
    text = encoded.removeprefix("u")
    packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
    inflater = zlib.decompressobj(wbits=31)
    bits = inflater.decompress(packed, BITS_MAX // 8 + 1)
    if len(bits) > BITS_MAX // 8 or not inflater.eof:
        raise PeerTokenRejected(reason="the status list is too long, or cut")
    return bits
