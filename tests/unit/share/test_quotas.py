"""What one partner may add: bounded, told clearly, and nobody else is touched."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from gongshu.secure.jws import encode_jws
from gongshu.share import intake, notices, quotas
from gongshu.share.dsp.states import State
from gongshu.share.errors import PartnerAddsTooMuch
from gongshu.share.notices import KIND, NoticeBook
from gongshu.share.quotas import Quota
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.evidence_world import Street
from tests.unit.share.test_evidence_exchange import given, reason_of, sent, signed
from tests.unit.share.world import MILL, ORDERS, SHOP, SPY, World, subject


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[World]:
    made = World(tmp_path, clock)
    yield made
    made.close()


def test_a_count_is_taken_anew_when_the_bound_seems_reached(world: World) -> None:
    stored = {SHOP: 0, SPY: 0}
    quota = Quota("things", 3, lambda party: sa.select(sa.literal(stored[party])))
    with world.mill.database.connect() as connection:
        for _ in range(3):
            quota.take(connection, SHOP)
        quota.take(connection, SHOP)  # in truth nothing was stored of the three
        stored[SHOP] = 3
        for _ in range(2):
            quota.take(connection, SHOP)
        with pytest.raises(PartnerAddsTooMuch, match="3 things"):
            quota.take(connection, SHOP)
        quota.take(connection, SPY)


def test_open_negotiations_of_one_partner_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "OPEN_MAX", 3)
    world.mill.intake.__init__(  # type: ignore[misc]  # the bound is read when a node opens
        *(world.mill.database, world.mill.engine, world.mill.intake._inbox, world.mill.book, world.mill.policy),
        *(world.mill.parties, world.mill.intake._identities),
        own_party_id=MILL,
    )
    offer = world.mill.book.offer(ORDERS, Terms(uses_max=9), subject())
    other = Terms(uses_max=2)  # other terms wait for a person
    asked = [world.shop.ask_contract(MILL, offer.offer_id, other) for _ in range(5)]
    world.settle()
    ended = [
        record for each in asked if (record := world.shop.engine.record(each.process_id)).state is State.TERMINATED
    ]
    assert len(ended) == 2
    assert "3 open negotiations" in ended[0].reason


def test_notices_of_one_sender_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "NOTICES_MAX", 2)
    mill = world.mill
    book = NoticeBook(mill.database, mill.keys, mill.parties, mill.audit, world.clock, MILL)

    def take(number: int) -> None:
        claims = {"kind": KIND, "from": SHOP, "to": MILL, "id": f"urn:n:{number}", "agreement": "a"}
        book.take(SHOP, orjson.dumps({"notice": encode_jws(claims, world.shop.keys)}))

    take(1)
    take(2)
    take(2)
    with pytest.raises(PartnerAddsTooMuch, match="2 notices"):
        take(3)
    assert len(book.received()) == 2


def test_entries_of_a_contract_are_bounded_by_their_number(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    far = signed(street.mill, {**entry["body"], "sequence": quotas.ENTRIES_MAX + 1})
    assert "at most" in reason_of(given(street, [far]))
    street.close()
