"""The organisations that this node knows, each with the key its tokens and reports are checked with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.errors import PartyInvalid, PartyUnknown
from gongshu.secure.keys import fingerprint_of
from gongshu.secure.tables import parties


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

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that its signatures are checked with.

        Raises: PartyInvalid if it is not an Ed25519 public key in PEM.
        """
        try:
            key = load_pem_public_key(self.public_key_pem.encode("utf-8"))
        except (ValueError, UnsupportedAlgorithm) as cause:
            raise PartyInvalid(party_id=self.party_id, reason="its public key is not PEM") from cause
        if not isinstance(key, Ed25519PublicKey):
            raise PartyInvalid(party_id=self.party_id, reason="its public key is not Ed25519")
        return key

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` of the key, to be compared over another channel."""
        return fingerprint_of(self.public_key)


def is_party_id(text: str) -> bool:
    """True if the text can name a party.

    >>> is_party_id("urn:gongshu:party:mill"), is_party_id("a b")
    (True, False)
    """
    return 0 < len(text) <= 200 and text.isprintable() and not any(character.isspace() for character in text)


class PartyRegistry:
    """The register of known organisations. Changes are audited."""

    def __init__(self, database: Database, audit: AuditSink, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def add(self, party: Party, *, actor: str = "system:parties") -> Party:
        """Register a party, or replace its record; a replaced key is named in the audit log.

        Raises: PartyInvalid.
        """
        if not is_party_id(party.party_id):
            raise PartyInvalid(
                party_id=party.party_id[:200], reason="an id has 1 to 200 printable characters without spaces"
            )
        details: dict[str, str | int | float | bool | list[str] | None] = {
            "fingerprint": party.fingerprint,
            "address": party.address,
        }
        values = {
            "title": party.title,
            "public_key_pem": party.public_key_pem,
            "address": party.address,
            "roles": ",".join(sorted(party.roles)),
        }
        with self._database.begin() as connection:
            row = connection.execute(sa.select(parties).where(parties.c.party_id == party.party_id)).first()
            if row is None:
                new = sa.insert(parties).values(party_id=party.party_id, added_at=self._clock(), **values)
                connection.execute(new)
            else:
                details["former_fingerprint"] = _party(row).fingerprint
                connection.execute(sa.update(parties).where(parties.c.party_id == party.party_id).values(**values))
            action = "party.added" if row is None else "party.changed"
            self._audit.write(AuditEvent(self._clock(), actor, action, party.party_id, "ok", details))
        return party

    def get(self, party_id: PartyId) -> Party:
        """Return one party.

        Raises: PartyUnknown.
        """
        if not is_party_id(party_id):
            raise PartyUnknown(party_id=party_id[:200])
        with self._database.connect() as connection:
            row = connection.execute(sa.select(parties).where(parties.c.party_id == party_id)).first()
        if row is None:
            raise PartyUnknown(party_id=party_id)
        return _party(row)

    def all(self) -> list[Party]:
        """Return every party, by id."""
        with self._database.connect() as connection:
            return [_party(row) for row in connection.execute(sa.select(parties).order_by(parties.c.party_id))]

    def remove(self, party_id: PartyId, *, actor: str = "system:parties") -> None:
        """Forget a party: its tokens are refused from now on.

        Raises: PartyUnknown.
        """
        with self._database.begin() as connection:
            if not connection.execute(sa.delete(parties).where(parties.c.party_id == party_id)).rowcount:
                raise PartyUnknown(party_id=party_id[:200])
            self._audit.write(AuditEvent(self._clock(), actor, "party.removed", party_id, "ok"))


def _party(row: "sa.Row[tuple[object, ...]]") -> Party:
    return Party(
        PartyId(row.party_id),
        row.title,
        row.public_key_pem,
        row.address,
        tuple(part for part in row.roles.split(",") if part),
    )
