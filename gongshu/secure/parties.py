"""The organisations that this node knows, each with the key its tokens and reports are checked with."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificates

from gongshu.database import Database, settles_races
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.model.plain import is_plain_line
from gongshu.prepared import Prepared
from gongshu.secure.errors import PartyInvalid, PartyKeyDiffers, PartyUnknown
from gongshu.secure.jws import is_text
from gongshu.secure.keys import fingerprint_of
from gongshu.secure.tables import parties

_GET = Prepared(
    sa.select(parties).where(
        parties.c.party_id == sa.bindparam("asked_id"),
        parties.c.valid_until.is_(None) | (parties.c.valid_until > sa.bindparam("now")),
    )
)
KEYS_KEPT = 1000
_BY_KEY = frozenset({"gongshu", "mtls+gongshu"})
"""Schemes whose proof is a signature of the registered key."""


@dataclass(frozen=True, slots=True)
class Party:
    """Another organisation."""

    party_id: PartyId
    title: str
    public_key_pem: str
    address: str = ""
    """Base address of its node, for instance `https://mill.example:6720`."""
    roles: tuple[str, ...] = ()
    """What it is to us: `partner`, `province`, `member`."""
    identity: str = "gongshu"
    """The one scheme by which it proves itself."""
    certificate: str = ""
    """The certificate its node shows in TLS: PEM, or `sha256:<hex>` of one that an authority of ours vouches for."""
    space: str = ""
    """The space whose trust list vouches for it; empty for those that our people registered."""
    valid_until: datetime | None = None
    """When that list ends; from then on the party is unknown."""

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that its signatures are checked with.

        Raises: PartyInvalid if it is not an Ed25519 public key in PEM.
        """
        return self._key[0]

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` of the key, to be compared over another channel; empty if it has none of this kind."""
        return self._key[1] if self.public_key_pem else ""

    @property
    def _key(self) -> tuple[Ed25519PublicKey, str]:
        try:
            return _read_key(self.public_key_pem)
        except TypeError as cause:
            raise PartyInvalid(party_id=self.party_id, reason="its public key is not Ed25519") from cause
        except (ValueError, UnsupportedAlgorithm) as cause:
            raise PartyInvalid(party_id=self.party_id, reason="its public key is not PEM") from cause

    @property
    def proof(self) -> str:
        """By what it proves itself, in one line: contracts, groups and places are bound to it.

        Where a key decides, the certificate beside it is transport and may change; a DID is the party's id itself.
        Source: decision 0090.
        """
        if self.identity in _BY_KEY:
            return f"key {self.fingerprint}"
        pin = "" if self.identity == "dcp" else self.certificate_pin
        return " ".join(part for part in (self.identity, self.fingerprint, pin) if part)

    @property
    def certificate_pin(self) -> str:
        """`sha256:<hex>` of the one certificate that its node may show; empty if none is registered.

        Raises: PartyInvalid if the registered text is neither a certificate nor a fingerprint.
        """
        if not self.certificate or re.fullmatch(r"sha256:[0-9a-f]{64}", self.certificate):
            return self.certificate
        try:
            (certificate,) = load_pem_x509_certificates(self.certificate.encode("utf-8"))
        except ValueError as cause:
            reason = "its certificate is neither one certificate in PEM nor sha256:…"
            raise PartyInvalid(party_id=self.party_id, reason=reason) from cause
        return "sha256:" + certificate.fingerprint(hashes.SHA256()).hex()


@lru_cache(maxsize=KEYS_KEPT)
def _read_key(pem: str) -> tuple[Ed25519PublicKey, str]:
    """Return the key of a text and its fingerprint; partners' are asked for again with each of their messages.

    Raises: TypeError if it is another kind of key; ValueError, UnsupportedAlgorithm.
    """
    key = load_pem_public_key(pem.encode("utf-8"))
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError(type(key).__name__)
    return key, fingerprint_of(key)


def is_party_id(text: str) -> bool:
    """True if the text can name a party: characters of a URI, so that no two names look alike to people.

    >>> is_party_id("urn:gongshu:party:mill"), is_party_id("a b"), is_party_id("urn:gongshu:party:mіll")  # a Cyrillic і
    (True, False, False)
    """
    is_plain = text.isascii() and text.isprintable()
    return 0 < len(text) <= 200 and is_plain and not any(character.isspace() for character in text)


class PartyRegistry:
    """The register of known organisations. Changes are audited."""

    def __init__(self, database: Database, audit: AuditSink, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._seen = threading.local()

    @settles_races
    def add(self, party: Party, *, actor: str = "system:parties") -> Party:
        """Register a party, or bring title, address and roles of a known one up to date.

        Raises: PartyInvalid; PartyKeyDiffers if it is known by another key, certificate or scheme of identity.
        """
        require_valid(party)
        with self._database.begin() as connection:
            row = connection.execute(sa.select(parties).where(parties.c.party_id == party.party_id)).first()
            if row is None:
                new = sa.insert(parties).values(party_id=party.party_id, added_at=self._clock(), **_values(party))
                connection.execute(new)
            else:
                _require_same(_party(row), party)
                change = sa.update(parties).where(parties.c.party_id == party.party_id)
                connection.execute(change.values(**_values(party)))
            self._record(actor, "party.added" if row is None else "party.changed", party, {})
        return party

    def replace(self, party: Party, *, actor: str = "system:parties") -> Party:
        """Put this record in the place of a known party's, whatever its key; the former one is named in the audit log.

        Raises: PartyInvalid, PartyUnknown.
        """
        require_valid(party)
        with self._database.begin() as connection:
            row = connection.execute(sa.select(parties).where(parties.c.party_id == party.party_id)).first()
            if row is None:
                raise PartyUnknown(party_id=party.party_id)
            change = sa.update(parties).where(parties.c.party_id == party.party_id)
            connection.execute(change.values(**_values(party)))
            former = _party(row)
            details = {
                "former_fingerprint": former.fingerprint,
                "former_certificate": former.certificate_pin,
                "former_identity": former.identity,
            }
            self._record(actor, "party.replaced", party, details)
        return party

    def get(self, party_id: PartyId) -> Party:
        """Return one party.

        Raises: PartyUnknown.
        """
        seen: dict[PartyId, Party] | None = getattr(self._seen, "parties", None)
        if seen is not None and party_id in seen:
            return seen[party_id]
        if not is_party_id(party_id):
            raise PartyUnknown(party_id=party_id[:200])
        with self._database.connect() as connection:
            row = _GET.first(connection, {"asked_id": party_id, "now": self._clock()})
        if row is None:
            raise PartyUnknown(party_id=party_id)
        party = _party(row)
        if seen is not None:
            seen[party_id] = party
        return party

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Within the block, `get` in this thread reads each party once: one judgement rests on one state of it.

        For the time of one judgement only, never around waiting: what is changed meanwhile is not seen.
        """
        if getattr(self._seen, "parties", None) is not None:
            yield
            return
        self._seen.parties = {}
        try:
            yield
        finally:
            self._seen.parties = None

    def find_by_pin(self, pin: str, identity: str) -> Party | None:
        """Return the one party of this scheme whose registered certificate has the fingerprint; None if there is none.

        A certificate that two parties share stands for neither.
        """
        wanted = self._current().where(parties.c.certificate_pin == pin, parties.c.identity == identity)
        with self._database.connect() as connection:
            rows = connection.execute(wanted.limit(2)).all()
        return _party(rows[0]) if pin and len(rows) == 1 else None

    def pinned_certificates(self) -> list[str]:
        """Return the registered certificates that are there whole, in PEM."""
        wanted = sa.select(parties.c.certificate).where(parties.c.certificate.like("-----BEGIN%"))
        with self._database.connect() as connection:
            return list(connection.scalars(wanted))

    def all(self) -> list[Party]:
        """Return every party, by id."""
        with self._database.connect() as connection:
            return [_party(row) for row in connection.execute(self._current().order_by(parties.c.party_id))]

    def remove(self, party_id: PartyId, *, actor: str = "system:parties") -> None:
        """Forget a party: its tokens are refused from now on.

        Raises: PartyUnknown.
        """
        with self._database.begin() as connection:
            if not connection.execute(sa.delete(parties).where(parties.c.party_id == party_id)).rowcount:
                raise PartyUnknown(party_id=party_id[:200])
            self._audit.write(AuditEvent(self._clock(), actor, "party.removed", party_id, "ok"))

    def _current(self) -> "sa.Select[Any]":
        """Select the parties that are known now: not those whose trust list has ended, refreshed or not."""
        return sa.select(parties).where(parties.c.valid_until.is_(None) | (parties.c.valid_until > self._clock()))

    def _record(self, actor: str, action: str, party: Party, former: Mapping[str, str]) -> None:
        details: dict[str, str | int | float | bool | list[str] | None] = {
            "fingerprint": party.fingerprint,
            "certificate": party.certificate_pin,
            "identity": party.identity,
            "address": party.address,
            **former,
        }
        self._audit.write(AuditEvent(self._clock(), actor, action, party.party_id, "ok", details))


def require_valid(party: Party) -> None:
    """Refuse a record that could not be used. Raises: PartyInvalid."""
    reason = ""
    if not is_party_id(party.party_id):
        reason = "an id has 1 to 200 printable characters without spaces"
    elif not re.fullmatch(r"[a-z][a-z0-9+.-]{0,59}", party.identity):
        reason = "its scheme of identity is no name of lower-case letters"
    elif party.identity == "gongshu" and not party.public_key_pem:
        reason = "its public key is missing"
    elif (party.certificate or party.identity.startswith("mtls")) and party.address.startswith("http:"):
        reason = "a certificate is shown in TLS only, but its address begins with http:"
    elif not is_text(party.title + party.address):
        reason = "its title or address holds characters that are none"
    elif not is_plain_line(party.title):
        reason = "its title is no line of visible characters"
    if reason:
        raise PartyInvalid(party_id=party.party_id[:200], reason=reason)
    if party.public_key_pem:
        assert party.fingerprint, "the key can be read"
    if party.certificate:
        assert party.certificate_pin, "the certificate can be read"


def _require_same(known: Party, offered: Party) -> None:
    """Raises: PartyKeyDiffers."""
    pairs = (
        ("key", known.fingerprint, offered.fingerprint),
        ("certificate", known.certificate_pin, offered.certificate_pin),
        ("scheme of identity", known.identity, offered.identity),
    )
    for what, before, now in pairs:
        if before != now:
            raise PartyKeyDiffers(party_id=known.party_id, what=what, known=before or "none", offered=now or "none")


def _values(party: Party) -> dict[str, str | datetime | None]:
    return {
        "title": party.title,
        "public_key_pem": party.public_key_pem,
        "address": party.address,
        "roles": ",".join(sorted(party.roles)),
        "identity": party.identity,
        "certificate": party.certificate,
        "certificate_pin": party.certificate_pin,
        "proof": party.proof,
        "space": party.space,
        "valid_until": party.valid_until,
    }


def _party(row: Any) -> Party:
    return Party(
        PartyId(row.party_id),
        row.title,
        row.public_key_pem,
        row.address,
        tuple(part for part in row.roles.split(",") if part),
        row.identity,
        row.certificate,
        row.space,
        row.valid_until,
    )
