"""Whether a party holds the membership that this node asks for: its presentation, judged. Source: DCP 1.0.1 §5.4.3."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import jsonschema_rs

from gongshu.model.ids import PartyId
from gongshu.secure.dcp.credentials import Credential, read_credential, read_presented
from gongshu.secure.dcp.did import DidInvalid
from gongshu.secure.dcp.jose import Jwt, is_signed_by, read_jwt
from gongshu.secure.dcp.resolving import Resolver
from gongshu.secure.dcp.scopes import MEMBERSHIP, MEMBERSHIP_SCOPE
from gongshu.secure.dcp.selfissued import VALID_MAX_S, IdToken, SelfIssued, require_current
from gongshu.secure.dcp.status import StatusLists, require_on_host
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.jws import JwsInvalid, read_object, write_object
from gongshu.secure.parties import Party

KEPT = timedelta(seconds=60)
"""What was shown under one access token is not asked for again for so long; status and times are judged each time."""
KEPT_MAX = 1000
PRESENTATIONS_MAX = 10
CONTEXT = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"


class Verifier:
    """Asks for presentations and judges them."""

    def __init__(
        self,
        own_party_id: PartyId,
        tokens: SelfIssued,
        resolver: Resolver,
        statuses: StatusLists,
        clock: Callable[[], datetime],
    ) -> None:
        self._own = own_party_id
        self._tokens = tokens
        self._resolver = resolver
        self._statuses = statuses
        self._clock = clock
        self._kept: dict[str, tuple[tuple[Credential, ...], datetime]] = {}
        self._latest: dict[PartyId, tuple[Credential, ...]] = {}
        self._lock = threading.Lock()

    def require_member(self, proved: IdToken) -> None:
        """Check that a party shows a membership credential, and that everything it shows holds now.

        Raises: PeerTokenRejected. Cost: a question to its credential service once a minute, status lists twice.
        """
        if not proved.access:
            raise PeerTokenRejected(reason="it brings no access to its credentials")
        shown = self._shown(proved)
        for credential in shown:
            self._require_standing(credential, proved.party)
        if not any(MEMBERSHIP in credential.types for credential in shown):
            raise PeerTokenRejected(reason=f"it shows no {MEMBERSHIP}")
        with self._lock:
            if len(self._latest) >= KEPT_MAX:
                self._latest.pop(next(iter(self._latest)))
            self._latest[proved.party.party_id] = shown

    def why_not_standing(self, party: PartyId) -> str | None:
        """Return why what a party showed last does not hold now; None while it does, or if nothing is known of it.

        Cost: its status lists, twice a minute.
        """
        with self._lock:
            shown = self._latest.get(party, ())
        try:
            for credential in shown:
                self._require_standing(credential, self._resolver.party(party))
        except PeerTokenRejected as refused:
            return str(refused)
        return None

    def read(self, token: object) -> Credential:
        """Return what a credential says, signed by an issuer that is registered here and valid now.

        Raises: PeerTokenRejected.
        """
        signed = _jwt(token)
        credential = read_credential(signed)
        issuer = self._issuer(credential)
        self._require_signed(signed, issuer)
        credential.require_current(self._clock())
        self._require_schema(credential, issuer)
        return credential

    def _shown(self, proved: IdToken) -> tuple[Credential, ...]:
        key, now = sha256(f"{proved.party.party_id}\n{proved.access}".encode()).hexdigest(), self._clock()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and now < kept[1]:
            return kept[0]
        shown = tuple(self._ask(proved))
        with self._lock:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[key] = (shown, now + KEPT)
        return shown

    def _ask(self, proved: IdToken) -> list[Credential]:
        party = proved.party
        service = self._resolver.document(party).credential_service
        if not service:
            raise PeerTokenRejected(reason="its DID document names no credential service on its own host")
        question = {"@context": [CONTEXT], "type": "PresentationQueryMessage", "scope": [MEMBERSHIP_SCOPE]}
        answer = self._resolver.fetched_object(
            party,
            f"{service}/presentations/query",
            body=write_object(question),
            authorization=f"Bearer {self._tokens.issue(party.party_id, access=proved.access)}",
        )
        presentations = answer.get("presentation")
        if not isinstance(presentations, list) or not 0 < len(presentations) <= PRESENTATIONS_MAX:
            raise PeerTokenRejected(reason="it shows no presentation, or too many")
        return [self.read(token) for shown in presentations for token in self._presented(shown, party)]

    def _presented(self, presentation: object, party: Party) -> Sequence[Any]:
        signed = _jwt(presentation)
        claims = signed.claims
        holder = claims.get("vp", claims)
        named = {claims.get("iss"), claims.get("sub", claims.get("iss"))}
        named |= {holder["holder"]} if isinstance(holder, dict) and isinstance(holder.get("holder"), str) else set()
        if named != {party.party_id} or claims.get("aud") not in (self._own, [self._own]):
            raise PeerTokenRejected(reason="its presentation is another party's, or for another one")
        require_current({"iat": claims.get("nbf"), **claims}, self._clock(), life_s=VALID_MAX_S)
        self._require_signed(signed, party)
        return read_presented(signed)

    def _require_standing(self, credential: Credential, party: Party) -> None:
        if credential.subject != party.party_id:
            raise PeerTokenRejected(reason="it shows a credential about somebody else")
        issuer = self._issuer(credential)
        credential.require_current(self._clock())
        self._statuses.require_standing(credential, issuer)

    def _issuer(self, credential: Credential) -> Party:
        """Return the registered issuer. Raises: PeerTokenRejected."""
        issuer = self._resolver.party(credential.issuer)
        if "issuer" not in issuer.roles:
            raise PeerTokenRejected(reason="its credential's issuer is not trusted here")
        if credential.issuer == credential.subject:
            raise PeerTokenRejected(reason="nobody vouches for themselves")
        return issuer

    def _require_signed(self, signed: Jwt, by: Party) -> None:
        if not signed.kid:
            raise PeerTokenRejected(reason="a token in it names no key")
        try:
            key = self._resolver.document(by).signing_key(signed.kid)
        except DidInvalid as cause:
            raise PeerTokenRejected(reason=f"a token in it: {cause}") from cause
        if not is_signed_by(signed, key):
            raise PeerTokenRejected(reason="a signature in it does not belong to the key of the DID")

    def _require_schema(self, credential: Credential, issuer: Party) -> None:
        if not credential.schema:
            return
        require_on_host(credential.schema, issuer)
        try:
            schema = read_object(self._resolver.fetched(issuer, credential.schema))
            validator = jsonschema_rs.validator_for(schema, retriever=_no_further)
            is_valid = validator.is_valid(dict(credential.document))
        except (JwsInvalid, ValueError) as cause:
            raise PeerTokenRejected(reason="the schema of its credential cannot be used") from cause
        if not is_valid:
            raise PeerTokenRejected(reason="its credential does not obey the schema that it names")


def _no_further(address: str) -> Any:
    raise ValueError(f"a schema may not refer to {address}")


def _jwt(token: object) -> Jwt:
    try:
        return read_jwt(token)
    except JwsInvalid as cause:
        raise PeerTokenRejected(reason="a token in it cannot be read") from cause
