"""Crawl and search on PostgreSQL: the same pages, the same swap, the same order of hits as on SQLite."""

import pytest

from gongshu.database import Database
from tests.conftest import Clock
from tests.unit.share.test_crawl import PARTY, Bench, catalogue, dataset
from tests.unit.share.test_search import ask, fill

pytestmark = pytest.mark.postgres


def test_pages_are_staged_swapped_and_forgotten(postgres: Database, clock: Clock) -> None:
    bench = Bench(postgres, clock)
    bench.wire.answers = [catalogue(dataset("a"), dataset("b"))]
    assert bench.crawler.crawl(PARTY).added == 2
    bench.wire.answers = [catalogue(dataset("a", "主轴温度"))]
    assert bench.crawler.crawl(PARTY).updated == 1
    assert bench.crawler.crawl(PARTY).removed == 1
    assert bench.shown() == {"a": "主轴温度"}
    assert [hit.dataset_id for hit in ask(postgres, "spindle temperature")] == ["a"]
    assert bench.row().entries == 1


def test_hits_come_in_the_order_that_sqlite_gives(postgres: Database, database: Database, clock: Clock) -> None:
    for each in (postgres, database):
        fill(each, clock)
    for words in ("主轴温度", "energy", "machine tool", "温度"):
        here, there = (
            [(hit.dataset_id, hit.score) for hit in ask(each, words, limit=10)] for each in (postgres, database)
        )
        assert here == there
