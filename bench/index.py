"""The index of others' catalogues, and our own catalogue as others read it, at the size of an industry."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
import orjson
import pyarrow as pa
import sqlalchemy as sa

from bench.folder import folder as temporary
from bench.result import Result
from gongshu.config import Home, NodeConfig, write_config
from gongshu.govern.tables import columns, datasets
from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.secure.parties import Party
from gongshu.share.crawl.tables import share_crawls
from gongshu.share.filters import PAGE
from gongshu.share.tables import share_offers
from gongshu.share.terms import Terms

PARTIES, EACH = 1000, 100
CHANGED = 100
"""One dataset in a thousand, each at another party: the worst that 0.1 % can be."""
OWN = 100_000
ROUNDS = 9
QUESTIONS = ("主轴温度", "spindle temperature", "bearing vibration line 42", "水泵压力", "energy of the furnace")
PARTY, SHOP = PartyId("urn:gongshu:party:bench"), PartyId("urn:gongshu:party:shop")
ACTOR = Subject(SubjectId("user:bench"), PARTY, frozenset({Role.PRODUCT_OWNER}))


def bench_index(seconds: int) -> list[Result]:  # noqa: ARG001  catalogues are not measured in readings
    """1,000 parties with 100 datasets each, played by one process on loopback; tokens, checks and commits are real."""
    with temporary() as folder, _peers() as port, _node(folder) as node:
        key = node.keys.public_key_pem()
        for number in range(PARTIES):
            address = f"http://127.0.0.1:{port}/p{number}"
            node.parties.add(Party(PartyId(f"urn:gongshu:party:p{number}"), "peer", key, address))
        now = node.clock()
        row = {"interval_s": 60, "followed_at": now, "followed_by": "bench", "next_at": now}
        with node.database.begin() as connection:
            rows = [{"party_id": f"urn:gongshu:party:p{number}", **row} for number in range(PARTIES)]
            connection.execute(sa.insert(share_crawls), rows)
        first_s = _timed(node.crawl.step)
        _require_whole(node)
        bare_s = _bare(port)
        with httpx.Client(trust_env=False) as client:
            for number in range(0, PARTIES, PARTIES // CHANGED):
                client.get(f"http://127.0.0.1:{port}/p{number}/change").raise_for_status()
        with node.database.begin() as connection:
            connection.execute(sa.update(share_crawls).values(next_at=node.clock()))
        again_s = _timed(node.crawl.step)
        _require_whole(node)
        hits = len(node.crawl.search("version 1", ACTOR, limit=200))
        assert hits >= CHANGED, "the changes were not found"
        search_ms = [_search_ms(node, words) for words in QUESTIONS * ROUNDS]
    whole = f"{PARTIES * EACH:,} datasets of {PARTIES:,} parties"
    return [
        Result(f"crawl of {whole}, 0.1 % changed", again_s, "s", f"bare requests: {bare_s:.1f} s", again_s / bare_s,
               "≤ 60 s", again_s <= 60.0),
        Result(f"first crawl of {whole}, indexed", first_s, "s", f"{PARTIES * EACH / first_s:,.0f} datasets a second"),
        Result(f"search by meaning in {whole}, p50", median(search_ms), "ms", f"slowest {max(search_ms):.0f} ms"),
    ]  # fmt: skip


def bench_catalogue(seconds: int) -> list[Result]:  # noqa: ARG001  catalogues are not measured in readings
    """Our catalogue of 100,000 offered datasets as a partner reads it, page and stamp, without the wire."""
    with temporary() as folder, _node(folder) as node:
        _offer_many(node)
        body = orjson.dumps({"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
                             "@type": "CatalogRequestMessage"})  # fmt: skip

        def page(after: str) -> None:
            document, _ = node.share.intake.catalogue(SHOP, body, after=after, address="http://x/dsp")
            assert len(document["dataset"]) == PAGE

        first_ms = [_timed(lambda: page("")) * 1000 for _ in range(ROUNDS)]
        late_ms = [_timed(lambda: page(f"made_{OWN - 100:06}")) * 1000 for _ in range(ROUNDS)]
        stamp_ms = [_timed(lambda: node.crawl.stamps.of(SHOP)) * 1000 for _ in range(ROUNDS)]
    return [
        Result(f"first page of {OWN:,} datasets, p50", median(first_ms), "ms", f"slowest {max(first_ms):.0f} ms",
               aim="≤ 200 ms", holds=median(first_ms) <= 200.0),
        Result(f"last page of {OWN:,} datasets, p50", median(late_ms), "ms", f"slowest {max(late_ms):.0f} ms"),
        Result(f"stamp of {OWN:,} datasets, p50", median(stamp_ms), "ms", f"slowest {max(stamp_ms):.0f} ms"),
    ]  # fmt: skip


@contextmanager
def _node(folder: Path) -> Iterator[Node]:
    home = Home(folder / "home")
    home.path.mkdir()
    write_config(home, NodeConfig(party_id=PARTY, title="bench (synthetic)", port=0))
    node = open_node(home)
    try:
        yield node
    finally:
        node.close()


@contextmanager
def _peers() -> Iterator[int]:
    command = [sys.executable, "-m", "bench.peers", str(PARTIES), str(EACH)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _bare(port: int) -> float:
    """Return the seconds of as many requests as the second crawl makes, one after the other, without any work."""

    def work() -> None:
        with httpx.Client(trust_env=False) as client:
            for number in range(PARTIES):
                client.get(f"http://127.0.0.1:{port}/p{number}/share/catalogue/stamp")
            for number in range(CHANGED):
                for after in range(0, EACH, PAGE):
                    client.post(f"http://127.0.0.1:{port}/p{number}/catalog/request?after={after}", content=b"{}")

    return _timed(work)


def _require_whole(node: Node) -> None:
    with node.database.connect() as connection:
        count, least = connection.execute(
            sa.select(sa.func.count(), sa.func.min(share_crawls.c.entries)).where(share_crawls.c.party_id != PARTY)
        ).one()
        errors = connection.execute(sa.select(share_crawls.c.last_error).where(share_crawls.c.failures > 0)).all()
    assert (count, least) == (PARTIES, EACH), f"{count} parties, at least {least} entries; {errors[:3]}"


def _offer_many(node: Node) -> None:
    """Register one dataset and offer it as people do, then copy both rows: 99,999 times the same would take an hour."""
    made = node.store.write("made_000000", pa.table({"a": [1], "b": ["x"]}), title="Made", origin="import:bench")
    label = node.catalogue.dataset(made).label
    node.catalogue.confirm(made, grade=Grade.ONE, importance=Importance.GENERAL, category=label.category,
                           actor=SubjectId("user:bench"), reason="bench")  # fmt: skip
    node.parties.add(Party(SHOP, "shop", node.keys.public_key_pem(), "http://127.0.0.1:9"))
    node.share.offer(DatasetId("made_000000"), Terms(uses_max=5, until=datetime(2099, 1, 1, tzinfo=UTC)), ACTOR)
    with node.database.begin() as connection:
        for table, keys in ((datasets, ("dataset_id", "lake_table")), (columns, ("dataset_id",)),
                            (share_offers, ("offer_id", "dataset_id", "published_as"))):  # fmt: skip
            originals = [dict(row._mapping) for row in connection.execute(sa.select(table))]
            for start in range(1, OWN, 5000):
                copies = [
                    {**row, **{key: f"made_{number:06}" for key in keys if key in row}}
                    for number in range(start, min(OWN, start + 5000))
                    for row in originals
                ]
                connection.execute(sa.insert(table), copies)


def _search_ms(node: Node, words: str) -> float:
    return _timed(lambda: node.crawl.search(words, ACTOR)) * 1000


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
