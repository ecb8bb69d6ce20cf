"""The scheme of identity `dcp`, and the parts it is made of."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gongshu.model.ids import PartyId
from gongshu.secure.dcp.did import DidInvalid, address_of, path_of
from gongshu.secure.dcp.fetching import Fetch, HttpFetch
from gongshu.secure.dcp.holder import Holder
from gongshu.secure.dcp.jose import write_jwk
from gongshu.secure.dcp.resolving import Resolver
from gongshu.secure.dcp.scopes import MEMBERSHIP_SCOPE, AccessTokens
from gongshu.secure.dcp.selfissued import KEY_NAME, SelfIssued, read_bearer
from gongshu.secure.dcp.status import StatusLists
from gongshu.secure.dcp.verifier import Verifier
from gongshu.secure.errors import PartyUnknown, PeerTokenRejected
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import Proof, SchemeParts
from gongshu.secure.peer_tokens import BODY_CLAIM, REQUEST_CLAIM

NAME = "dcp"
PATH = "/dcp"
"""Base of our credential service under the node's address."""


class DcpIdentity:
    """Implements `PeerIdentity`; its `holder` answers questions for our own credentials."""

    name = NAME

    def __init__(self, parts: SchemeParts, fetch: Fetch) -> None:
        self._own = parts.own_party_id
        self._parties: PartyRegistry = parts.parties
        self._clock: Callable[[], datetime] = parts.clock
        self._address = parts.public_address
        self._key = parts.keys.web_key()
        resolver = Resolver(parts.parties, fetch, parts.clock)
        self.tokens = SelfIssued(self._own, self._key, resolver, parts.database, parts.clock)
        self.access = AccessTokens(parts.keys.derived_secret("dcp access tokens"))
        self._verifier = Verifier(self._own, self.tokens, resolver, StatusLists(resolver, parts.clock), parts.clock)
        self.holder = Holder(
            self._own, self.tokens, self.access, self._verifier, parts.database, parts.audit, parts.clock
        )

    @property
    def document_path(self) -> str:
        """Where our DID document has to be served."""
        return path_of(str(self._own))

    def document(self) -> dict[str, Any]:
        """Return our DID document."""
        kid = f"{self._own}{KEY_NAME}"
        method = {"id": kid, "type": "JsonWebKey2020", "controller": self._own}
        service = {"id": f"{self._own}#credential-service", "type": "CredentialService"}
        return {
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
            "id": self._own,
            "verificationMethod": [{**method, "publicKeyJwk": write_jwk(self._key.public_key())}],
            "authentication": [kid],
            "assertionMethod": [kid],
            "capabilityInvocation": [kid],
            "service": [{**service, "serviceEndpoint": self._address() + PATH}],
        }

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        """Return our ID token for one request; it opens our membership credential to that party."""
        access = self.access.issue(party.party_id, [MEMBERSHIP_SCOPE], self._clock())
        claims = {REQUEST_CLAIM: request}
        if body is not None:
            claims[BODY_CLAIM] = hashlib.sha256(body).hexdigest()
        return {"Authorization": "Bearer " + self.tokens.issue(party.party_id, access=access, claims=claims)}

    def party_of(self, proof: Proof) -> PartyId | None:
        """Return the member that this ID token proves; None if it names no DID of this scheme.

        Raises: PeerTokenRejected.
        """
        token = read_bearer(proof.authorization)
        if token is None or not self._is_of_scheme(token.claims.get("iss")):
            return None
        _require_made_for(token.claims, proof)
        proved = self.tokens.check(proof.authorization)
        self._verifier.require_member(proved)
        return proved.party.party_id

    def why_not_standing(self, party: PartyId) -> str | None:
        """Return why what the party showed last does not hold now; None while it does, or if it showed nothing yet."""
        return self._verifier.why_not_standing(party)

    def _is_of_scheme(self, issuer: object) -> bool:
        try:
            is_did = isinstance(issuer, str) and issuer.startswith("did:web:")
            return is_did and self._parties.get(PartyId(str(issuer))).identity == NAME
        except PartyUnknown:
            return False


def _require_made_for(claims: Mapping[str, Any], proof: Proof) -> None:
    """A peer that runs this software binds body and request too; DCP itself leaves that to TLS."""
    made_for, asked = claims.get(BODY_CLAIM), claims.get(REQUEST_CLAIM)
    is_bound = made_for is not None and proof.body is not None
    if is_bound and made_for != hashlib.sha256(proof.body or b"").hexdigest():
        raise PeerTokenRejected(reason="it was made for another body")
    if asked is not None and asked not in proof.spellings:
        raise PeerTokenRejected(reason="it was made for another method or path")


def open_scheme(parts: SchemeParts) -> DcpIdentity | None:
    """Return the scheme; None unless this organisation's own id is a DID of the method web."""
    try:
        address_of(str(parts.own_party_id))
    except DidInvalid:
        return None
    return DcpIdentity(parts, HttpFetch(parts.tls))
