"""A stream of readings between two real nodes: it grows, stops and goes on; nothing is lost or repeated."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import AssetId, DatasetId, SourceId, SubjectId
from gongshu.model.reading import READING_SCHEMA, ValueType
from gongshu.model.series import SeriesSighting
from gongshu.secure.errors import Denied
from gongshu.secure.gate import DatasetQuery
from gongshu.secure.keys import KeyStore
from gongshu.share.clearances.model import Kind
from gongshu.share.dsp.messages import FORMAT_STREAM
from gongshu.share.dsp.states import State
from gongshu.share.errors import PeerUnreachable
from gongshu.share.model import Record
from gongshu.share.sending import Retries
from gongshu.share.service import ShareSettings
from gongshu.share.tables import share_follows
from gongshu.share.terms import Terms
from tests.integration.share.site import Site, two_sites
from tests.integration.share.test_end_to_end import contract

Sites = tuple[Site, Site]

QUICK = ShareSettings(
    stream_step_s=0.1, stream_settle_s=0.1, retries=Retries(first_ms=100, longest_s=1.0, attempts_max=20)
)
_names = count(1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with two_sites(tmp_path_factory.mktemp("streams"), settings=QUICK) as sites:
        yield sites


@pytest.fixture(autouse=True)
def _kept_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what has come after a moment, not after five seconds."""
    monkeypatch.setattr("gongshu.share.following.KEEP_S", 0.2)


class Machine:
    """An asset of the provider whose one series grows when the test says so."""

    def __init__(self, site: Site) -> None:
        name = f"machine-{next(_names)}"
        sighting = SeriesSighting(SourceId("sim"), name, AssetId(f"plant/{name}"), "load", ValueType.FLOAT64)
        given = site.catalogue.register_series([sighting])
        self.site, self.series, self.last = site, int(given[SourceId("sim"), name]), 0
        found = [each for each in site.catalogue.datasets(limit=1000) if each.asset == f"plant/{name}"]
        self.dataset = found[0].dataset_id
        self.grade(Grade.ONE)

    def grade(self, grade: Grade) -> None:
        label = self.site.catalogue.dataset(self.dataset).label
        self.site.catalogue.confirm(
            self.dataset,
            grade=grade,
            importance=Importance.GENERAL,
            category=label.category,
            actor=SubjectId("user:steward"),
            reason="reviewed for the test",
        )

    def grow(self, rows: int) -> None:
        now = self.site.clock()
        values = [float(self.last + i) for i in range(1, rows + 1)]
        self.last += rows
        columns = {
            "series_id": [self.series] * rows,
            "time": [now + timedelta(microseconds=i) for i in range(rows)],
            "time_is_source": [False] * rows,
            "arrival_time": [now + timedelta(microseconds=i) for i in range(rows)],
            "value_double": values,
            "value_int": [None] * rows,
            "value_text": [None] * rows,
            "status": [0] * rows,
        }
        self.site.lake.append_readings(pa.table(columns, schema=READING_SCHEMA))


def follow(sites: Sites, machine: Machine, terms: Terms, name: str, *, purpose: str = "") -> Record:
    shop = sites[1]
    agreement = contract(sites, terms, DatasetId(machine.dataset))
    asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_STREAM)
    started = shop.share.wait_for(asked.process_id, {State.STARTED}, 20)
    shop.share.flows.followers.follow(started.process_id, name, shop.li, purpose=purpose)
    return started


def values_of(site: Site, name: str) -> list[float]:
    query = DatasetQuery(DatasetId(name), columns=("value",))
    try:
        return sorted(site.gate.read(site.li, query, purpose="test").read_all()["value"].to_pylist())
    except Denied:  # nothing was kept yet
        return []


def until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def sent_rows(site: Site, record: Record) -> int:
    return sum(line.rows for line in site.share.deliveries(agreement_id=record.agreement_id))


def test_rows_come_as_they_grow_once_each_and_count_one_use(pair: Sites) -> None:
    mill, shop = pair
    machine = Machine(mill)
    machine.grow(500)
    record = follow(pair, machine, Terms(uses_max=9), "grown")
    until(lambda: sent_rows(mill, record) == 500)
    machine.grow(300)
    until(lambda: sent_rows(mill, record) == 800)
    shop.share.terminate(record.process_id, shop.li, "done")
    until(lambda: values_of(shop, "grown") == [float(i) for i in range(1, 801)])
    assert mill.share.agreement(record.agreement_id).uses == 1


def test_a_suspended_stream_stops_though_nothing_comes_and_goes_on_where_it_was(pair: Sites) -> None:
    mill, shop = pair
    machine = Machine(mill)
    machine.grow(100)
    record = follow(pair, machine, Terms(unrestricted=True), "held")
    until(lambda: sent_rows(mill, record) == 100)
    ours = next(t for t in mill.share.transfers() if t.peer_pid == record.process_id)
    mill.share.suspend(ours.process_id, mill.li, "maintenance")
    until(lambda: all(line.outcome != "open" for line in mill.share.deliveries(agreement_id=record.agreement_id)))
    machine.grow(50)
    shop.share.wait_for(record.process_id, {State.SUSPENDED}, 20)
    until(lambda: values_of(shop, "held") == [float(i) for i in range(1, 101)])
    assert sent_rows(mill, record) == 100
    mill.share.resume(ours.process_id, mill.li)
    until(lambda: sent_rows(mill, record) == 150)
    shop.share.terminate(record.process_id, shop.li, "done")
    until(lambda: values_of(shop, "held") == [float(i) for i in range(1, 151)])
    assert mill.share.agreement(record.agreement_id).uses == 1


def _retire(mill: Site, shop: Site, machine: Machine, record: Record) -> None:
    mill.share.retire(record.agreement_id, mill.li, "breach")


def _regrade(mill: Site, shop: Site, machine: Machine, record: Record) -> None:
    machine.grade(Grade.THREE)


def _expire(mill: Site, shop: Site, machine: Machine, record: Record) -> None:
    mill.clock.ahead = shop.clock.ahead = timedelta(hours=2)


@pytest.mark.parametrize("end", [_retire, _regrade, _expire])
def test_a_running_stream_ends_when_what_permits_it_does(
    pair: Sites, end: Callable[[Site, Site, Machine, Record], None]
) -> None:
    mill, shop = pair
    machine = Machine(mill)
    machine.grow(10)
    terms = Terms(until=mill.clock() + timedelta(hours=1))
    record = follow(pair, machine, terms, f"ended{end.__name__}")
    until(lambda: sent_rows(mill, record) == 10)
    try:
        end(mill, shop, machine, record)
        until(lambda: all(line.outcome != "open" for line in mill.share.deliveries(agreement_id=record.agreement_id)))
        machine.grow(10)
        # A grade can be mended, and the stream resumed; an agreement that ended cannot.
        shop.share.wait_for(record.process_id, {State.SUSPENDED if end is _regrade else State.TERMINATED}, 30)
        assert sent_rows(mill, record) == 10
    finally:
        mill.clock.ahead = shop.clock.ahead = timedelta()
        mill.share.steady.reset(mill.li)
        shop.share.steady.reset(shop.li)


def test_a_clearance_that_is_revoked_ends_the_stream_that_runs_by_it(pair: Sites) -> None:
    mill, shop = pair
    machine, book = Machine(mill), mill.share.clearances
    mill.share.desk.register_place(shop.party, "CN-33", "test", mill.li)
    machine.grade(Grade.THREE)
    record = {"knowers": [{"name": "tester (synthetic)", "post": "process"}], "mark": {"value": 3}}
    until_then, asked = mill.clock() + timedelta(days=30), (Kind.STRICT, DatasetId(machine.dataset), shop.party)
    made = book.request(*asked, record, mill.li, reason="fault", valid_until=until_then)
    for name, role in (("user:steward", Role.STEWARD), ("user:guard", Role.SECURITY_ADMIN)):
        book.approve(made.clearance_id, Subject(SubjectId(name), mill.party, frozenset({role})))
    machine.grow(100)
    stream = follow(pair, machine, Terms(parties=frozenset({shop.party})), "cleared")
    until(lambda: sent_rows(mill, stream) == 100)
    book.revoke(made.clearance_id, mill.li, "over")
    until(lambda: all(line.outcome != "open" for line in mill.share.deliveries(agreement_id=stream.agreement_id)))
    machine.grow(50)
    shop.share.wait_for(stream.process_id, {State.SUSPENDED}, 30)
    assert sent_rows(mill, stream) == 100


def test_a_running_stream_keeps_nothing_of_a_party_whose_key_is_another_one(pair: Sites, tmp_path: Path) -> None:
    mill, shop = pair
    machine = Machine(mill)
    machine.grow(100)
    record = follow(pair, machine, Terms(unrestricted=True), "other_key")
    until(lambda: len(values_of(shop, "other_key")) == 100)
    known = shop.parties.get(mill.party)
    shop.parties.replace(replace(known, public_key_pem=KeyStore(tmp_path / "other").public_key_pem()))
    try:
        machine.grow(50)
        mine = sa.select(share_follows.c.last_error).where(share_follows.c.process_id == record.process_id)

        def is_refused() -> bool:
            with shop.database.connect() as connection:
                return "proves itself" in connection.execute(mine).scalar_one()

        until(is_refused)
        assert len(values_of(shop, "other_key")) == 100
    finally:
        shop.parties.replace(known)
    until(lambda: values_of(shop, "other_key") == [float(i) for i in range(1, 151)])
    shop.share.terminate(record.process_id, shop.li, "done")


def test_a_follower_that_lost_its_lease_while_it_wrote_appends_nothing(
    pair: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill, shop = pair
    machine = Machine(mill)
    machine.grow(200)
    record = follow(pair, machine, Terms(unrestricted=True), "kept_by_two")
    until(lambda: values_of(shop, "kept_by_two") == [float(i) for i in range(1, 201)])
    write, go_on, waits = shop.lake.write_sealed, threading.Event(), threading.Event()

    def paused(*given: Any) -> Any:
        monkeypatch.setattr(shop.lake, "write_sealed", write)
        report = write(*given)
        waits.set()
        assert go_on.wait(60)
        return report

    monkeypatch.setattr(shop.lake, "write_sealed", paused)
    machine.grow(100)
    try:
        assert waits.wait(60)
        with shop.database.begin() as connection:  # its process stands still for longer than its lease
            mine = share_follows.c.process_id == record.process_id
            connection.execute(sa.update(share_follows).where(mine).values(lease_until=shop.clock()))
        until(lambda: values_of(shop, "kept_by_two") == [float(i) for i in range(1, 301)])
    finally:
        go_on.set()
    machine.grow(50)
    until(lambda: values_of(shop, "kept_by_two") == [float(i) for i in range(1, 351)])
    shop.share.terminate(record.process_id, shop.li, "done")
    until(lambda: all(line.outcome != "open" for line in shop.share.deliveries(agreement_id=record.agreement_id)))
    assert values_of(shop, "kept_by_two") == [float(i) for i in range(1, 351)]


def test_rows_that_were_kept_just_before_a_kill_are_not_kept_again(pair: Sites) -> None:
    mill, shop = pair
    machine = Machine(mill)
    machine.grow(200)
    followers, noted = shop.share.flows.followers, []
    note = followers.note

    def killed_once(*args: Any, **kwargs: Any) -> None:
        noted.append(kwargs["position"])
        if len(noted) <= 2:  # as it ends, an opening tries once more
            raise PeerUnreachable(party=mill.party, address="test", reason="killed between the rows and their note")
        note(*args, **kwargs)

    followers.note = killed_once  # type: ignore[method-assign]
    try:
        record = follow(pair, machine, Terms(unrestricted=True), "kept_just_before")
        until(lambda: len(noted) > 2)
        machine.grow(100)
        until(lambda: values_of(shop, "kept_just_before") == [float(i) for i in range(1, 301)])
    finally:
        followers.note = note  # type: ignore[method-assign]
    shop.share.terminate(record.process_id, shop.li, "done")
