"""Where a party's data may be fetched from and delivered to: under its own address, or one registered for its data.

Connectors of other makers serve and take data at another port than the protocol. A person registers such an address;
no message of the party can.
"""

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.share.addresses import ADDRESS_MAX, is_under
from gongshu.share.errors import AddressRefused
from gongshu.share.rights import DEALERS, require_right
from gongshu.share.tables import share_data_addresses

_D = share_data_addresses.c


def require_data_address(database: Database, parties: PartyRegistry, party: PartyId, address: str) -> None:
    """Return if the address is one we may call for this party's data. Raises: PartyUnknown, AddressRefused."""
    known = [parties.get(party).address, *_registered(database, party)]
    if not any(is_under(address, each, query_allowed=True) for each in known):
        raise AddressRefused(address=address[:200], party=party)


class DataAddresses:
    """The register of one node."""

    def __init__(
        self, database: Database, parties: PartyRegistry, audit: AuditSink, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._parties = parties
        self._audit = audit
        self._clock = clock

    @settles_races
    def add(self, party: PartyId, address: str, actor: Subject) -> None:
        """Let this party's data travel over an address and what lies below it.

        Raises: NotAllowed, PartyUnknown, AddressRefused if it is not an address that we call.
        """
        require_right(actor, DEALERS, "register addresses for data")
        self._parties.get(party)
        if not is_under(address, address) or len(address) > ADDRESS_MAX:
            raise AddressRefused(address=address[:200], party=party)
        with self._database.begin() as connection:
            connection.execute(sa.delete(share_data_addresses).where(_D.party_id == party, _D.address == address))
            values = {"party_id": party, "address": address, "added_at": self._clock(), "added_by": actor.subject_id}
            connection.execute(sa.insert(share_data_addresses).values(**values))
            self._write(actor, "data_address.added", party, address)

    def remove(self, party: PartyId, address: str, actor: Subject) -> None:
        """Forget an address; what runs over it ends with its next attempt. Raises: NotAllowed."""
        require_right(actor, DEALERS, "register addresses for data")
        with self._database.begin() as connection:
            connection.execute(sa.delete(share_data_addresses).where(_D.party_id == party, _D.address == address))
            self._write(actor, "data_address.removed", party, address)

    def of(self, party: PartyId) -> list[str]:
        """Return the addresses registered for the data of a party."""
        return _registered(self._database, party)

    def require_own(self, party: PartyId, address: str) -> None:
        """Return if the address is one we may call for this party's data. Raises: PartyUnknown, AddressRefused."""
        require_data_address(self._database, self._parties, party, address)

    def _write(self, actor: Subject, action: str, party: PartyId, address: str) -> None:
        self._audit.write(
            AuditEvent(self._clock(), actor.subject_id, action, party, "ok", {"address": address[:ADDRESS_MAX]})
        )


def _registered(database: Database, party: PartyId) -> list[str]:
    query = sa.select(_D.address).where(_D.party_id == party).order_by(_D.address)
    with database.connect() as connection:
        return [str(address) for address in connection.execute(query).scalars()]
