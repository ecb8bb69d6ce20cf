"""Tokens by which one node proves itself to another: short-lived, for one audience, door and body, used once.

The issuer must be registered with its key; a token is checked with that key only, whatever it says itself.
"""

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.prepared import Prepared
from gongshu.secure.errors import PartyUnknown, PeerTokenRejected
from gongshu.secure.jws import JwsInvalid, decode_jws, encode_jws, is_signed_by
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.tables import peer_token_ids
from gongshu.together import Together

if TYPE_CHECKING:
    from gongshu.secure.peer_identity import Proof

LEEWAY_S = 60
"""How far two clocks may be apart."""
VALID_MAX_S = 3600
"""A token that claims a longer life is refused."""
RESERVED = frozenset({"iss", "sub", "aud", "iat", "exp", "jti"})
BODY_CLAIM = "body"
"""The claim that holds the SHA-256 of the body, so that a body cannot be exchanged on the way."""
REQUEST_CLAIM = "request"
"""The claim that holds method, path and query, so that a message to one process is not taken for one to another."""
NAME = "gongshu"
"""This scheme of identity, and what a party is registered with unless said otherwise."""

SWEEP_EVERY = timedelta(seconds=60)
"""Ids of tokens that have expired are forgotten this often. Ours."""
KEPT_LONGER = timedelta(seconds=60)
"""An id is kept so much longer than its token counts: what was judged in its last moment is written after a wait, and
another thread may sweep meanwhile. Longer than `database.BUSY_MS`. Ours."""

_USE = Prepared(sa.insert(peer_token_ids))


class PeerTokens:
    """Makes our tokens and checks those of others; the scheme of identity `gongshu`."""

    name = NAME

    def __init__(
        self,
        keys: KeyStore,
        parties: PartyRegistry,
        own_party_id: PartyId,
        clock: Callable[[], datetime],
        *,
        database: Database,
    ) -> None:
        self._keys = keys
        self._parties = parties
        self._own_party_id = own_party_id
        self._clock = clock
        self._database = database
        self._together = Together(database, database.begin)
        self._swept_at: datetime | None = None

    def issue(self, audience: PartyId, *, valid_s: int = 300, claims: Mapping[str, str] | None = None) -> str:
        """Return the value of an Authorization header (`Bearer …`) for one request to that party."""
        extra = dict(claims or {})
        assert not extra.keys() & RESERVED, "a claim of ours would be overwritten"
        assert 0 < valid_s <= VALID_MAX_S, "tokens between nodes are short-lived"
        now = int(self._clock().timestamp())
        own = {"iss": self._own_party_id, "sub": self._own_party_id, "aud": audience}
        times = {"iat": now, "exp": now + valid_s, "jti": secrets.token_urlsafe(16)}
        return "Bearer " + encode_jws({**extra, **own, **times}, self._keys)

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        """Return the header of one request to that party, made for this very body and door."""
        claims = {REQUEST_CLAIM: request}
        if body is not None:
            claims[BODY_CLAIM] = hashlib.sha256(body).hexdigest()
        return {"Authorization": self.issue(party.party_id, claims=claims)}

    def party_of(self, proof: "Proof", *, scheme: str = NAME) -> PartyId | None:
        """Return the party whose token this is, made for this very body and door; None if it is none of this scheme.

        Raises: PeerTokenRejected.
        """
        kind, _, token = proof.authorization.strip().partition(" ")
        try:
            claims, _, _ = decode_jws(token.strip())
        except JwsInvalid:
            return None
        with self._parties.one_look():
            if kind.lower() != "bearer" or not self._is_of(claims.get("iss"), scheme):
                return None
            subject = self.subject_of(proof.authorization, scheme=scheme)
        require_made_for(subject, proof.spellings)
        made_for = subject.attributes.get(f"claim.{BODY_CLAIM}")
        if proof.body is not None and made_for != hashlib.sha256(proof.body).hexdigest():
            raise PeerTokenRejected(reason="it was made for another body")
        return subject.party_id

    def subject_of(self, authorization_header: str, *, scheme: str = NAME) -> Subject:
        """Return the partner that made this header; its further text claims become attributes `claim.<name>`.

        They are what the partner says, so no policy may rest on them: an agreement is looked up, not claimed.

        Raises: PeerTokenRejected. A header works once.
        """
        kind, _, token = authorization_header.strip().partition(" ")
        if kind.lower() != "bearer" or not token:
            raise PeerTokenRejected(reason="there is no bearer token")
        try:
            claims, message, signature = decode_jws(token.strip())
        except JwsInvalid as cause:
            raise PeerTokenRejected(reason="it is not a token of the expected form") from cause
        party = self._issuer(claims, scheme)
        if not is_signed_by(party.public_key, message, signature):
            raise PeerTokenRejected(reason="its signature does not belong to the issuer's registered key")
        self._require_current(claims)
        self._require_unused(party.party_id, claims)
        attributes = {f"claim.{k}": v for k, v in claims.items() if k not in RESERVED and isinstance(v, str)}
        return Subject(SubjectId(f"partner:{party.party_id}"), party.party_id, frozenset({Role.PARTNER}), attributes)

    def _is_of(self, issuer: object, scheme: str) -> bool:
        """False if the named issuer is registered with another scheme: then its tokens are not judged by this one."""
        try:
            return not isinstance(issuer, str) or self._parties.get(PartyId(issuer)).identity == scheme
        except PartyUnknown:
            return True

    def _issuer(self, claims: Mapping[str, Any], scheme: str) -> Party:
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or claims.get("sub") != issuer:
            raise PeerTokenRejected(reason="it names no issuer")
        if issuer == self._own_party_id:
            raise PeerTokenRejected(reason="it speaks for this organisation itself")
        try:
            party = self._parties.get(PartyId(issuer))
        except PartyUnknown as cause:
            raise PeerTokenRejected(reason="its issuer is not registered here") from cause
        if party.identity != scheme:
            raise PeerTokenRejected(reason="its issuer is registered with another scheme of identity")
        return party

    def _require_current(self, claims: Mapping[str, Any]) -> None:
        now = self._clock().timestamp()
        issued, expires = claims.get("iat"), claims.get("exp")
        if type(issued) is not int or type(expires) is not int:
            raise PeerTokenRejected(reason="its times are missing")
        if claims.get("aud") != self._own_party_id:
            raise PeerTokenRejected(reason="it is meant for another party")
        if issued > now + LEEWAY_S:
            raise PeerTokenRejected(reason="it was issued in the future; compare the two clocks")
        if expires <= now - LEEWAY_S:
            raise PeerTokenRejected(reason="it has expired")
        if not issued < expires <= issued + VALID_MAX_S:
            raise PeerTokenRejected(reason="its life is longer than an hour, or none")

    def _require_unused(self, issuer: PartyId, claims: Mapping[str, Any]) -> None:
        jti, now = claims.get("jti"), self._clock()
        if not isinstance(jti, str) or not 8 <= len(jti) <= 100 or not jti.isprintable():
            raise PeerTokenRejected(reason="it has no usable id")
        until = datetime.fromtimestamp(claims["exp"], tz=UTC) + timedelta(seconds=LEEWAY_S) + KEPT_LONGER
        is_sweeping = self._swept_at is None or not timedelta(0) <= now - self._swept_at < SWEEP_EVERY

        def use(connection: sa.Connection) -> None:
            if is_sweeping:
                connection.execute(sa.delete(peer_token_ids).where(peer_token_ids.c.expires_at < now))
            try:
                _USE.run(connection, {"issuer": issuer, "jti": jti, "expires_at": until})
            except IntegrityError as cause:
                raise PeerTokenRejected(reason="it was used before") from cause

        if is_sweeping:
            self._swept_at = now
        if not self._database.carry(use):
            self._together.do(use)


def require_made_for(subject: Subject, requests: Collection[str]) -> None:
    """Check that the token of a partner was made for this request, in one of its spellings.

    Raises: PeerTokenRejected.
    """
    made_for = subject.attributes.get(f"claim.{REQUEST_CLAIM}")
    if made_for is None:
        reason = "it names no method and path, as older nodes make them; bring the partner's node up to date"
        raise PeerTokenRejected(reason=reason)
    if made_for not in requests:
        raise PeerTokenRejected(reason="it was made for another method or path")
