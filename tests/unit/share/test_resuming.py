"""A consumer of another kind resumes a transfer, and waits for a start of ours with a new data address."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import orjson
import pytest

from gongshu.model.ids import PartyId
from gongshu.share.admission import Admission
from gongshu.share.automation import Action
from gongshu.share.dsp.messages import ANSWERS, CONTEXT
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.errors import PeerUnreachable, TransferStopped
from gongshu.share.model import Record
from gongshu.share.ports import Reply
from gongshu.share.sending import Retries
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, SHOP, Site, World

TERMS = Terms(parties=frozenset({SHOP}))
RETRIES = Retries(attempts_max=10)
BOTH_STARTED = (State.STARTED, State.STARTED)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A transfer that is started, between two whose messages name none that they answer."""
    world = World(tmp_path, Clock(), retries=RETRIES)
    world.net.is_plain = True
    world.ask_contract(TERMS)
    world.settle()
    world.start_transfer()
    assert states(world) == BOTH_STARTED
    yield world
    world.close()


def transfer(site: Site) -> Record:
    return site.only(Kind.TRANSFER)


def states(world: World) -> tuple[State, State]:
    return world.states(Kind.TRANSFER)


def say(world: World, site: Site, *actions: Action, rounds: int = 90) -> None:
    for action in actions:
        site.engine.queue(transfer(site), action, actor="user:li")
        world.settle(rounds=rounds)


def starts_to(world: World, party: PartyId) -> list[str]:
    """Return the ids of the starts that were sent to a party, each attempt."""
    return [orjson.loads(body)["@id"] for to, path, body in world.net.sent if to == party and path.endswith("/start")]


def given_up(world: World) -> list[str]:
    return [event.action for event in world.mill.audit.events if "given_up" in event.action]


def refuse_starts(world: World, monkeypatch: pytest.MonkeyPatch, refusal: Reply | None) -> None:
    """Have the consumer's side refuse each start, or not be reached by it."""
    take = world.shop.take

    def taken(sender: PartyId, path: str, body: bytes) -> Reply:
        if not path.endswith("/start"):
            return take(sender, path, body)
        if refusal is None:
            raise PeerUnreachable(party=SHOP, address="wire", reason="lost")
        return refusal

    monkeypatch.setattr(world.shop, "take", taken)


def test_a_resumption_is_answered_by_a_start_with_a_new_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        address = {"@type": "DataAddress", "endpointType": "http", "endpoint": f"http://mill.example/{number}"}
        monkeypatch.setattr(world.mill.outbox, "_mint_address", lambda _, address=address: address)
        say(world, world.shop, Action.SUSPEND, Action.START)
        assert states(world) == BOTH_STARTED
        assert (transfer(world.mill).pending, len(starts_to(world, SHOP))) == (None, 1 + number)
        assert orjson.loads(transfer(world.shop).data_address) == address
    assert given_up(world) == []


@pytest.mark.parametrize("seed", range(5))
def test_resumptions_hold_whatever_the_wire_does(world: World, seed: int) -> None:
    random = world.net.random = Random(seed)
    world.net.fault_ratio = 0.4
    for _ in range(8):
        mine = transfer(world.shop)
        if mine.state is State.STARTED and not mine.held:
            world.shop.engine.queue(mine, Action.SUSPEND, actor="user:wang")
        elif mine.state is State.SUSPENDED and mine.held and mine.pending is None:
            world.shop.engine.queue(mine, Action.START, actor="user:wang")
        world.settle(rounds=random.choice([1, 2, 90]))
    world.net.fault_ratio = 0.0
    world.net.flush()
    world.settle(rounds=400, seconds=20)
    assert states(world) in (BOTH_STARTED, (State.SUSPENDED, State.SUSPENDED)), seed
    assert len(set(starts_to(world, SHOP))) > 1


def test_our_own_kind_is_sent_none_and_a_resumption_of_ours_is_no_question(world: World) -> None:
    say(world, world.mill, Action.SUSPEND, Action.START)
    assert (states(world), len(starts_to(world, SHOP))) == (BOTH_STARTED, 2)
    world.net.is_plain = False
    say(world, world.shop, Action.SUSPEND, Action.START)
    assert (states(world), len(starts_to(world, SHOP))) == (BOTH_STARTED, 2)


@pytest.mark.parametrize(
    "refusal, tries",
    [
        (Reply(400, b'{"reason": ["not expected"]}'), 1),
        (Reply(404), RETRIES.not_found_max),
        (Reply(409, b'{"reason": ["not now"]}'), RETRIES.conflict_max),
        (None, RETRIES.attempts_max),
    ],
)
def test_who_does_not_take_it_keeps_the_transfer(
    world: World, monkeypatch: pytest.MonkeyPatch, refusal: Reply | None, tries: int
) -> None:
    before = len(starts_to(world, SHOP))
    with monkeypatch.context() as patched:
        refuse_starts(world, patched, refusal)
        say(world, world.shop, Action.SUSPEND, Action.START, rounds=4000)
    assert (states(world), len(starts_to(world, SHOP)) - before) == (BOTH_STARTED, tries)
    assert (transfer(world.mill).pending, given_up(world)) == (None, ["transfer.given_up"])
    say(world, world.mill, Action.SUSPEND, Action.START, Action.COMPLETE)
    assert states(world) == (State.COMPLETED, State.COMPLETED)


def test_a_resumption_that_comes_again_is_answered_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    carry, lost = world.net.carry, 0

    def carried(target: PartyId, deliver: Callable[[], Reply]) -> Reply:
        nonlocal lost
        reply = carry(target, deliver)
        if target == MILL and transfer(world.shop).pending is Move.START and lost < 2:
            lost += 1
            raise PeerUnreachable(party=target, address="wire", reason="answer lost")
        return reply

    monkeypatch.setattr(world.net, "carry", carried)
    say(world, world.shop, Action.SUSPEND, Action.START)
    assert (states(world), lost) == (BOTH_STARTED, 2)
    assert len(set(starts_to(world, SHOP))) == 2


def test_another_suspension_takes_the_answer_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        refuse_starts(world, patched, None)
        say(world, world.shop, Action.SUSPEND)
        say(world, world.shop, Action.START, rounds=3)
        assert (states(world), transfer(world.mill).pending) == (BOTH_STARTED, Move.START_ANEW)
        say(world, world.shop, Action.SUSPEND, rounds=3)
    sent = len(starts_to(world, SHOP))
    world.settle(seconds=60)
    assert states(world) == (State.SUSPENDED, State.SUSPENDED)
    assert (transfer(world.mill).pending, len(starts_to(world, SHOP))) == (None, sent)
    say(world, world.shop, Action.START)
    assert (states(world), len(starts_to(world, SHOP))) == (BOTH_STARTED, sent + 1)


def test_who_stops_meanwhile_sends_no_address(world: World) -> None:
    say(world, world.shop, Action.SUSPEND)
    world.shop.engine.queue(transfer(world.shop), Action.START, actor="user:wang")
    world.shop.runner.step()
    assert states(world) == BOTH_STARTED
    world.mill.engine.queue(transfer(world.mill), Action.SUSPEND, actor="user:li")
    world.settle()
    assert (states(world), len(starts_to(world, SHOP))) == ((State.SUSPENDED, State.SUSPENDED), 1)


def test_data_flow_while_the_answer_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mill = world.mill
    none = cast("Any", None)
    admission = Admission(mill.database, mill.engine, mill.policy, mill.parties, none, standing=lambda _: None)
    refuse_starts(world, monkeypatch, None)
    say(world, world.shop, Action.SUSPEND)
    say(world, world.shop, Action.START, rounds=3)
    record = transfer(mill)
    assert (record.pending, admission.flowing(record.process_id)) == (Move.START_ANEW, record)
    mill.engine.queue(record, Action.SUSPEND, actor="user:li")
    with pytest.raises(TransferStopped):
        admission.flowing(record.process_id)


def test_a_start_that_overtakes_the_answer_to_ours_has_to_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A side that suspended first and crossed ours would look the same, so nothing is taken from it yet."""
    shop, mine = world.shop, transfer(world.shop)
    address = {"@type": "DataAddress", "endpointType": "http", "endpoint": "http://mill.example/answer"}
    own: dict[str, Any] = {"@context": [CONTEXT], "@id": "urn:uuid:answer", "@type": Move.START.message_type}
    document = own | {"providerPid": mine.provider_pid, "consumerPid": mine.consumer_pid, "dataAddress": address}
    path = f"/transfers/{mine.process_id}/start"
    early: list[Reply] = []
    take = world.mill.take

    def overtaken(sender: PartyId, target: str, body: bytes) -> Reply:
        if target.endswith("/start"):
            early.append(shop.take(MILL, path, orjson.dumps(document)))
            early.append(shop.take(MILL, path, orjson.dumps({**document, ANSWERS: "urn:uuid:any"})))
        return take(sender, target, body)

    monkeypatch.setattr(world.mill, "take", overtaken)
    shop.engine.queue(transfer(shop), Action.SUSPEND, actor="user:wang")
    shop.runner.step()
    shop.engine.queue(transfer(shop), Action.START, actor="user:wang")
    shop.runner.step()
    assert [reply.status_code for reply in early] == [503, 400]
    assert orjson.loads(early[0].body)["code"] == "share.answer_awaited"
    assert transfer(shop).state is State.STARTED
    assert shop.take(MILL, path, orjson.dumps(document)).status_code == 200
    assert orjson.loads(transfer(shop).data_address) == address
