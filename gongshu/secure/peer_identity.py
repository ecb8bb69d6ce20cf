"""How organisations prove to each other who they are: one door for every scheme, ours and strangers'.

A scheme turns the proof of a request into a party and makes our own proof for a party. Which scheme a party uses is
part of its registration, and only that one counts: whoever could choose the weakest scheme would make all others
worthless. Schemes are found through the entry point group `gongshu.identity`. Source: decision 0058.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, cast, runtime_checkable
from urllib.parse import unquote, urlsplit

from gongshu.database import Database
from gongshu.model.audit import AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.errors import IdentitySchemeUnknown, PartyUnknown, PeerTokenRejected
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_tls import TlsSettings, peer_certificate
from gongshu.secure.peer_tokens import PeerTokens

ENTRY_POINT_GROUP = "gongshu.identity"
AUTHORIZATION_SIZE_MAX = 32 * 1024
"""Longest Authorization header that any scheme looks at; a token with a presentation inside stays below."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What an incoming request shows."""

    authorization: str
    """The Authorization header, empty if there is none or more than one."""
    body: bytes | None
    """The bytes it came with; None for GET."""
    client_certificate: bytes | None = None
    """In DER, when mutual TLS ended in this process."""
    request: str = ""
    """Method, path and query, as `request_line` writes them."""
    below: str = ""
    """The path of our public address, which a proxy in front may have taken away from the request's."""

    @property
    def spellings(self) -> frozenset[str]:
        """The request as it came here, and as it was called from outside."""
        method, _, target = self.request.partition(" ")
        return frozenset({self.request, f"{method} {self.below}{target}"}) if self.request else frozenset()


def request_line(method: str, target: str) -> str:
    """Return what a request asks, in one spelling: percent signs in paths are written differently on the way.

    >>> request_line("POST", "/dsp/urn%3Auuid%3A1?after=a%20b")
    'POST /dsp/urn:uuid:1?after=a%20b'
    """
    path, mark, query = target.partition("?")
    return f"{method} {unquote(path)}{mark}{query}"


class PeerIdentity(Protocol):
    """One scheme. Threads share it; `gongshu.testing.identity_contract` says what it has to withstand."""

    @property
    def name(self) -> str:
        """What parties are registered with (`Party.identity`)."""

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        """Return the headers that prove us to that party, for one request with this body (None for GET).

        `request` is what `request_line` says of it; a scheme that can, binds its proof to it.
        """

    def party_of(self, proof: Proof) -> PartyId | None:
        """Return who proves itself; None if it is not a proof of this form.

        Raises: PeerTokenRejected when it is one of this form and wrong.
        """


@runtime_checkable
class Revocable(Protocol):
    """What a scheme offers beside `PeerIdentity` whose proofs can be taken back by a third party."""

    def why_not_standing(self, party: PartyId) -> str | None:
        """Return why what the party showed last does not hold now; None while it does, or if nothing is known."""


@dataclass(frozen=True, slots=True)
class SchemeParts:
    """What a node gives its schemes to work with."""

    own_party_id: PartyId
    keys: KeyStore
    parties: PartyRegistry
    peers: PeerTokens
    database: Database
    audit: AuditSink
    clock: Callable[[], datetime]
    public_address: Callable[[], str]
    tls: TlsSettings


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """The declaration of a scheme, found through its entry point."""

    name: str
    """Also the entry point's name and `PeerIdentity.name`."""
    title: str
    opens: str
    """`package.module:factory`; the factory takes SchemeParts and returns the scheme, None where it is not set up."""
    sources: tuple[str, ...]
    """The standards it follows."""

    def open(self, parts: SchemeParts) -> PeerIdentity | None:
        """Return the scheme of one node; None where the node's configuration does not offer it."""
        module, _, attribute = self.opens.partition(":")
        return cast(PeerIdentity | None, getattr(import_module(module), attribute)(parts))


def installed_schemes() -> list[IdentitySpec]:
    """Return the declarations of all installed schemes, in order of name."""
    found = [cast(IdentitySpec, point.load()) for point in entry_points(group=ENTRY_POINT_GROUP)]
    return sorted(found, key=lambda spec: spec.name)


class PeerIdentities:
    """The schemes of one node. Whoever receives or sends a request between parties asks here and nowhere else."""

    def __init__(
        self,
        parties: PartyRegistry,
        schemes: Iterable[PeerIdentity],
        *,
        own_party_id: PartyId,
        public_address: Callable[[], str] = str,
    ) -> None:
        self._parties = parties
        self._public_address = public_address
        self._own_party_id = own_party_id
        self._schemes: Sequence[PeerIdentity] = tuple(schemes)
        if len({scheme.name for scheme in self._schemes}) != len(self._schemes):
            raise RuntimeError("two schemes of identity have one name")

    @property
    def names(self) -> tuple[str, ...]:
        """What parties can be registered with on this node."""
        return tuple(scheme.name for scheme in self._schemes)

    def find(self, name: str) -> PeerIdentity | None:
        """Return the scheme of this name, None if this node does not offer it."""
        return next((scheme for scheme in self._schemes if scheme.name == name), None)

    def headers_for(self, party: PartyId, body: bytes | None, request: str) -> Mapping[str, str]:
        """Return the headers of one request to that party, by the scheme it is registered with.

        Raises: PartyUnknown, IdentitySchemeUnknown.
        """
        registered = self._parties.get(party)
        scheme = self.find(registered.identity)
        if scheme is not None:
            return scheme.headers_for(registered, body, request)
        raise IdentitySchemeUnknown(party_id=party, scheme=registered.identity, known=", ".join(self.names))

    def proof_of(self, scope: Mapping[str, Any], body: bytes | None) -> Proof:
        """Return what an HTTP request shows of its sender; of several Authorization headers none counts.

        `scope` is the request's ASGI scope.

        Raises: PeerTokenRejected if its address holds what no database could be asked about.
        """
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        query = scope.get("query_string", b"").decode("latin-1")
        if "\0" in scope["path"] or "%00" in query:
            raise PeerTokenRejected(reason="its address holds a NUL character")
        target = scope["path"] + (f"?{query}" if query else "")
        return Proof(
            shown[0].decode("latin-1") if len(shown) == 1 else "",
            body,
            peer_certificate(scope),
            f"{scope['method']} {target}",
            urlsplit(self._public_address()).path.rstrip("/"),
        )

    def why_not_standing(self, party: PartyId) -> str | None:
        """Return why what this party proved when it last asked does not hold any more, None while it does.

        Asked while rows flow, for schemes that rest on something that others can take back.
        """
        try:
            scheme: object = self.find(self._parties.get(party).identity)
        except PartyUnknown:
            return "its party is not registered any more"
        return scheme.why_not_standing(party) if isinstance(scheme, Revocable) else None

    def party_of(self, proof: Proof) -> PartyId:
        """Return the registered party that this request proves; the first scheme that knows the form decides.

        Raises: PeerTokenRejected.
        """
        if len(proof.authorization) > AUTHORIZATION_SIZE_MAX:
            raise PeerTokenRejected(reason="its header is too long")
        for scheme in self._schemes:
            party_id = scheme.party_of(proof)
            if party_id is not None:
                self._require_registered(party_id, scheme)
                return party_id
        raise PeerTokenRejected(reason="it is not of a form that this node takes from this party")

    def _require_registered(self, party_id: PartyId, scheme: PeerIdentity) -> None:
        if party_id == self._own_party_id:
            raise PeerTokenRejected(reason="it speaks for this organisation itself")
        try:
            party = self._parties.get(party_id)
        except PartyUnknown as cause:
            raise PeerTokenRejected(reason="its issuer is not registered here") from cause
        if party.identity != scheme.name:
            raise PeerTokenRejected(reason="its issuer is registered with another scheme of identity")
