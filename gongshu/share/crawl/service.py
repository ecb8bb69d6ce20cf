"""What people and programs do with others' catalogues: follow a party, read it now, search in what was read."""

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.packs import Packs
from gongshu.secure.parties import PartyRegistry
from gongshu.share.crawl import store
from gongshu.share.crawl.crawler import Crawler
from gongshu.share.crawl.driving import CrawlLoop
from gongshu.share.crawl.errors import CrawlBusy, IntervalInvalid, NotFollowed, SearchEmpty
from gongshu.share.crawl.model import Bounds, Crawl, Found, Outcome
from gongshu.share.crawl.passes import INTERVAL_LEAST_S, INTERVAL_MOST_S, is_free
from gongshu.share.crawl.search import find, is_of_known
from gongshu.share.crawl.sources import CatalogueWire, OwnCatalogue, OwnSource, Source, WireSource
from gongshu.share.crawl.stamps import CatalogueStamps
from gongshu.share.crawl.tables import share_crawl_entries, share_crawls
from gongshu.share.crawl.words import thesaurus_of
from gongshu.share.errors import DatasetNotOffered
from gongshu.share.ports import Clock
from gongshu.share.rights import DEALERS, LOOKERS, require_right

_C, _E = share_crawls.c, share_crawl_entries.c

INTERVAL_USUAL_S = 900
OWN_INTERVAL_S = 10
"""Our own catalogue is asked for its version only, which costs one row."""
OWN_LATE_S = 60
"""A search reads our own catalogue itself if nobody looked at it for so long: no node is served then."""
LIMIT_MAX = 200


class CrawlService:
    """The local index of one node. Threads may share it."""

    def __init__(
        self,
        database: Database,
        wire: CatalogueWire,
        parties: PartyRegistry,
        catalogue: OwnCatalogue,
        packs: Packs,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
        *,
        bounds: Bounds | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.own_party_id = own_party_id
        self.clock = clock
        self.stamps = CatalogueStamps(database, catalogue.version, parties.get, clock)
        self._database = database
        self._parties = parties
        self._catalogue = catalogue
        self._audit = audit
        self._thesaurus = thesaurus_of(packs)
        self._stopping = threading.Event()
        remote, own = WireSource(wire, lambda party: parties.get(party).address), OwnSource(catalogue)

        def source_of(party: PartyId) -> Source:
            return own if party == own_party_id else remote

        self._crawler = Crawler(
            database, source_of, self._thesaurus, clock, bounds=self.bounds, pause=self._stopping.wait
        )
        self._loop = CrawlLoop(self._crawler, self._stopping, self.bounds.parallel_max)

    # ---- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start reading what is due, in threads of this process."""
        self._follow_own()
        self._loop.start()

    def stop(self) -> None:
        """Stop; what was read of an unfinished catalogue is kept and gone on with."""
        self._loop.stop()

    def step(self) -> int:
        """Read everything that is due now, and return how many parties that were."""
        return self._loop.step()

    # ---- following --------------------------------------------------------------------------------------------------

    def follow(self, party: PartyId, actor: Subject, *, interval_s: int = INTERVAL_USUAL_S) -> Crawl:
        """Keep an index of what a party offers, read anew after the interval; following again changes the interval.

        Raises: NotAllowed, PartyUnknown, IntervalInvalid.
        """
        require_right(actor, DEALERS, "follow parties' catalogues")
        if not INTERVAL_LEAST_S <= interval_s <= INTERVAL_MOST_S:
            raise IntervalInvalid(least_s=INTERVAL_LEAST_S, most_s=INTERVAL_MOST_S, interval_s=interval_s)
        self._parties.get(party)
        with self._database.begin() as connection:
            self._insert(connection, party, interval_s, actor.subject_id)
            connection.execute(sa.update(share_crawls).where(_C.party_id == party).values(interval_s=interval_s))
            self._write(actor, "catalogue.followed", party, {"interval_s": interval_s})
        return self._one(party)

    def unfollow(self, party: PartyId, actor: Subject) -> None:
        """Stop following a party and forget its entries. Raises: NotAllowed, NotFollowed."""
        require_right(actor, DEALERS, "follow parties' catalogues")
        self._one(party)
        with self._database.begin() as connection:
            store.forget(connection, party)
            self._write(actor, "catalogue.unfollowed", party, {})

    def followed(self, actor: Subject) -> list[Crawl]:
        """Return everybody whose catalogue is followed, and how that goes. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        now = self.clock()
        query = sa.select(share_crawls).where(_C.party_id != self.own_party_id).order_by(_C.party_id)
        with self._database.connect() as connection:
            rows = list(connection.execute(query))
        return [store.crawl_of(row, is_running=not is_free(row.lease_until, now, self.bounds)) for row in rows]

    def crawl(self, party: PartyId, actor: Subject) -> Outcome:
        """Read a followed party's catalogue now. Raises: NotAllowed, NotFollowed, CrawlBusy, and the wire's errors."""
        require_right(actor, DEALERS, "read parties' catalogues")
        return self._crawler.crawl(party)

    # ---- finding ----------------------------------------------------------------------------------------------------

    def search(self, words: str, actor: Subject, *, parties: Collection[PartyId] = (), limit: int = 20) -> list[Found]:
        """Return what fits the words best, in our own catalogue and in those we follow; Chinese finds English.

        Raises: NotAllowed, SearchEmpty.
        """
        require_right(actor, LOOKERS, "search catalogues")
        wanted = self._thesaurus.question(words)
        if not wanted:
            raise SearchEmpty(words=words[:100])
        self._refresh_own()
        with self._database.connect() as connection:
            most, now = max(1, min(limit, LIMIT_MAX)), self.clock()
            known = is_of_known(self.own_party_id, now)
            return find(connection, wanted, own_party=self.own_party_id, parties=parties, limit=most, among=known)

    def entry(self, party: PartyId, dataset_id: str, actor: Subject) -> dict[str, Any]:
        """Return one entry of the index with its offers. Raises: NotAllowed, DatasetNotOffered."""
        require_right(actor, LOOKERS, "search catalogues")
        is_it = (_E.party_id == party, _E.dataset_id == dataset_id, _E.shown)
        query = sa.select(share_crawl_entries).where(*is_it, is_of_known(self.own_party_id, self.clock()))
        with self._database.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise DatasetNotOffered(dataset_id=dataset_id[:200])
        return {
            "party": row.party_id,
            "dataset_id": row.dataset_id,
            "title": row.title,
            "description": row.description,
            **orjson.loads(row.document),
            "first_seen_at": row.first_seen_at.isoformat(),
            "changed_at": row.changed_at.isoformat(),
        }

    # ---- private ----------------------------------------------------------------------------------------------------

    def _refresh_own(self) -> None:
        """Bring our own entries up to date where no served node does it; another process at it is enough."""
        self._follow_own()
        own, now = self._one(self.own_party_id), self.clock()
        checked = own.checked_at
        is_late = checked is None or not 0 <= (now - checked).total_seconds() <= OWN_LATE_S
        if is_late or (own.stamp != str(self._catalogue.version()) and not self._loop.is_running):
            try:
                self._crawler.crawl(self.own_party_id)
            except CrawlBusy:
                return

    def _follow_own(self) -> None:
        with self._database.connect() as connection:
            known = connection.execute(sa.select(_C.party_id).where(_C.party_id == self.own_party_id)).first()
        if known is None:
            with suppress(IntegrityError), self._database.begin() as connection:  # another process was first
                self._insert(connection, self.own_party_id, OWN_INTERVAL_S, "system:crawl")

    def _insert(self, connection: sa.Connection, party: PartyId, interval_s: int, actor: str) -> None:
        if connection.execute(sa.select(_C.party_id).where(_C.party_id == party)).first() is None:
            now = self.clock()
            values = {"followed_at": now, "followed_by": actor, "next_at": now}
            connection.execute(sa.insert(share_crawls).values(party_id=party, interval_s=interval_s, **values))

    def _one(self, party: PartyId) -> Crawl:
        with self._database.connect() as connection:
            row = connection.execute(sa.select(share_crawls).where(_C.party_id == party)).first()
        if row is None:
            raise NotFollowed(party=party[:200])
        return store.crawl_of(row, is_running=not is_free(row.lease_until, self.clock(), self.bounds))

    def _write(self, actor: Subject, action: str, what: str, details: dict[str, Any]) -> None:
        self._audit.write(AuditEvent(self.clock(), actor.subject_id, action, what, "ok", details))
