"""Terms that count uses or time bind each contract; so only the first one under an offer is made without a person."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongshu.model.ids import PartyId
from gongshu.share.agreements import count_use, find_agreement, list_agreements, retire_agreement
from gongshu.share.automation import Action, rule
from gongshu.share.dsp.messages import CONTEXT
from gongshu.share.dsp.states import Kind, State
from gongshu.share.model import AgreementStatus, Record
from gongshu.share.odrl import canonical_text, message_offer
from gongshu.share.ports import Reply
from gongshu.share.processes import list_processes
from gongshu.share.reactor import HAD_BEFORE
from gongshu.share.terms import Payment, Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, World, subject

ONLY = frozenset({SHOP})
COUNTED = Terms(parties=ONLY, uses_max=2)


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Any:
    made = World(tmp_path, clock)
    yield made
    made.close()


def ask(world: World, offer_id: str, terms: Terms) -> Record:
    """Ask for a contract, wait until nothing moves any more, and return the negotiation."""
    asked = world.shop.ask_contract(MILL, offer_id, terms)
    world.settle(rounds=9)
    return world.shop.engine.record(asked.process_id)


def offered(world: World, terms: Terms, **more: Any) -> str:
    return world.mill.book.offer(ORDERS, terms, subject(), known_parties=[SHOP], **more).offer_id


def waiting(world: World) -> list[Record]:
    with world.mill.database.connect() as connection:
        found = list_processes(connection, Kind.NEGOTIATION, limit=9, offset=0, waiting=True, counterparty=None)
    return [record for record in found if record.waiting == HAD_BEFORE]


@pytest.mark.parametrize("terms", [COUNTED, Terms(parties=ONLY, duration_s=3600)], ids=["uses", "time"])
def test_a_second_contract_that_would_begin_anew_waits_for_a_person(world: World, terms: Terms) -> None:
    offer_id = offered(world, terms)
    assert ask(world, offer_id, terms).state is State.FINALIZED
    again = ask(world, offer_id, terms)
    assert (again.state, [record.peer_pid for record in waiting(world)]) == (State.REQUESTED, [again.process_id])
    world.mill.engine.queue(waiting(world)[0], Action.AGREE, actor="user:li")
    world.settle(rounds=9)
    assert world.shop.engine.record(again.process_id).state is State.FINALIZED


@pytest.mark.parametrize(
    "terms",
    [Terms(parties=ONLY, rows_max=5), Terms(parties=ONLY, uses_max=2, payment=Payment("1.00", "CNY"))],
    ids=["nothing to begin anew", "paid each time"],
)
def test_other_contracts_are_made_again(world: World, terms: Terms) -> None:
    offer_id = offered(world, terms)
    assert [ask(world, offer_id, terms).state for _ in range(2)] == [State.FINALIZED] * 2


def test_two_that_ask_at_once_do_not_both_get_one(world: World) -> None:
    offer_id = offered(world, COUNTED)
    asked = [world.shop.ask_contract(MILL, offer_id, COUNTED) for _ in range(3)]
    world.settle(rounds=9)
    states = [world.shop.engine.record(each.process_id).state for each in asked]
    assert sorted(states) == [State.FINALIZED, State.REQUESTED, State.REQUESTED]


def test_one_that_was_ended_counts_and_one_that_came_to_nothing_does_not(world: World) -> None:
    offer_id = offered(world, COUNTED)
    failed = world.shop.ask_contract(MILL, offer_id, COUNTED)
    world.shop.runner.step()
    world.mill.runner._reactor.perform_due()  # agreed, and not yet told
    with world.mill.database.connect() as connection:
        (mine,) = list_processes(connection, Kind.NEGOTIATION, limit=9, offset=0, waiting=False, counterparty=None)
    world.mill.engine.end_here(mine.process_id, "given up")
    world.settle(rounds=40)
    assert world.shop.engine.record(failed.process_id).state is not State.FINALIZED
    assert ask(world, offer_id, COUNTED).state is State.FINALIZED
    with world.mill.database.begin() as connection:
        for agreement in list_agreements(connection, limit=9, offset=0):
            retire_agreement(connection, agreement.agreement_id, "no longer needed")
    assert ask(world, offer_id, COUNTED).state is State.REQUESTED


def test_another_offer_or_a_rule_of_its_owner_gives_another(world: World) -> None:
    assert ask(world, offered(world, COUNTED), COUNTED).state is State.FINALIZED
    always = rule(requested=Action.AGREE, verified=Action.FINALIZE)
    offer_id = offered(world, COUNTED, rules=always)
    assert [ask(world, offer_id, COUNTED).state for _ in range(2)] == [State.FINALIZED] * 2


def test_one_whose_uses_were_taken_counts_though_its_negotiation_was_never_concluded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract counts from the moment its finalisation is sent: who hides that it came could use it, and end it."""
    offer_id = offered(world, COUNTED)
    take = world.shop.take
    monkeypatch.setattr(
        world.shop, "take", lambda who, path, body: Reply(503) if path.endswith("/events") else take(who, path, body)
    )
    hidden = ask(world, offer_id, COUNTED)
    assert hidden.state is State.VERIFIED
    with world.mill.database.begin() as connection:
        (agreement,) = list_agreements(connection, limit=9, offset=0)
        assert count_use(connection, agreement.agreement_id, 2)
    world.shop.engine.terminate(hidden.process_id, "not needed any more")
    world.settle(rounds=9)
    monkeypatch.undo()
    with world.mill.database.connect() as connection:
        assert find_agreement(connection, agreement.agreement_id).status is AgreementStatus.RETIRED
    assert ask(world, offer_id, COUNTED).state is State.REQUESTED


def test_a_counter_offer_whose_sender_hides_that_our_offer_came_waits_for_a_person(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads back to where we stand, and proves that ours arrived."""
    offer_id = offered(world, COUNTED)
    ask(world, offer_id, COUNTED)
    second = ask(world, offer_id, COUNTED)
    mine = waiting(world)[0]
    take, ids = world.shop.take, {"providerPid": mine.process_id, "consumerPid": second.process_id}
    greedy = message_offer(replace(COUNTED, uses_max=1000), offer_id=offer_id, target=ORDERS)
    message = {"@context": [CONTEXT], "@type": "ContractRequestMessage", "@id": "urn:uuid:more", "offer": greedy}

    def taken(sender: PartyId, path: str, body: bytes) -> Reply:
        if not path.endswith("/offers"):
            return take(sender, path, body)
        path = f"/negotiations/{mine.process_id}/request"
        assert world.mill.take(SHOP, path, orjson.dumps({**message, **ids})).status_code == 200
        return Reply(503)

    monkeypatch.setattr(world.shop, "take", taken)
    own = canonical_text(message_offer(COUNTED, offer_id=offer_id, target=ORDERS))
    world.mill.engine.queue(mine, Action.OFFER, actor="user:li", own_policy=own)
    world.settle(rounds=5)
    found = world.mill.engine.record(mine.process_id)
    assert (found.state, found.pending, found.waiting) == (State.REQUESTED, None, "a person has to approve")
