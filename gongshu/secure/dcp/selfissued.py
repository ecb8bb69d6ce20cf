"""ID tokens that a party issues about itself, with its DID. Source: DCP 1.0.1 §4.3."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.secure.dcp.did import DidInvalid
from gongshu.secure.dcp.jose import Jwt, is_signed_by, read_jwt, sign_jwt
from gongshu.secure.dcp.resolving import Resolver
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.jws import JwsInvalid
from gongshu.secure.parties import Party
from gongshu.secure.tables import peer_token_ids

LEEWAY_S = 60
VALID_S = 300
VALID_MAX_S = 3600
ID_TOKEN_SIZE_MAX = 16 * 1024
KEY_NAME = "#web"


@dataclass(frozen=True, slots=True)
class IdToken:
    """A verified token: who sent it, and the access token to its credential service."""

    party: Party
    access: str


class SelfIssued:
    """Makes our ID tokens and checks those of others."""

    def __init__(
        self,
        own_party_id: PartyId,
        key: EllipticCurvePrivateKey,
        resolver: Resolver,
        database: Database,
        clock: Callable[[], datetime],
    ) -> None:
        self._own = own_party_id
        self._key = key
        self._resolver = resolver
        self._database = database
        self._clock = clock

    def issue(self, audience: PartyId, *, access: str = "", claims: Mapping[str, str] | None = None) -> str:
        """Return a token for one request to that party; `access` opens our credential service to it."""
        now = int(self._clock().timestamp())
        own = {"iss": self._own, "sub": self._own, "aud": audience, "jti": secrets.token_urlsafe(16)}
        opening = {"token": access} if access else {}
        return self.sign({**(claims or {}), **own, **opening, "iat": now, "exp": now + VALID_S})

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token with these claims, signed by our web key."""
        return sign_jwt(claims, kid=f"{self._own}{KEY_NAME}", key=self._key)

    def check(self, authorization: str) -> IdToken:
        """Return what a header of the form `Bearer …` proves. It works once.

        Raises: PeerTokenRejected. Cost: up to one request to the sender's host.
        """
        token = read_bearer(authorization)
        if token is None:
            raise PeerTokenRejected(reason="there is no ID token")
        claims = token.claims
        if claims.get("iss") != claims.get("sub"):
            raise PeerTokenRejected(reason="its issuer is not its subject")
        if claims.get("aud") not in (self._own, [self._own]):
            raise PeerTokenRejected(reason="it is meant for another party")
        party = self._resolver.party(claims.get("iss"))
        require_current(claims, self._clock(), life_s=VALID_MAX_S)
        try:
            key = self._resolver.document(party).key_for(token.kid, "capabilityInvocation")
        except DidInvalid as cause:
            raise PeerTokenRejected(reason=str(cause)) from cause
        if not is_signed_by(token, key):
            raise PeerTokenRejected(reason="its signature does not belong to the key of its DID")
        self._require_unused(party.party_id, claims)
        access = claims.get("token", "")
        return IdToken(party, access if isinstance(access, str) else "")

    def _require_unused(self, issuer: PartyId, claims: Mapping[str, Any]) -> None:
        jti, now = claims.get("jti"), self._clock()
        if not isinstance(jti, str) or not 8 <= len(jti) <= 100 or not jti.isprintable():
            raise PeerTokenRejected(reason="it has no usable id")
        until = datetime.fromtimestamp(int(claims["exp"]), tz=UTC) + timedelta(seconds=LEEWAY_S + 1)
        try:
            with self._database.begin() as connection:
                connection.execute(sa.delete(peer_token_ids).where(peer_token_ids.c.expires_at < now))
                connection.execute(sa.insert(peer_token_ids).values(issuer=issuer, jti=jti, expires_at=until))
        except IntegrityError as cause:
            raise PeerTokenRejected(reason="it was used before") from cause


def read_bearer(authorization: str) -> Jwt | None:
    """Return the JWT of a header, None if there is none in it."""
    kind, _, token = authorization.strip().partition(" ")
    if kind.lower() != "bearer":
        return None
    try:
        return read_jwt(token.strip(), size_max=ID_TOKEN_SIZE_MAX)
    except JwsInvalid:
        return None


def require_current(claims: Mapping[str, Any], now: datetime, *, life_s: float) -> None:
    """Check `iat`, `nbf` and `exp`. Raises: PeerTokenRejected."""
    at = now.timestamp()
    issued, expires, begins = (_seconds(claims.get(name)) for name in ("iat", "exp", "nbf"))
    if issued is None or expires is None or ("nbf" in claims and begins is None):
        raise PeerTokenRejected(reason="its times are missing")
    if max(issued, begins or issued) > at + LEEWAY_S:
        raise PeerTokenRejected(reason="it begins in the future; compare the two clocks")
    if expires <= at - LEEWAY_S:
        raise PeerTokenRejected(reason="it has expired")
    if not issued < expires <= issued + life_s:
        raise PeerTokenRejected(reason="its life is too long, or none")


def _seconds(value: object) -> float | None:
    """Return a moment in seconds, None for what is no such number (a year beyond 9999 cannot be kept)."""
    is_number = type(value) in (int, float)
    return float(value) if is_number and 0 <= value < 253_402_300_799 else None  # type: ignore[arg-type,operator]
