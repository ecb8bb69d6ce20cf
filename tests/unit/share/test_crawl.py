"""The decisions of crawling, and what a hostile or broken catalogue can do: end its own pass, and nothing else."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.packs import load_packs
from gongshu.share.crawl.crawler import Crawler
from gongshu.share.crawl.errors import CatalogueBroken, CrawlBusy, NotFollowed, PeerBusy
from gongshu.share.crawl.model import Bounds, Page, Pass
from gongshu.share.crawl.passes import (
    MISSES_MAX,
    WAIT_MAX,
    Broken,
    Complete,
    GoOn,
    decide_absences,
    is_due,
    is_free,
    is_stale,
    judge_page,
    plan_next,
)
from gongshu.share.crawl.sources import WireSource
from gongshu.share.crawl.stamps import CatalogueStamps
from gongshu.share.crawl.tables import share_crawl_entries, share_crawls, share_search_postings
from gongshu.share.crawl.words import thesaurus_of
from gongshu.share.dsp.messages import CONTEXT
from gongshu.share.errors import PeerAnswerInvalid, PeerRefused
from gongshu.share.ports import Reply
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import SHOP, SPY, World, subject

PARTY = PartyId("urn:gongshu:party:p1")
BOUNDS = Bounds(pages_max=3, size_bytes_max=1000, pause_s=0.0, tries_max=2)


def page(following: str, *, size: int = 10, exact: bool = True) -> Page:
    return Page((), following, size, is_exact=exact)


@pytest.mark.parametrize(
    "verdict, following, size, pages",
    [
        (GoOn, "http://a/2", 10, 1),
        (Complete, "", 10, 1),
        (Broken, "http://a/1", 10, 1),
        (Broken, "http://a/0", 10, 1),
        (Broken, "http://a/2", 2000, 1),
        (Broken, "http://a/2", 10, 2),
        (Complete, "", 10, 2),
    ],
)
def test_what_a_page_means(clock: Clock, verdict: type, following: str, size: int, pages: int) -> None:
    current = Pass(clock(), "s", next_page="http://a/1", pages=pages)
    assert isinstance(judge_page(current, page(following, size=size), {"http://a/0", ""}, BOUNDS), verdict)


def test_one_inexact_page_makes_the_pass_inexact(clock: Clock) -> None:
    verdict = judge_page(Pass(clock(), ""), page("", exact=False), set(), BOUNDS)
    assert isinstance(verdict, Complete)
    assert not verdict.current.is_exact


def test_absence_is_believed_at_once_only_with_a_proof() -> None:
    missed = {"a": 0, "b": MISSES_MAX - 1}
    assert decide_absences(missed, is_proof=True) == (["a", "b"], [])
    assert decide_absences(missed, is_proof=False) == (["b"], ["a"])


def test_failures_wait_longer_and_a_wish_is_kept(clock: Clock) -> None:
    now = clock()
    pauses = [(plan_next(now, 60, failures=n) - now).total_seconds() for n in range(30)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (60, WAIT_MAX.total_seconds())
    assert plan_next(now, 60, wait_s=500) - now == timedelta(seconds=500)


def test_a_clock_set_back_leaves_nothing_waiting_for_years(clock: Clock) -> None:
    now, year = clock(), timedelta(days=365)
    assert [is_due(now + ahead, now) for ahead in (-year, timedelta(0), timedelta(hours=1), year)] == [
        True, True, False, True,
    ]  # fmt: skip
    free = [is_free(until, now, BOUNDS) for until in (None, now - year, now, now + timedelta(minutes=1), now + year)]
    assert free == [True, True, True, False, True]
    stale = [is_stale(Pass(now - age, ""), now, BOUNDS) for age in (timedelta(0), timedelta(hours=2), -year)]
    assert stale == [False, True, True]


class Wire:
    """Answers with what the test puts there."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.stamp = Reply(404)
        self.asked = 0

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Reply) else Reply(200, orjson.dumps(answer))

    def post_to(self, party: PartyId, address: str, body: bytes = b"") -> Reply:
        return self.post(party, "", address, body)

    def get(self, party: PartyId, base: str, path: str) -> Reply:
        return self.stamp

    def base_of(self, party: PartyId) -> str:
        return "http://p1.example/dsp"


def catalogue(*datasets: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {"@context": [CONTEXT], "@id": "c", "@type": "Catalog", "participantId": PARTY}
    return document | ({"dataset": list(datasets)} if datasets else {})


def dataset(key: str, title: str = "Title") -> dict[str, Any]:
    service = {"@id": "s", "@type": "DataService", "endpointURL": "http://p1.example/dsp"}
    distribution = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": service}
    offer = {"@id": "o", "@type": "Offer", "permission": [{"action": "use"}]}
    return {"@id": key, "@type": "Dataset", "dct:title": title, "hasPolicy": [offer], "distribution": [distribution]}


class Bench:
    """One crawler, one party, one wire."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock, self.wire = database, clock, Wire()
        thesaurus = thesaurus_of(load_packs())
        source = WireSource(self.wire, lambda _: "http://p1.example")
        self.stops = False
        self.crawler = Crawler(database, lambda _: source, thesaurus, clock, bounds=BOUNDS, pause=lambda _: self.stops)
        with database.begin() as connection:
            row = {"party_id": PARTY, "interval_s": 60, "followed_at": clock(), "followed_by": "li", "next_at": clock()}
            connection.execute(sa.insert(share_crawls).values(**row))

    def shown(self) -> dict[str, str]:
        query = sa.select(share_crawl_entries).where(share_crawl_entries.c.shown)
        with self.database.connect() as connection:
            return {row.dataset_id: row.title for row in connection.execute(query)}

    def row(self) -> Any:
        with self.database.connect() as connection:
            return connection.execute(sa.select(share_crawls)).one()


@pytest.fixture
def bench(database: Database, clock: Clock) -> Bench:
    return Bench(database, clock)


@pytest.mark.parametrize(
    "answer, error",
    [
        (Reply(200, b"{"), PeerAnswerInvalid),
        (Reply(200, b"[]"), PeerAnswerInvalid),
        (Reply(200, b"[" * 5000), PeerAnswerInvalid),
        (Reply(200, b'{"@type":"Catalog"}'), PeerAnswerInvalid),
        (Reply(200, orjson.dumps(catalogue(dataset("a\0b")))), PeerAnswerInvalid),
        (Reply(200, orjson.dumps(catalogue()), {"link": '<http://evil.example/x>; rel="next"'}), CatalogueBroken),
        (Reply(200, orjson.dumps(catalogue()), {"link": '<file:///etc/passwd>; rel="next"'}), CatalogueBroken),
        (Reply(200, orjson.dumps(catalogue()), {"content-location": "request?after=z"}), PeerAnswerInvalid),
        (Reply(403, b""), PeerRefused),
        (Reply(503, b"", {"retry-after": "900"}), PeerBusy),
        (Reply(429, b"", {"retry-after": "9" * 400}), PeerBusy),
    ],
)
def test_a_bad_answer_ends_the_attempt_and_leaves_what_stood(
    bench: Bench, answer: Reply, error: type[GongshuError]
) -> None:
    bench.wire.answers = [catalogue(dataset("kept"))]
    bench.crawler.crawl(PARTY)
    bench.wire.answers = [answer]
    with pytest.raises(error) as caught:
        bench.crawler.crawl(PARTY)
    row = bench.row()
    assert bench.shown() == {"kept": "Title"}
    assert (row.failures, row.run_id, row.lease_until) == (1, "", None)
    assert caught.value.code in row.last_error
    assert row.next_at > bench.clock()


def test_a_wished_pause_is_kept(bench: Bench) -> None:
    bench.wire.answers = [Reply(429, b"", {"retry-after": "7200"})]
    with pytest.raises(PeerBusy):
        bench.crawler.crawl(PARTY)
    assert bench.row().next_at - bench.clock() == timedelta(hours=2)


def test_an_endless_catalogue_is_given_up(bench: Bench) -> None:
    count = iter(range(1000))

    def endless(party: PartyId, address: str, body: bytes = b"") -> Reply:
        following = f"http://p1.example/dsp/catalog/request?page={next(count)}"
        return Reply(200, orjson.dumps(catalogue()), {"link": f'<{following}>; rel="next"'})

    bench.wire.post = lambda party, base, path, body: endless(party, path)  # type: ignore[method-assign]
    bench.wire.post_to = endless  # type: ignore[method-assign]
    with pytest.raises(CatalogueBroken, match="more than 3 pages"):
        bench.crawler.crawl(PARTY)
    assert bench.row().pass_began_at is None


def test_the_same_dataset_twice_is_one_entry_and_one_without_an_id_is_none(bench: Bench) -> None:
    bench.wire.answers = [catalogue(dataset("a", "old"), dataset("a", "new"))]
    assert bench.crawler.crawl(PARTY).added == 1
    assert bench.shown() == {"a": "new"}


def test_an_unchanged_entry_is_not_written_again(bench: Bench) -> None:
    bench.wire.answers = [catalogue(dataset("a"), dataset("b"))]
    bench.crawler.crawl(PARTY)
    bench.wire.answers = [catalogue(dataset("a"), dataset("b", "New title"))]
    outcome = bench.crawler.crawl(PARTY)
    assert (outcome.added, outcome.updated, outcome.removed) == (0, 1, 0)
    with bench.database.connect() as connection:
        ids = set(connection.execute(sa.select(share_search_postings.c.entry_id)).scalars())
        assert ids == set(connection.execute(sa.select(share_crawl_entries.c.entry_id)).scalars())


def test_a_silent_source_has_to_lack_it_twice_alike(bench: Bench) -> None:
    bench.wire.answers = [catalogue(dataset("a"), dataset("b"))]
    bench.crawler.crawl(PARTY)
    bench.wire.answers = [catalogue(dataset("a"))]
    assert bench.crawler.crawl(PARTY).removed == 0
    assert bench.shown().keys() == {"a", "b"}
    assert bench.crawler.crawl(PARTY).removed == 1
    assert bench.shown().keys() == {"a"}


def test_a_node_that_stops_leaves_the_pass_to_the_next_start(bench: Bench) -> None:
    following = Reply(
        200, orjson.dumps(catalogue(dataset("a"))), {"link": '<http://p1.example/dsp/catalog/request?p=2>; rel="next"'}
    )
    bench.wire.answers, bench.stops = [following, catalogue(dataset("b"))], True
    assert bench.crawler.crawl(PARTY).pages == 1
    assert (bench.shown(), bench.row().pass_pages, bench.row().run_id) == ({}, 1, "")
    bench.stops = False
    bench.crawler.crawl(PARTY)
    assert bench.shown().keys() == {"a", "b"}
    assert bench.wire.asked == 2


def test_one_run_at_a_time_and_only_over_who_is_followed(bench: Bench) -> None:
    inner: list[GongshuError] = []

    def ask_again(party: PartyId, base: str, path: str, body: bytes) -> Reply:
        with pytest.raises(CrawlBusy) as caught:
            bench.crawler.crawl(PARTY)
        inner.append(caught.value)
        return Reply(200, orjson.dumps(catalogue()))

    bench.wire.post = ask_again  # type: ignore[method-assign]
    bench.crawler.crawl(PARTY)
    assert len(inner) == 1
    with pytest.raises(NotFollowed):
        bench.crawler.crawl(PartyId("urn:gongshu:party:nobody"))


def test_the_stamp_changes_with_what_the_party_may_see(tmp_path: Any, clock: Clock) -> None:
    world = World(tmp_path, clock)
    version = [1]
    stamps = CatalogueStamps(world.mill.database, lambda: version[0], str, clock)
    seen = [stamps.of(SHOP)]

    def differs() -> bool:
        seen.append(stamps.of(SHOP))
        return seen[-1] != seen[-2]

    offer = world.mill.book.offer(
        world.mill.shelf.datasets["orders"].dataset_id,
        Terms(parties=frozenset({SHOP}), until=clock() + timedelta(hours=2)),
        subject(),
        known_parties=[SHOP],
    )
    assert differs()
    assert not differs()
    clock.forward(hours=3)
    assert differs(), "the offer's end has come"
    world.mill.book.withdraw(offer.offer_id, subject())
    assert differs()
    version[0] = 2
    assert differs(), "a title or a grade may have changed"
    clock.forward(days=1)
    assert differs(), "what the stamp does not know is found within a day"
    assert stamps.of(SPY) != stamps.of(SHOP)
    world.close()
