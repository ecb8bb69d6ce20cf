"""What an access token opens of our credentials, and what a question asks for. Source: DCP 1.0.1 §5.4.1.2."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from gongshu.model.ids import PartyId
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.jws import JwsInvalid, decode_part, encode_part, read_object, write_object

MEMBERSHIP = "MembershipCredential"
MEMBERSHIP_SCOPE = f"org.eclipse.dspace.dcp.vc.type:{MEMBERSHIP}:read"
"""With the suffix that other connectors' credential services want; without it means the same."""
WINDOW_S = 240
"""An access token stays the same for so long, so that the other side may keep what it fetched with it."""
_SCOPE = re.compile(r"org\.eclipse\.dspace\.dcp\.vc\.(type|id):([\x21-\x7e]{1,300})")


class Scope(NamedTuple):
    """Credentials of one type, or one credential."""

    kind: str
    value: str


def read_scope(text: object) -> Scope | None:
    """Return what a scope asks for, None if it is of no form that is known here.

    >>> read_scope("org.eclipse.dspace.dcp.vc.type:Member:read")
    Scope(kind='type', value='Member')
    """
    match = _SCOPE.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else Scope(match[1], match[2].removesuffix(":read"))


class AccessTokens:
    """Opaque to everybody else: for whom, until when, for which scopes; with a code that only this node can make."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, bearer: PartyId, scopes: Iterable[str], now: datetime) -> str:
        """Return a token for one party, valid for four to eight minutes."""
        until = (int(now.timestamp()) // WINDOW_S + 2) * WINDOW_S
        payload = write_object({"for": bearer, "until": until, "scopes": sorted(scopes)})
        return f"{encode_part(payload)}.{encode_part(self._code(payload))}"

    def read(self, token: str, bearer: PartyId, now: datetime) -> frozenset[Scope]:
        """Return what the token opens to this party. Raises: PeerTokenRejected."""
        first, _, second = token.partition(".")
        try:
            payload = decode_part(first)
            is_ours = hmac.compare_digest(self._code(payload), decode_part(second))
            said = read_object(payload) if is_ours else {}
        except (JwsInvalid, binascii.Error) as cause:
            raise PeerTokenRejected(reason="its access token cannot be read") from cause
        if said.get("for") != bearer:
            raise PeerTokenRejected(reason="its access token is not ours, or another party's")
        if now.timestamp() >= said["until"]:
            raise PeerTokenRejected(reason="its access token has expired")
        return frozenset(scope for scope in map(read_scope, said["scopes"]) if scope is not None)

    def _code(self, payload: bytes) -> bytes:
        return hmac.new(self._secret, base64.b64encode(payload), sha256).digest()
