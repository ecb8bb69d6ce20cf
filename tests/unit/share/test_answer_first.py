"""A partner's message is answered first; what follows from it is begun when the answer has left."""

import asyncio
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
import sqlalchemy as sa

from gongshu.share.automation import Action
from gongshu.share.desk import Desk, Later, Reaction
from gongshu.share.dsp.api import ShortWay
from gongshu.share.dsp.messages import PATH
from gongshu.share.dsp.states import Kind
from gongshu.share.errors import MoveIllegal
from gongshu.share.inbox import Answer
from gongshu.share.service import ShareService, ShareSettings
from tests.conftest import Clock
from tests.unit.share.test_flow import TERMS, offered
from tests.unit.share.world import MILL, World

REACTION = Reaction(1, "urn:uuid:1", Action.VERIFY, "system:share", "")


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Any:
    made = World(tmp_path, clock)
    yield made
    made.close()


class Room:
    """As much of sharing as a message passes on its way in; what is received queues one reaction."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.settings, self.intake = ShareSettings(), self
        self.desk = Desk()
        self.desk.open()
        self.lying: list[int] = []
        """How much lay at the desk when each part of the answer was sent, and when nothing more came."""
        self._fault = fault

    def answer(self) -> Later:
        return Later(self.desk)

    @contextmanager
    def one_request(self, later: Later) -> Any:
        with later.prepared():
            yield

    def authenticate(self, *_: object) -> str:
        return "urn:gongshu:party:shop"

    def read(self, body: bytes, *_: object) -> Any:
        return SimpleNamespace(document=orjson.loads(body))

    def begin(self, *_: object) -> Answer:
        with self.desk.taking():
            assert self.desk.has_room_to_react()
            self.desk.take_reaction(REACTION)
        if self._fault is not None:
            raise self._fault
        return Answer(201, {"state": "REQUESTED"})


def ask(room: Room) -> list[int]:
    """Let a message come in, and return what the room saw."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(_: Any) -> None:
        room.lying.append(len(room.desk.reactions(9)))

    scope = {"type": "http", "method": "POST", "path": f"{PATH}/negotiations/request", "headers": []}
    way = ShortWay(cast(Any, None), cast(ShareService, room))
    try:
        asyncio.run(way(scope | {"query_string": b""}, receive, send))
    finally:
        room.lying.append(len(room.desk.reactions(9)))
    return room.lying


def test_what_follows_from_a_message_is_begun_when_its_answer_has_left() -> None:
    assert ask(Room()) == [0, 0, 1]


def test_what_was_kept_before_a_refusal_is_begun_when_that_has_left() -> None:
    refusal = MoveIllegal(move="x", sender="y", process_id="z", state="s", reason="r")
    assert ask(Room(refusal)) == [0, 0, 1]


def test_what_was_kept_before_a_failure_of_ours_is_begun_too() -> None:
    room = Room(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        ask(room)
    assert room.lying == [1]


def test_each_waits_for_its_own_answer_where_one_transaction_keeps_both(world: World) -> None:
    """Another thread may write what a request changes, with what others change."""
    engine, desk = world.mill.engine, world.mill.signals.desk
    desk.open()
    answers = [engine.answer(), engine.answer()]
    is_first_in, may_go_on = threading.Event(), threading.Event()

    def lead(_: sa.Connection) -> None:
        is_first_in.set()
        assert may_go_on.wait(30)

    def take(number: int) -> None:
        def work(_: sa.Connection) -> None:
            assert desk.has_room_to_react()
            desk.take_reaction(Reaction(number, f"urn:uuid:{number}", Action.AGREE, "system:share", ""))

        with answers[number].prepared():
            engine.do(Kind.NEGOTIATION, work)

    threads = [threading.Thread(target=engine.do, args=(Kind.NEGOTIATION, lead))]
    threads[0].start()
    assert is_first_in.wait(30)
    threads += [threading.Thread(target=take, args=(number,)) for number in (0, 1)]
    for thread in threads[1:]:
        thread.start()
    may_go_on.set()
    for thread in threads:
        thread.join(30)
    assert desk.reactions(9) == []
    assert [[reaction.sequence for reaction in each.reactions] for each in answers] == [[0], [1]]
    asyncio.run(answers[1].answered())
    assert [reaction.sequence for reaction in desk.reactions(9)] == [1]
    take(1)  # nobody waits for an answer that has left
    assert [reaction.sequence for reaction in desk.reactions(9)] == [1]


def test_a_contract_is_made_when_each_message_is_answered(world: World) -> None:
    desk = world.mill.signals.desk
    desk.open()
    later = world.mill.engine.answer()
    with later.prepared():  # the wire of this world answers in the thread that asks
        world.shop.ask_contract(MILL, offered(world), TERMS)
        world.shop.runner.step()
    assert desk.reactions(9) == []
    asyncio.run(later.answered())
    assert len(desk.reactions(9)) == 1
