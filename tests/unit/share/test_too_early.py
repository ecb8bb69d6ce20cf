"""A message that comes before the other side is ready for it, though that side already shows the state it is due in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gongshu.share.dsp.states import Kind, State
from gongshu.share.ports import Reply
from gongshu.share.processes import list_processes
from gongshu.share.sending import Retries
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, World, subject

TERMS = Terms(parties=frozenset({SHOP}))


class UnreadyProvider:
    """Refuses the verification of an agreement so often; all other messages arrive.

    EDC 0.14.1 does so while its agreement message is under way: its state reads AGREED from the moment it begins to
    send, and a verification is a conflict until the answer to the agreement is stored.
    """

    def __init__(self, refusals: int, status_code: int) -> None:
        self.refusals = refusals
        self.status_code = status_code
        self.refused = 0

    def take(self, path: str, deliver: Callable[[], Reply]) -> Reply:
        if not path.endswith("/agreement/verification") or self.refused == self.refusals:
            return deliver()
        self.refused += 1
        return Reply(self.status_code, b'{"reason": ["negotiation cannot be verified"]}')


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, Clock())
    yield world
    world.close()


def negotiated(world: World, provider: UnreadyProvider, monkeypatch: pytest.MonkeyPatch) -> tuple[State, str]:
    """Return how our negotiation ended, and why where it did not succeed."""
    take = world.mill.take
    monkeypatch.setattr(
        world.mill,
        "take",
        lambda sender, path, body: provider.take(path, lambda: take(sender, path, body)),
    )
    offer = world.mill.book.offer(ORDERS, TERMS, subject(), known_parties=[SHOP])
    asked = world.shop.ask_contract(MILL, offer.offer_id, TERMS)
    world.settle(rounds=90)
    record = world.shop.engine.record(asked.process_id)
    assert record.pending is None
    return record.state, record.reason


def test_a_conflict_is_taken_for_not_yet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = UnreadyProvider(3, 409)
    assert negotiated(world, provider, monkeypatch) == (State.FINALIZED, "")
    assert provider.refused == 3


def test_a_conflict_that_stays_ends_the_negotiation_on_both_sides(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = UnreadyProvider(1_000, 409)
    state, reason = negotiated(world, provider, monkeypatch)
    assert (state, provider.refused) == (State.TERMINATED, Retries().conflict_max)
    assert "negotiation cannot be verified" in reason
    with world.mill.database.connect() as connection:
        (theirs,) = list_processes(connection, Kind.NEGOTIATION, limit=2, offset=0, waiting=False, counterparty=None)
    assert theirs.state is State.TERMINATED


def test_another_refusal_is_final_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = UnreadyProvider(1_000, 400)
    assert negotiated(world, provider, monkeypatch)[0] is State.TERMINATED
    assert provider.refused == 1
