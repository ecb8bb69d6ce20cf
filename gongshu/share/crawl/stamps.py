"""A stamp of what one party can see of our catalogue: it changes when that does, and costs a few counts to know.

Offers are only ever added and withdrawn, so their numbers name their state; the catalogue counts its own changes. What
else may change what a party sees (a term that begins, a group) is in its record or found within a day, for the day is
in the stamp as well.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.share.ports import Clock
from gongshu.share.tables import share_offer_parties, share_offers

_O = share_offers.c


class CatalogueStamps:
    """Answers other parties' question whether it is worth reading our catalogue again."""

    def __init__(
        self, database: Database, version: Callable[[], int], record_of: Callable[[PartyId], object], clock: Clock
    ) -> None:
        self._database = database
        self._version = version
        self._record_of = record_of
        self._clock = clock

    def of(self, party: PartyId) -> str:
        """Return the stamp for this party.

        It may change though nothing did for this party, never the other way round. Cost: four counts.
        """
        now = self._clock()
        named = sa.select(share_offer_parties.c.offer_id).where(share_offer_parties.c.party_id == party)
        with self._database.connect() as connection:
            counts = [*_count(connection, _O.is_open, now), *_count(connection, _O.offer_id.in_(named), now)]
        parts = [str(self._version()), now.date().isoformat(), repr(self._record_of(party)), *map(str, counts)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _count(connection: sa.Connection, which: sa.ColumnElement[bool], now: datetime) -> list[int]:
    """Return how many there are, how many of them are withdrawn, and how many past their end."""
    query = sa.select(
        sa.func.count(), sa.func.count(_O.withdrawn_at), sa.func.count(sa.case((_O.until < now, 1), else_=None))
    ).where(which)
    return [int(value) for value in connection.execute(query).one()]
