"""Work that a process queued and does at once: only what was kept, only while there is room, and never twice."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.share import runner as runner_module
from gongshu.share.automation import Action
from gongshu.share.desk import SENDING_LOW, SENDING_MAX, Desk, Entry, Reaction
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.errors import PeerUnreachable
from gongshu.share.model import Record
from gongshu.share.ports import Reply
from gongshu.share.reactor import Plan
from gongshu.share.runner import Runner
from gongshu.share.signals import Signals
from gongshu.share.tables import share_outbox, share_reactions
from tests.conftest import Clock
from tests.unit.share.test_flow import TERMS, offered, only
from tests.unit.share.world import MILL, Site, World


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Any:
    made = World(tmp_path, clock)
    yield made
    made.close()


def due(site: Site) -> int:
    """How many messages and reactions somebody who looks into the database would take."""
    with site.database.connect() as connection:
        counts = [
            connection.execute(sa.select(sa.func.count()).where(table.c.lease_until.is_(None))).scalar_one()
            for table in (share_outbox, share_reactions)
        ]
    return sum(counts)


def work(site: Site) -> int:
    """Do what lies at the desk, as the runner's thread does."""
    desk, count = site.signals.desk, 0
    count += site.reactor.perform(desk.reactions(50))
    for record, entry in desk.messages():
        site.outbox.deliver(record, entry)
        desk.end_sending()
        count += 1
    return count


def test_a_contract_is_made_from_the_desks_alone(world: World) -> None:
    offer_id = offered(world)
    world.mill.signals.desk.open()
    world.shop.signals.desk.open()
    record = world.shop.ask_contract(MILL, offer_id, TERMS, more=world.shop.contracts.declaration)
    while work(world.shop) + work(world.mill):
        assert due(world.mill) == due(world.shop) == 0
    assert world.shop.engine.record(record.process_id).state is State.FINALIZED
    assert only(world.mill, Kind.NEGOTIATION).state is State.FINALIZED
    assert world.shop.signals.desk.free_places() == world.mill.signals.desk.free_places() == SENDING_MAX


def test_what_a_lost_process_had_at_its_desk_is_taken_up_when_the_lease_ends(world: World) -> None:
    offer_id = offered(world)
    world.shop.signals.desk.open()
    record = world.shop.ask_contract(MILL, offer_id, TERMS)
    world.shop.signals.desk.messages()
    world.settle(rounds=3, seconds=1)
    assert world.shop.engine.record(record.process_id).state is State.NEW
    world.clock.forward(seconds=60)
    world.settle()
    assert world.shop.engine.record(record.process_id).state is State.FINALIZED


def test_a_message_that_waited_longer_than_its_lease_is_left_to_whoever_takes_it_up(world: World) -> None:
    offer_id = offered(world)
    world.shop.signals.desk.open()
    world.shop.ask_contract(MILL, offer_id, TERMS)
    ((record, late),) = world.shop.signals.desk.messages()
    world.clock.forward(seconds=60)
    ((_, held),) = world.shop.outbox.claim_due()
    world.shop.outbox.deliver(record, late)
    assert world.net.sent == []
    world.net.is_cut = True
    world.shop.outbox.deliver(record, held)
    assert len(world.net.sent) == 1


def test_a_sender_that_fails_late_does_not_free_what_another_holds(world: World) -> None:
    offer_id = offered(world)
    world.shop.signals.desk.open()
    world.shop.ask_contract(MILL, offer_id, TERMS)
    ((record, slow),) = world.shop.signals.desk.messages()

    def lost_after_a_minute(target: PartyId, deliver: object) -> Reply:
        world.clock.forward(seconds=60)
        assert len(world.shop.outbox.claim_due()) == 1
        raise PeerUnreachable(party=target, address="wire", reason="lost")

    world.net.carry = lost_after_a_minute  # type: ignore[method-assign]  # as slow as a partner can be
    world.shop.outbox.deliver(record, slow)
    world.clock.forward(seconds=1)
    assert (due(world.shop), world.shop.outbox.claim_due()) == (0, [])


def test_a_full_desk_leaves_the_rest_in_the_database_and_looks_there_when_half_of_it_is_done(world: World) -> None:
    offer_id = offered(world)
    desk = world.shop.signals.desk
    desk.open()
    for _ in range(SENDING_MAX + 2):
        world.shop.ask_contract(MILL, offer_id, TERMS)
    assert (len(desk.messages()), due(world.shop), desk.free_places()) == (SENDING_MAX, 2, 0)
    asked = desk.asked
    for _ in range(SENDING_MAX - SENDING_LOW - 1):
        desk.end_sending()
    assert desk.asked == asked
    desk.end_sending()
    assert desk.asked > asked


def test_what_found_no_room_is_looked_for_if_the_desk_was_emptied_before_it_was_kept() -> None:
    desk = Desk()
    desk.open()
    desk.add_sending(SENDING_MAX)
    asked = desk.asked
    with desk.taking():
        assert not desk.has_room_to_send()
        for _ in range(SENDING_MAX):
            desk.end_sending()
        assert desk.asked == asked
    assert desk.asked > asked


def test_what_found_no_room_is_looked_for_if_the_desk_was_emptied_by_what_was_lost() -> None:
    desk = Desk()
    desk.open()
    asked = desk.asked

    def find_no_room() -> None:
        with desk.taking():
            assert not desk.has_room_to_send()

    def lose_all_places() -> None:
        with desk.taking():
            assert [desk.has_room_to_send() for _ in range(SENDING_MAX)] == [True] * SENDING_MAX
            other = threading.Thread(target=find_no_room)
            other.start()
            other.join()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lose_all_places()
    assert desk.asked > asked


def test_what_was_rolled_back_is_not_done_and_gives_its_place_back() -> None:
    desk = Desk()
    desk.open()

    def lost() -> None:
        with desk.taking():
            assert desk.has_room_to_send()
            desk.take_message(None, None)  # type: ignore[arg-type]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lost()
    assert desk.messages() == []
    assert desk.free_places() == SENDING_MAX


def test_nothing_is_taken_outside_a_transaction_or_when_nobody_works_there() -> None:
    desk = Desk()
    with desk.taking():
        assert not desk.has_room_to_send()
        assert not desk.has_room_to_react()
    desk.open()
    assert not desk.has_room_to_send()
    assert not desk.has_room_to_react()


def test_a_reaction_that_another_process_performed_meanwhile_says_nothing_twice(world: World) -> None:
    offer_id = offered(world)
    world.mill.signals.desk.open()
    world.shop.ask_contract(MILL, offer_id, TERMS)
    world.shop.runner.step()
    (reaction,) = world.mill.signals.desk.reactions(9)
    world.mill.reactor.perform([reaction, reaction])
    world.mill.reactor.perform([reaction])
    assert len(world.mill.signals.desk.messages()) == 1


def test_a_runner_that_stops_has_done_what_lay_at_its_desk(world: World) -> None:
    offer_id = offered(world)
    runner: Runner = world.shop.runner
    runner.start()
    try:
        world.shop.ask_contract(MILL, offer_id, TERMS)
    finally:
        runner.stop()
    assert len(world.net.sent) == 1
    assert not world.shop.signals.desk.has_room_to_send()


def test_a_runner_that_stops_sends_what_a_reaction_says_that_is_still_being_performed() -> None:
    database: Any = SimpleNamespace(is_sqlite=False)
    record: Any = SimpleNamespace(process_id="urn:uuid:1")
    signals, begun, sent = Signals(), threading.Event(), list[Any]()
    desk = signals.desk

    def perform(reactions: Any) -> int:
        with desk.taking():
            assert desk.has_room_to_send()
            begun.set()
            until_s = time.monotonic() + 30
            while desk.has_room_to_react() and time.monotonic() < until_s:
                time.sleep(0.01)
            time.sleep(0.1)  # the runner has cleared its desk for the last time by now, or waits for this
            desk.take_message(record, Entry("urn:uuid:2", record.process_id, Move.AGREE, "{}", 0, Clock()()))
        return 1

    reactor: Any = SimpleNamespace(perform=perform, claim_due=lambda limit: [])
    outbox: Any = SimpleNamespace(deliver=lambda record, entry: sent.append(entry), claim_due=lambda limit: [])
    runner = Runner(database, reactor, outbox, SimpleNamespace(), Clock(), signals)  # type: ignore[arg-type]
    with desk.taking():
        desk.take_reaction(Reaction(1, record.process_id, "agree", "system", ""))
    runner.start()
    assert begun.wait(30)
    runner.stop()
    assert len(sent) == 1


def test_what_is_at_hand_is_done_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "AGAIN_S", 0.01)
    database: Any = SimpleNamespace(is_sqlite=True)
    record: Any = SimpleNamespace(process_id="urn:uuid:1")
    signals, performed, sent = Signals(), list[Any](), list[int]()
    away = sa.exc.OperationalError("", None, Exception("away"))

    def perform(reactions: Any) -> None:
        performed.append(reactions)
        if len(performed) < 3:
            raise away

    def deliver(record: Any, entry: Any) -> None:
        sent.append(entry.attempts)
        if len(sent) < 3:
            raise away

    reactor: Any = SimpleNamespace(perform=perform, claim_due=lambda limit: [])
    outbox: Any = SimpleNamespace(deliver=deliver, claim_due=lambda limit: [])
    runner = Runner(database, reactor, outbox, SimpleNamespace(), Clock(), signals)  # type: ignore[arg-type]
    signals.desk.open()
    with signals.desk.taking():
        signals.desk.take_reaction(Reaction(1, record.process_id, "agree", "system", ""))
        assert signals.desk.has_room_to_send()
        signals.desk.take_message(record, Entry("urn:uuid:2", record.process_id, Move.AGREE, "{}", 0, Clock()()))
    runner.start()
    deadline_s = time.monotonic() + 30
    while (len(performed) < 3 or len(sent) < 3) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    runner.stop()
    assert len(performed) == 3
    assert sent == [0, 1, 1], "what may have arrived goes again only after asking"
    assert signals.desk.free_places() == SENDING_MAX


def test_a_reaction_that_cannot_be_planned_keeps_no_other_from_its_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = replace(TERMS, uses_max=None)  # else a person is asked about the second
    offer_id = offered(world, terms)
    stuck = world.shop.ask_contract(MILL, offer_id, terms)
    others = [world.shop.ask_contract(MILL, offer_id, terms) for _ in range(2)]
    world.shop.runner.step()
    plan = world.mill.reactor._plan

    def plan_others(record: Record, action: Action, reason: str) -> Plan:
        if record.consumer_pid == stuck.process_id:
            raise ZeroDivisionError
        return plan(record, action, reason)

    monkeypatch.setattr(world.mill.reactor, "_plan", plan_others)
    with pytest.raises(ZeroDivisionError):
        world.mill.runner.step()
    world.settle(rounds=9, seconds=1)
    assert {world.shop.engine.record(each.process_id).state for each in others} == {State.FINALIZED}
    assert world.shop.engine.record(stuck.process_id).state is State.REQUESTED
