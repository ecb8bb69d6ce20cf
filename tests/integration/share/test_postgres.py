"""The same contracts and transfers with the provider's metadata on PostgreSQL, where rows and not files are locked."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gongshu.database import Database
from gongshu.share.agreements import count_use, find_agreement, list_agreements
from gongshu.share.automation import Action, rule
from gongshu.share.dsp.states import State
from gongshu.share.model import AgreementStatus
from gongshu.share.sending import Retries
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, World, subject

pytestmark = pytest.mark.postgres

TERMS = Terms(parties=frozenset({SHOP}), uses_max=2)


@pytest.fixture
def world(tmp_path: Path, clock: Clock, postgres: Database) -> Iterator[World]:
    retries = Retries(first_ms=200, longest_s=20, attempts_max=25)
    world = World(tmp_path, clock, seed=7, retries=retries, mill_database=postgres)
    yield world
    world.close()


def agreed(world: World) -> str:
    offer = world.mill.book.offer(ORDERS, TERMS, subject(), known_parties=[SHOP])
    record = world.shop.ask_contract(MILL, offer.offer_id, TERMS)
    world.settle(rounds=200)
    done = world.shop.engine.record(record.process_id)
    assert done.state is State.FINALIZED, done.reason
    return done.agreement_id


def test_a_contract_and_a_transfer_run_through_on_a_bad_wire(world: World) -> None:
    world.net.fault_ratio = 0.3
    agreement_id = agreed(world)
    rules = rule(started=Action.SUSPEND, suspended=Action.START, resumed=Action.COMPLETE)
    record = world.shop.ask_transfer(MILL, agreement_id, rules=rules.as_json())
    world.settle(rounds=200)
    world.net.fault_ratio = 0.0
    world.net.flush()
    world.settle(rounds=200)
    assert world.shop.engine.record(record.process_id).state is State.COMPLETED
    with world.mill.database.connect() as connection:
        assert [a.status for a in list_agreements(connection, limit=9, offset=0)] == [AgreementStatus.ACTIVE]


def test_twenty_at_once_share_two_uses(world: World) -> None:
    agreement_id = agreed(world)
    outcomes: list[bool] = []

    def use() -> None:
        with world.mill.database.begin() as connection:
            outcomes.append(count_use(connection, agreement_id, 2))

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 18 + [True] * 2
    with world.mill.database.connect() as connection:
        assert find_agreement(connection, agreement_id).uses == 2


def test_the_same_request_at_once_begins_one_process(world: World) -> None:
    offer = world.mill.book.offer(ORDERS, TERMS, subject(), known_parties=[SHOP])
    world.shop.ask_contract(MILL, offer.offer_id, TERMS)
    world.net.is_cut = True
    world.shop.runner.step()
    path, body = world.net.sent[0][1], world.net.sent[0][2]
    replies: list[tuple[int, bytes]] = []

    def send() -> None:
        reply = world.mill.take(SHOP, path, body)
        replies.append((reply.status_code, reply.body))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in replies} == {201}
    assert len({body for _, body in replies}) == 1


def test_two_senders_on_one_outbox_do_not_both_send(world: World) -> None:
    agreement_id = agreed(world)
    world.mill.runner.step()
    with world.mill.database.connect() as connection:
        agreement = find_agreement(connection, agreement_id)
    record = world.mill.engine.record(agreement.negotiation_id)
    assert record.state is State.FINALIZED
    terms = replace(TERMS, uses_max=None)  # else a person is asked about the second
    offer = world.mill.book.offer(ORDERS, terms, subject(), known_parties=[SHOP])
    for _ in range(6):
        world.shop.ask_contract(MILL, offer.offer_id, terms)
    world.shop.runner.step()
    world.mill.runner._reactor.perform_due()
    claimed: list[str] = []

    def claim() -> None:
        claimed.extend(entry.message_id for _, entry in world.mill.outbox.claim_due())

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 6
