"""The schemes `mtls` and `mtls+gongshu`: a party is who shows its certificate, and signs tokens too in the second.

TLS has proved before that the far side holds the key of the certificate it shows. Here it is judged whose it is: the
registered certificate of a party; or, for a party registered without one, a certificate with the party's id as URI
among its names, signed by an authority of the configuration. Authorities that only a pinned certificate brought in
count for nothing here: a partner must not be able to vouch for another one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from gongshu.model.ids import PartyId
from gongshu.secure.errors import PartyUnknown, PeerTokenRejected
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import Proof
from gongshu.secure.peer_tokens import PeerTokens

NAME = "mtls"
NAME_WITH_TOKENS = "mtls+gongshu"


class MutualTls:
    """The scheme `mtls`: the certificate alone. TLS keeps the body whole and a request from being repeated."""

    name = NAME

    def __init__(
        self,
        parties: PartyRegistry,
        authorities: Sequence[x509.Certificate],
        clock: Callable[[], datetime],
    ) -> None:
        self._parties = parties
        self._authorities = tuple(authorities)
        self._clock = clock

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return no header: the wire shows our certificate on every connection."""
        return {}

    def party_of(self, proof: Proof) -> PartyId | None:
        """Return whose certificate was shown; None without one, or if it is no party's of this scheme.

        Raises: PeerTokenRejected.
        """
        party = self.owner_of(proof.client_certificate)
        return None if party is None else party.party_id

    def owner_of(self, certificate: bytes | None) -> Party | None:
        """Return the party of this scheme that a certificate (DER) stands for now.

        Raises: PeerTokenRejected if it cannot be read, or is out of its time.
        """
        if certificate is None:
            return None
        try:
            shown = x509.load_der_x509_certificate(certificate)
            pin = "sha256:" + shown.fingerprint(hashes.SHA256()).hex()
            names = _party_names(shown)
        except (ValueError, x509.DuplicateExtension) as cause:
            raise PeerTokenRejected(reason="its certificate cannot be read") from cause
        party = self._parties.find_by_pin(pin, self.name) or self._vouched_for(shown, names)
        if party is not None and not shown.not_valid_before_utc <= self._clock() <= shown.not_valid_after_utc:
            raise PeerTokenRejected(reason="its certificate is not valid at this time")
        return party

    def _vouched_for(self, shown: x509.Certificate, names: Sequence[str]) -> Party | None:
        if len(names) != 1 or not any(_is_issued(shown, by, self._clock()) for by in self._authorities):
            return None
        try:
            party = self._parties.get(PartyId(names[0]))
        except PartyUnknown:
            return None
        # A party with a registered certificate is known by that one only, whatever an authority signs.
        return party if party.identity == self.name and not party.certificate else None


class MutualTlsWithTokens(MutualTls):
    """The scheme `mtls+gongshu`: the certificate and, inside the connection, a signed token for each request."""

    name = NAME_WITH_TOKENS

    def __init__(
        self,
        parties: PartyRegistry,
        authorities: Sequence[x509.Certificate],
        clock: Callable[[], datetime],
        tokens: PeerTokens,
    ) -> None:
        super().__init__(parties, authorities, clock)
        self._tokens = tokens

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        """Return the signed token of one request; the wire shows our certificate beside it."""
        return self._tokens.headers_for(party, body, request)

    def party_of(self, proof: Proof) -> PartyId | None:
        """Return the party that both the certificate and the token name; None without a certificate of this scheme.

        Raises: PeerTokenRejected.
        """
        shown = super().party_of(proof)
        if shown is not None and self._tokens.party_of(proof, scheme=self.name) != shown:
            raise PeerTokenRejected(reason="its token is missing, or another party's than its certificate")
        return shown


def _party_names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)


def _is_issued(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    """True if this authority, itself valid and allowed to, signed the certificate, which is not an authority's own."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return constraints.ca and authority.not_valid_before_utc <= now <= authority.not_valid_after_utc
