"""What one partner may add: bounded, told clearly, and nobody else is touched."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from gongshu.secure.jws import encode_jws
from gongshu.share import intake, notices, quotas
from gongshu.share.agreements import find_agreement
from gongshu.share.dsp.states import State
from gongshu.share.errors import MessageInvalid, PartnerAddsTooMuch, ReceiptInvalid
from gongshu.share.evidence import exchange
from gongshu.share.following import _position
from gongshu.share.inbox import Inbox
from gongshu.share.intake import Intake
from gongshu.share.keeping import watching
from gongshu.share.keeping.chain import PROOF_DOMAIN, RECEIPT_DOMAIN, canonical, hash_of, moment, sign
from gongshu.share.keeping.watching import Watch
from gongshu.share.model import Agreement
from gongshu.share.notices import KIND, NoticeBook
from gongshu.share.quotas import Quota
from gongshu.share.tables import share_processes
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
        *(world.mill.parties, world.mill.intake._identities, world.clock),
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


def test_transfers_that_a_partner_leaves_open_count_while_they_are_new_and_those_that_wait_always(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "OPEN_MAX", 2)
    mill = world.mill
    mill.intake = Intake(
        *(mill.database, mill.engine, Inbox(mill.database, mill.engine, world.clock), mill.book, mill.policy),
        *(mill.parties, mill.intake._identities, world.clock),
        own_party_id=MILL,
    )
    offer = mill.book.offer(ORDERS, Terms(uses_max=9), subject())
    asked = world.shop.ask_contract(MILL, offer.offer_id, Terms(uses_max=9))
    world.settle()
    agreement_id = world.shop.engine.record(asked.process_id).agreement_id

    def states(count: int) -> list[State]:
        made = [world.shop.ask_transfer(MILL, agreement_id) for _ in range(count)]
        world.settle()
        return sorted(world.shop.engine.record(each.process_id).state for each in made)

    assert states(3) == [State.STARTED, State.STARTED, State.TERMINATED]
    world.clock.forward(hours=23)
    assert states(1) == [State.TERMINATED]
    world.clock.forward(hours=2)
    assert states(1) == [State.STARTED], "what was left open a day ago stands in nobody's way"
    with mill.database.begin() as connection:
        started = sa.update(share_processes).where(share_processes.c.state == State.STARTED)
        long_ago = world.clock() - timedelta(days=2)
        connection.execute(started.values(state=State.SUSPENDED, updated_at=long_ago))
    assert states(2) == [State.STARTED, State.TERMINATED], "what is suspended ends after its time, and counts till then"


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
    for number in range(3, 6):
        claims = {"kind": KIND, "from": MILL, "to": MILL, "id": f"urn:n:{number}", "agreement": "a"}
        book.take(MILL, orjson.dumps({"notice": encode_jws(claims, mill.keys)}))
    assert len(book.received()) == 5, "what this node tells itself has no bound"
    world.clock.forward(days=31)
    take(6)
    take(7)
    with pytest.raises(PartnerAddsTooMuch, match="2 notices"):
        take(8)


def test_entries_of_a_contract_are_bounded_by_their_number(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    far = signed(street.mill, {**entry["body"], "sequence": quotas.ENTRIES_MAX + 1})
    assert "at most" in reason_of(given(street, [far]))
    street.close()


def test_entries_of_a_contract_stop_at_the_bound_and_those_before_it_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "ENTRIES_MAX", 1)
    street = Street(tmp_path)
    street.mill.deliver("key-1")
    street.mill.deliver("key-2")
    first, second = sent(street.mill)
    answer = given(street, [first, second])
    assert len(answer["accepted"]) == 1
    assert "at most 1 entries" in answer["refused"][0]["reason"]
    street.close()


@pytest.fixture
def watched(world: World) -> tuple[Watch, Agreement]:
    """The mill's side of a contract with the shop, which tells what it does with the data."""
    offer = world.mill.book.offer(ORDERS, Terms(uses_max=9), subject())
    asked = world.shop.ask_contract(MILL, offer.offer_id, Terms(uses_max=9))
    world.settle()
    mill, agreement_id = world.mill, world.shop.engine.record(asked.process_id).agreement_id
    watch = Watch(
        *(mill.database, mill.parties, mill.audit, world.clock), silence_max=None, deletion_grace=timedelta(days=1)
    )
    with mill.database.connect() as connection:
        return watch, find_agreement(connection, agreement_id)


def receipt(world: World, agreement: Agreement, sequence: int, previous: str) -> tuple[dict[str, Any], str]:
    """A receipt as the shop signs it, and its hash."""
    words = dict.fromkeys(("role", "purpose"), "") | {"dataset": "copy", "operation": "read", "outcome": "ok"}
    body = {"contract": agreement.agreement_id, **words, "rows": 1, "at": moment(world.clock())}
    body |= {"sequence": sequence, "previous": previous}
    text = canonical(body)
    return {"body": body, "signature": sign(RECEIPT_DOMAIN, text, world.shop.keys.sign)}, hash_of(text)


def take(watch: Watch, *receipts: dict[str, Any]) -> list[str]:
    return list(watch.take_receipts(SHOP, orjson.dumps({"receipts": list(receipts)}))["accepted"])


def test_receipts_of_a_contract_stop_at_the_bound(
    world: World, watched: tuple[Watch, Agreement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ENTRIES_MAX", 2)
    watch, agreement = watched
    first, digest = receipt(world, agreement, 1, agreement.policy_hash)
    second, last = receipt(world, agreement, 2, digest)
    third, newest = receipt(world, agreement, 3, last)
    assert take(watch, first, second) == [digest, last]
    with pytest.raises(MessageInvalid, match="at most 2 receipts"):
        take(watch, third)
    assert take(watch, first, second) == [digest, last], "what was kept is still there"
    world.clock.forward(days=1)
    assert take(watch, third) == [newest], "a contract that goes on may go on telling"


def test_faults_of_a_contract_stop_at_the_bound_and_go_on_being_refused(
    world: World, watched: tuple[Watch, Agreement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FAULTS_MAX", 2)
    watch, agreement = watched
    for sequence in range(1, 6):
        forged, _ = receipt(world, agreement, sequence, agreement.policy_hash)
        with pytest.raises(ReceiptInvalid, match="not signed"):
            take(watch, forged | {"signature": "00"})
    assert [fault.sequence for fault in watch.faults()] == [2, 1]
    first, digest = receipt(world, agreement, 1, agreement.policy_hash)
    assert take(watch, first) == [digest]


def test_deletion_proofs_of_a_contract_stop_at_the_bound(
    world: World, watched: tuple[Watch, Agreement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PROOFS_MAX", 2)
    watch, agreement = watched

    def prove(key: str) -> str:
        at = moment(world.clock())
        body: dict[str, Any] = {"contract": agreement.agreement_id, "key": key, "reason": "ended", "method": "shredded"}
        body |= {"shredded_at": at, "written_at": at, "files": []}
        signature = sign(PROOF_DOMAIN, canonical(body), world.shop.keys.sign)
        return str(watch.take_proof(SHOP, orjson.dumps({"body": body, "signature": signature}))["accepted"])

    first = prove("key-1")
    prove("key-2")
    with pytest.raises(ReceiptInvalid, match="at most 2 of them"):
        prove("key-3")
    assert prove("key-1") == first, "one that is kept is acknowledged again"


@pytest.mark.parametrize(
    "mark", [b"9223372036854775808", b"18446744073709551616", b"9" * 5000, b"-1", b"", b"1.5", b"x", "１".encode() * 7]
)
def test_a_mark_beyond_64_bits_or_none_at_all_is_refused(mark: bytes) -> None:
    with pytest.raises(ValueError, match=r"mark|int"):
        _position(mark)


@pytest.mark.parametrize("position", [0, 1, 2**63 - 1])
def test_every_position_that_the_database_holds_is_taken(position: int) -> None:
    assert _position(str(position).encode()) == position
