"""DIDs of the method `web`: where their documents lie, and what a document says. Pure.

Source: did:web method specification; DID Core 1.0 §5; DCP 1.0.1 §4.3.3 and §5.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gongshu.secure.dcp.jose import PublicKey, read_jwk
from gongshu.secure.jws import JwsInvalid

LOOPBACK = frozenset({"localhost", "127.0.0.1"})
METHODS_MAX = 50
_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?)(?:%3[Aa](\d{1,5}))?")
_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}")


class DidInvalid(ValueError):
    """Not a DID or a DID document that can be used; internal, callers translate it."""


def path_of(did: str) -> str:
    """Return the path of a DID's document on its host.

    >>> path_of("did:web:mill.example"), path_of("did:web:mill.example%3A8443:plants:north")
    ('/.well-known/did.json', '/plants/north/did.json')

    Raises: DidInvalid.
    """
    _, *segments = _split(did)
    return "/" + "/".join(segments) + "/did.json" if segments else "/.well-known/did.json"


def address_of(did: str, *, plain: bool = False) -> str:
    """Return where a DID's document lies; `plain` allows plain HTTP, and only on this machine itself.

    >>> address_of("did:web:mill.example%3A8443")
    'https://mill.example:8443/.well-known/did.json'

    Raises: DidInvalid.
    """
    host = _split(did)[0]
    name = host.partition(":")[0]
    return f"{'http' if plain and name in LOOPBACK else 'https'}://{host}{path_of(did)}"


@dataclass(frozen=True, slots=True)
class DidDocument:
    """What a document says of keys and services."""

    did: str
    keys: Mapping[str, PublicKey]
    """By absolute id."""
    relations: Mapping[str, frozenset[str]]
    """Which keys a relationship names, for the relationships that the document has."""
    credential_service: str
    """Base address of the credential service, empty if it has none."""

    def key_for(self, kid: str, relation: str) -> PublicKey:
        """Return the key that a token names, if it has the relationship; without a name the only one there is.

        Raises: DidInvalid.
        """
        if not kid and len(self.keys) != 1:
            raise DidInvalid("the token names no key, and the document has several or none")
        wanted = _absolute(kid, self.did) if kid else next(iter(self.keys))
        if wanted not in self.keys:
            raise DidInvalid("the document has no such key")
        if wanted not in self.relations.get(relation, frozenset()):
            raise DidInvalid(f"the key is not for {relation}")
        return self.keys[wanted]

    def signing_key(self, kid: str) -> PublicKey:
        """Return a key that signs presentations and credentials: for `assertionMethod` where the document says so.

        Raises: DidInvalid.
        """
        if "assertionMethod" in self.relations:
            return self.key_for(kid, "assertionMethod")
        wanted = _absolute(kid, self.did)
        if wanted not in self.keys:
            raise DidInvalid("the document has no such key")
        return self.keys[wanted]


def read_did_document(document: object, did: str) -> DidDocument:
    """Return what the document of a DID says; keys of other kinds than ours are left out.

    Raises: DidInvalid if it is another DID's.
    """
    if not isinstance(document, dict) or document.get("id") != did:
        raise DidInvalid("the document is not that of the DID")
    keys: dict[str, PublicKey] = {}
    for method in _entries(document.get("verificationMethod")):
        if isinstance(method, dict) and isinstance(method.get("id"), str):
            _take_key(keys, method, did)
    relations = {}
    for relation in ("capabilityInvocation", "assertionMethod"):
        if relation in document:
            named = (entry.get("id") if isinstance(entry, dict) else entry for entry in _entries(document[relation]))
            relations[relation] = frozenset(_absolute(name, did) for name in named if isinstance(name, str))
    return DidDocument(did, keys, relations, _service(document, did))


def _take_key(keys: dict[str, PublicKey], method: Mapping[str, Any], did: str) -> None:
    try:
        key = read_jwk(method.get("publicKeyJwk"))
    except JwsInvalid:
        return
    name = _absolute(method["id"], did)
    if name in keys:
        raise DidInvalid("two keys have one id")
    keys[name] = key


def _service(document: Mapping[str, Any], did: str) -> str:
    """Return the credential service's address, if it lies on the DID's own host: elsewhere we do not ask."""
    for service in _entries(document.get("service")):
        if isinstance(service, dict) and service.get("type") == "CredentialService":
            address = service.get("serviceEndpoint")
            if not isinstance(address, str) or len(address) > 800 or not address.isascii() or not address.isprintable():
                return ""
            try:
                parts = urlsplit(address)
            except ValueError:
                return ""
            is_plain = parts.scheme == "http" and parts.hostname in LOOPBACK
            is_own = parts.hostname == _split(did)[0].partition(":")[0]
            is_simple = not (parts.query or parts.fragment or "@" in parts.netloc or "\\" in address)
            return address.rstrip("/") if is_own and is_simple and (parts.scheme == "https" or is_plain) else ""
    return ""


def _entries(value: object) -> list[Any]:
    if not isinstance(value, list):
        return []
    if len(value) > METHODS_MAX:
        raise DidInvalid("the document is too long")
    return value


def _absolute(name: str, did: str) -> str:
    return did + name if name.startswith("#") else name


def _split(did: str) -> list[str]:
    """Return host with port, then the segments of the path."""
    if not did.startswith("did:web:") or len(did) > 200:
        raise DidInvalid("not a DID of the method web")
    host, *segments = did.removeprefix("did:web:").split(":")
    match = _HOST.fullmatch(host)
    if match is None or ".." in host or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise DidInvalid("not a DID of the method web")
    port = match[2]
    if port is not None and not 0 < int(port) < 65536:
        raise DidInvalid("no port")
    return [match[1].lower() + (f":{int(port)}" if port is not None else ""), *segments]
