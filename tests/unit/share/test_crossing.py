"""Two sides that suspend and resume at the same moment, over a cable that keeps what was said for later."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from gongshu.model.ids import PartyId
from gongshu.share.automation import Action
from gongshu.share.dsp.messages import ANSWERS
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.errors import PeerUnreachable
from gongshu.share.model import Record
from gongshu.share.ports import Reply
from gongshu.share.processes import messages_of
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import SHOP, Site, World


class Cable:
    """Carries, or keeps for later and lets the sender wait in vain."""

    def __init__(self) -> None:
        self.keeps = False
        self.kept: list[Callable[[], Reply]] = []

    def carry(self, target: PartyId, deliver: Callable[[], Reply]) -> Reply:
        if not self.keeps:
            return deliver()
        self.kept.append(deliver)
        raise PeerUnreachable(party=target, address="wire", reason="kept")


@pytest.fixture
def cable() -> Cable:
    return Cable()


@pytest.fixture
def world(tmp_path: Path, cable: Cable, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two sides with a transfer that has started."""
    world = World(tmp_path, Clock())
    monkeypatch.setattr(world.net, "carry", cable.carry)
    world.ask_contract(Terms(parties=frozenset({SHOP})))
    world.settle()
    world.start_transfer()
    assert transfer(world.mill).state is transfer(world.shop).state is State.STARTED
    yield world
    world.close()


def transfer(site: Site) -> Record:
    return site.only(Kind.TRANSFER)


def say(site: Site, action: Action) -> None:
    site.engine.queue(transfer(site), action, actor="user:li")
    site.runner.step()


def cross(world: World, cable: Cable) -> Callable[[], Reply]:
    """Let both suspend, and the consumer resume before the provider's suspension arrives; return that one's arrival."""
    cable.keeps = True
    say(world.mill, Action.SUSPEND)
    cable.keeps = False
    say(world.shop, Action.SUSPEND)
    cable.keeps = True
    say(world.shop, Action.START)
    cable.keeps = False
    assert (transfer(world.mill).state, transfer(world.shop).pending) == (State.SUSPENDED, Move.START)
    return cable.kept[0]


def test_a_suspension_that_was_written_before_our_start_arrived_does_not_prove_that_it_did(
    world: World, cable: Cable
) -> None:
    late_suspension = cross(world, cable)
    assert late_suspension().status_code == 400
    assert transfer(world.shop).pending is Move.START
    world.settle()
    ended = transfer(world.shop)
    assert transfer(world.mill).state is ended.state
    for late in cable.kept:
        late()
    assert transfer(world.mill).state is transfer(world.shop).state is ended.state


def test_each_message_of_a_transfer_names_the_newest_that_its_sender_had_taken(world: World) -> None:
    say(world.mill, Action.SUSPEND)
    say(world.mill, Action.START)
    say(world.shop, Action.COMPLETE)
    world.settle()
    with world.shop.database.connect() as connection:
        said = messages_of(connection, transfer(world.shop).process_id)
    names = [orjson.loads(message["body"]).get(ANSWERS) for message in said]
    request, start, suspension, resumption, completion = (message["message_id"] for message in said)
    assert names == [None, request, request, request, resumption]
    assert {start, suspension, completion}.isdisjoint(names)


def test_messages_of_others_that_name_none_are_believed_as_before(
    world: World, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gongshu.share.engine.store.last_received", lambda *_: None)
    late_suspension = cross(world, cable)
    assert late_suspension().status_code == 200
    world.settle()
    assert transfer(world.mill).state is transfer(world.shop).state is State.SUSPENDED
