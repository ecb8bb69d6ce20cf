"""Messages that come before the other side is ready for them, by a scripted side that answers as EDC 0.14.1 does.

While EDC sends a message it shows the state it sends for, or answers 500 where it does not know our id yet, and takes
nothing: 409, or 500 with its state in SQL, where it locks the process meanwhile. It is ready when it has stored our
answer.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from gongshu.model.ids import PartyId
from gongshu.share.agreements import list_agreements
from gongshu.share.automation import Action
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.errors import PeerUnreachable
from gongshu.share.model import AgreementStatus, Record
from gongshu.share.ports import Reply
from gongshu.share.sending import Retries
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, SHOP, Site, World

TERMS = Terms(parties=frozenset({SHOP}))
ALWAYS = 1_000
STATES = {
    "the last shared state": None,
    "a fault": Reply(500),
    "nothing": Reply(404),
    "no access": Reply(401),
    "another document": Reply(200, b"[]"),
    "a state of its own": Reply(200, b'{"@type": "TransferProcess", "state": "STARTING"}'),
}


class Unready:
    """One side as others see it: it refuses each message so often, and shows another state while it does."""

    def __init__(self, site: Site, refusals: int = 0, status_code: int = 409, *, shown: Reply | None = None) -> None:
        self.refusals, self.status_code, self.shown = refusals, status_code, shown
        self.only = ""
        self.refused: dict[str, int] = {}
        self.on_showing: Callable[[], object] = lambda: None
        self._latest = ""
        self._take, self._show = site.take, site.show

    def take(self, sender: PartyId, path: str, body: bytes) -> Reply:
        self._latest = orjson.loads(body)["@id"]
        name = path.rsplit("/", 1)[1]
        if name == "request" or not path.endswith(self.only) or self.refused.get(self._latest, 0) >= self.refusals:
            return self._take(sender, path, body)
        self.refused[self._latest] = self.refused.get(self._latest, 0) + 1
        return Reply(self.status_code, b'{"reason": ["not now"]}')

    def show(self, sender: PartyId, path: str) -> Reply:
        self.on_showing()
        is_busy = self.shown is not None and self.refused.get(self._latest, 0) > 0
        return self.shown if self.shown and is_busy else self._show(sender, path)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, Clock())
    yield world
    world.close()


def unready(
    world: World, side: str, monkeypatch: pytest.MonkeyPatch, *given: int, shown: Reply | None = None
) -> Unready:
    """Put a scripted side before one of the world."""
    site: Site = getattr(world, side)
    scripted = Unready(site, *given, shown=shown)
    monkeypatch.setattr(site, "take", scripted.take)
    monkeypatch.setattr(site, "show", scripted.show)
    return scripted


def negotiation(site: Site) -> Record:
    return site.only(Kind.NEGOTIATION)


def given_up(world: World) -> list[str]:
    return [
        event.action for site in (world.shop, world.mill) for event in site.audit.events if "given_up" in event.action
    ]


def negotiated(world: World) -> tuple[State, str]:
    """Return how our negotiation ended, and why where it did not succeed."""
    asked = world.ask_contract(TERMS)
    world.settle(rounds=120)
    record = world.shop.engine.record(asked.process_id)
    assert record.pending is None
    return record.state, record.reason


def say(world: World, site: Site, action: Action) -> None:
    site.engine.queue(site.only(Kind.TRANSFER), action, actor="user:li")
    world.settle(rounds=90)


def acts_when_asked(scripted: Unready, site: Site, action: Action) -> None:
    """Let a side do something of its own while it is first asked for its state."""

    def act() -> None:
        scripted.on_showing = lambda: None
        site.engine.queue(site.only(Kind.TRANSFER), action, actor="user:li")
        site.runner.step()

    scripted.on_showing = act


@pytest.mark.parametrize("shown", STATES)
@pytest.mark.parametrize("side, other", [("mill", "shop"), ("shop", "mill")])
def test_every_message_waits_for_a_side_that_is_busy(
    world: World, monkeypatch: pytest.MonkeyPatch, side: str, other: str, shown: str
) -> None:
    """Contract, start, suspension, resumption and completion, each of which one side refuses twice."""
    scripted = unready(world, side, monkeypatch, 2, shown=STATES[shown])
    speaker: Site = getattr(world, other)
    assert negotiated(world) == (State.FINALIZED, "")
    world.start_transfer(rounds=90)
    for action in (Action.SUSPEND, Action.START, Action.COMPLETE):
        say(world, speaker, action)
    assert world.states(Kind.TRANSFER) == (State.COMPLETED, State.COMPLETED)
    verification_or_both = 1 if side == "mill" else 3  # agreement, finalization, start
    assert list(scripted.refused.values()) == [2] * (verification_or_both + 3)
    assert given_up(world) == []


@pytest.mark.parametrize("shown", STATES)
def test_a_conflict_that_stays_ends_the_negotiation_on_both_sides(
    world: World, monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    provider = unready(world, "mill", monkeypatch, ALWAYS, shown=STATES[shown])
    provider.only = "/agreement/verification"
    state, reason = negotiated(world)
    assert state is State.TERMINATED
    assert "not now" in reason
    assert list(provider.refused.values()) == [Retries().conflict_max]
    assert world.states(Kind.NEGOTIATION) == (State.TERMINATED, State.TERMINATED)


def test_a_conflict_is_waited_out_for_longer_than_a_lock_lasts() -> None:
    retries = Retries()
    shortest_s = sum(retries.first_ms / 1000 * retries.factor**number / 2 for number in range(retries.conflict_max - 1))
    assert shortest_s > 60


@pytest.mark.parametrize("shown", ["the last shared state", "a fault"])
def test_another_refusal_is_final_at_once_and_told(world: World, monkeypatch: pytest.MonkeyPatch, shown: str) -> None:
    provider = unready(world, "mill", monkeypatch, ALWAYS, 400, shown=STATES[shown])
    provider.only = "/agreement/verification"
    assert negotiated(world)[0] is State.TERMINATED
    assert list(provider.refused.values()) == [1]
    assert negotiation(world.mill).state is State.TERMINATED


def test_who_knows_nothing_of_the_process_is_told_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = unready(world, "mill", monkeypatch, ALWAYS, 404, shown=Reply(404))
    provider.only = "/agreement/verification"
    assert negotiated(world)[0] is State.TERMINATED
    assert list(provider.refused.values()) == [Retries().not_found_max]
    assert not any(path.endswith("/termination") for _, path, _ in world.net.sent)


def test_a_conflict_about_a_first_message_is_final(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refuse(sender: PartyId, path: str, body: bytes) -> Reply:
        tries.append(path)
        return Reply(409, b'{"reason": ["agreement not valid"]}')

    monkeypatch.setattr(world.mill, "take", refuse)
    asked = world.ask_contract(TERMS)
    world.settle()
    assert world.shop.engine.record(asked.process_id).state is State.TERMINATED
    assert tries == ["/negotiations/request"]


def test_a_conflict_after_an_outage_is_not_the_last_try(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was lost on the wire before says nothing about how long the other side has been busy."""
    provider = unready(world, "mill", monkeypatch, 1)
    provider.only = "/agreement/verification"
    carry, lost = world.net.carry, 0

    def carried(target: PartyId, deliver: Callable[[], Reply]) -> Reply:
        nonlocal lost
        if target == MILL and negotiation(world.shop).pending is Move.VERIFY and lost < 2 * Retries().conflict_max:
            lost += 1
            raise PeerUnreachable(party=target, address="wire", reason="lost")
        return carry(target, deliver)

    monkeypatch.setattr(world.net, "carry", carried)
    world.ask_contract(TERMS)
    world.settle(rounds=400, seconds=20.0)
    assert (lost, list(provider.refused.values())) == (2 * Retries().conflict_max, [1])
    assert world.states(Kind.NEGOTIATION) == (State.FINALIZED, State.FINALIZED)


def test_who_shows_a_state_further_on_has_taken_our_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to our verification is lost, EDC is FINALIZING, and a verification that comes again is a conflict."""
    provider = unready(world, "mill", monkeypatch)
    show, carry, is_cut = world.mill.show, world.net.carry, True

    def shown(sender: PartyId, path: str) -> Reply:
        is_sending = negotiation(world.mill).pending is Move.FINALIZE
        return Reply(200, b'{"state": "FINALIZED"}') if is_sending else show(sender, path)

    def carried(target: PartyId, deliver: Callable[[], Reply]) -> Reply:
        reply = (
            deliver() if target == MILL or not is_cut or negotiation(world.mill).pending is not Move.FINALIZE else None
        )
        if reply is None or (negotiation(world.shop).pending is Move.VERIFY and provider.refusals == 0):
            provider.refusals = ALWAYS if negotiation(world.mill).state is State.VERIFIED else 0
            raise PeerUnreachable(party=target, address="wire", reason="answer lost")
        return reply

    monkeypatch.setattr(world.mill, "show", shown)
    monkeypatch.setattr(world.net, "carry", carried)
    world.ask_contract(TERMS)
    world.settle(rounds=4)
    assert (negotiation(world.shop).state, negotiation(world.shop).pending) == (
        State.VERIFIED,
        None,
    )
    is_cut = False
    monkeypatch.setattr(world.net, "carry", carry)
    world.settle(rounds=90)
    assert world.states(Kind.NEGOTIATION) == (State.FINALIZED, State.FINALIZED)
    assert (given_up(world), provider.refused) == ([], {})


def test_what_is_settled_while_we_ask_is_not_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, because the other side has suspended as well; its own suspension comes while we ask for its state."""
    assert negotiated(world) == (State.FINALIZED, "")
    world.start_transfer(rounds=90)
    provider = unready(world, "mill", monkeypatch, ALWAYS, shown=Reply(200, b'{"state": "STARTED"}'))
    acts_when_asked(provider, world.mill, Action.COMPLETE)
    say(world, world.shop, Action.SUSPEND)
    assert world.states(Kind.TRANSFER) == (State.COMPLETED, State.COMPLETED)
    assert given_up(world) == []


def test_what_has_no_meaning_any_more_is_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our completion crosses a suspension and is refused by a side that does not say where it stands."""
    assert negotiated(world) == (State.FINALIZED, "")
    world.start_transfer(rounds=90)
    provider = unready(world, "mill", monkeypatch, ALWAYS, shown=Reply(500))
    acts_when_asked(provider, world.mill, Action.SUSPEND)
    say(world, world.shop, Action.COMPLETE)
    assert world.states(Kind.TRANSFER) == (State.SUSPENDED, State.SUSPENDED)
    assert world.shop.only(Kind.TRANSFER).pending is None
    assert given_up(world) == []


def test_a_negotiation_does_not_end_in_a_state_of_transfers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end without its agreement."""
    take = world.shop.take

    def taken(sender: PartyId, path: str, body: bytes) -> Reply:
        return Reply(409) if path.endswith("/agreement") else take(sender, path, body)

    monkeypatch.setattr(world.shop, "take", taken)
    monkeypatch.setattr(world.shop, "show", lambda *_: Reply(200, b'{"state": "COMPLETED"}'))
    world.ask_contract(TERMS)
    world.settle(rounds=200)
    assert negotiation(world.mill).state is State.TERMINATED
    with world.mill.database.connect() as connection:
        (agreement,) = list_agreements(connection, limit=9, offset=0)
    assert agreement.status is AgreementStatus.RETIRED
