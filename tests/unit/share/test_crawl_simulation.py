"""Ten thousand faults against the crawl: no duplicate, ghost, stuck job or empty window, and the truth at the end.

A failure names its seed.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.packs import load_packs
from gongshu.share.crawl.crawler import Crawler
from gongshu.share.crawl.model import Bounds
from gongshu.share.crawl.sources import WireSource
from gongshu.share.crawl.tables import share_crawl_entries, share_crawl_pages, share_crawls, share_search_postings
from gongshu.share.crawl.words import thesaurus_of
from gongshu.share.ports import Reply
from tests.conftest import Clock
from tests.metadata import new_database
from tests.unit.share.market import FAULTS, FaultyWire, Killed, Shop

PARTIES = [PartyId(f"urn:gongshu:party:p{n}") for n in range(6)]
SEEDS = range(5)
FAULTS_A_SEED = 2_000
BOUNDS = Bounds(pages_max=40, pause_s=0.0, tries_max=40)
_E = share_crawl_entries.c


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Database]:
    """A database that does not wait for the disk: what is tested is which transactions there are, not the disk."""
    database = new_database(tmp_path / "metadata.db")
    event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    yield database
    database.close()


class Market:
    """Parties, the wire, two processes that crawl, and what a reader saw last."""

    def __init__(self, database: Database, seed: int, clock: Clock) -> None:
        self.random, self.database, self.clock = Random(seed), database, clock
        self.shops = {party: Shop(party, self.random, is_ours=n % 2 == 0) for n, party in enumerate(PARTIES)}
        self.wire = FaultyWire(self.shops, self.random, clock)
        self.wire.overtake = self.overtake
        thesaurus = thesaurus_of(load_packs())
        source = WireSource(self.wire, lambda party: f"http://{party[-2:]}.example")
        self._parts = (database, lambda _: source, thesaurus)
        self.kills = self.outcomes = 0
        self.seen: dict[PartyId, tuple[Any, dict[str, str]]] = {party: (None, {}) for party in PARTIES}
        now = clock()
        rows = [{"party_id": party, "interval_s": 60, "followed_at": now, "followed_by": "li"} for party in PARTIES]
        with database.begin() as connection:
            connection.execute(sa.insert(share_crawls).values(next_at=now), rows)

    def crawler(self) -> Crawler:
        return Crawler(*self._parts, self._tick, bounds=BOUNDS, pause=lambda _: False)

    def _tick(self) -> Any:
        """The clock; now and then the process is killed as it looks at it, in the middle of a transaction too."""
        if self.wire.fault_ratio and self.random.random() < 0.01:
            self.wire.counts["killed in a step"] += 1
            raise Killed
        return self.clock()

    def run(self, crawler: Crawler) -> bool:
        try:
            found = crawler.crawl_due()
            self.outcomes += found is not None
            return found is not None
        except Killed:
            self.kills += 1
        except GongshuError:
            pass
        return True

    def overtake(self) -> None:
        self.run(self.crawler())

    def look(self) -> None:
        """Read as a person would, and compare with what a person saw before and with everything that ever was."""
        with self.database.connect() as connection:
            rows = connection.execute(sa.select(_E.party_id, _E.dataset_id, _E.title).where(_E.shown)).all()
            states = {row.party_id: row for row in connection.execute(sa.select(share_crawls))}
        assert len({(row.party_id, row.dataset_id) for row in rows}) == len(rows), "a duplicate"
        for party, shop in self.shops.items():
            shown = {row.dataset_id: row.title for row in rows if row.party_id == party}
            completed, before = self.seen[party]
            assert set(shown.items()) <= shop.ever, "an entry that never was"
            lost = before.keys() - shown.keys() - shop.removed
            assert not lost, f"{party} never took {sorted(lost)} back, and they vanished"
            if states[party].completed_at == completed:
                assert shown == before, "the index changed without a complete pass"
            self.seen[party] = (states[party].completed_at, shown)

    def close_down(self) -> None:
        """No more faults: everything ends in the truth within two days of the clock."""
        self.wire.fault_ratio = 0.0
        for _ in range(12):
            while self.run(self.crawler()):
                pass
            self.look()
            self.clock.forward(hours=4)
        for party, shop in self.shops.items():
            assert self.seen[party][1] == shop.entries, f"{party} is not shown as it is"
        with self.database.connect() as connection:
            rows = connection.execute(sa.select(share_crawls)).all()
            assert all(row.run_id == "" and row.pass_began_at is None and not row.failures for row in rows)
            assert not connection.execute(sa.select(share_crawl_pages)).first()
            assert not connection.execute(sa.select(_E.entry_id).where(_E.shown.is_(False))).first()
            orphans = sa.select(share_search_postings.c.entry_id).where(
                share_search_postings.c.entry_id.not_in(sa.select(_E.entry_id))
            )
            assert not connection.execute(orphans).first()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_index_stays_whole_and_becomes_true(quick: Database, clock: Clock, seed: int) -> None:
    market = Market(quick, seed, clock)
    market.wire.fault_ratio = 0.9
    while market.wire.counts.total() < FAULTS_A_SEED:
        if not market.run(market.crawler()):
            market.clock.forward(minutes=market.random.choice([1, 5, 30]))
        if market.random.random() < 0.15:
            market.look()
        if market.random.random() < 0.05:
            market.random.choice(list(market.shops.values())).change()
        if market.random.random() < 0.02:
            market.wire.fault_ratio = market.random.choice([0.85, 0.97])
    missing = set(FAULTS) - set(market.wire.counts)
    assert len(missing) <= 2, "faults that were never drawn prove nothing"
    assert min(market.outcomes, market.kills) > 30
    market.close_down()


def test_what_did_not_change_costs_one_request(quick: Database, clock: Clock) -> None:
    market = Market(quick, 7, clock)
    market.close_down()
    before, ours = market.wire.requests, [party for party, shop in market.shops.items() if shop.is_ours]
    for party in ours:
        outcome = market.crawler().crawl(party)
        assert not outcome.changed
    assert market.wire.requests - before == len(ours)
    market.shops[ours[0]].change()
    assert market.crawler().crawl(ours[0]).changed


def test_a_pass_is_taken_up_where_it_was_killed(quick: Database, clock: Clock) -> None:
    market, party = Market(quick, 3, clock), PARTIES[0]
    for _ in range(9):
        market.shops[party].add()
    pages = len(market.shops[party].pages())
    original, calls = market.wire.post_to, []

    def dies_at_the_third(to: PartyId, address: str, body: bytes = b"") -> Reply:
        calls.append(address)
        if len(calls) == 3:
            raise Killed
        return original(to, address, body)

    market.wire.post_to = dies_at_the_third  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        market.crawler().crawl(party)
    clock.now += timedelta(minutes=3)
    assert market.crawler().crawl(party).added == len(market.shops[party].entries)
    assert market.wire.requests == pages + 1, "one stamp, and no page twice"
