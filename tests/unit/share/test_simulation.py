"""Two engines, a wire that loses, repeats, delays and reorders, and both sides doing odd things: they always agree in
the end, and what they did is allowed. A failure names its seed.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from gongshu.share import processes as store
from gongshu.share.agreements import list_agreements
from gongshu.share.automation import Action, Occasion, Reaction, Rules
from gongshu.share.dsp.states import FINAL, TABLE, TARGET, Kind, Side, State
from gongshu.share.model import AgreementStatus, Record
from gongshu.share.processes import list_processes
from gongshu.share.sending import Retries
from gongshu.share.tables import share_outbox
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, Site, World, subject

TERMS = Terms(parties=frozenset({SHOP}), uses_max=9)
SEEDS = [*range(16), 22, 40, 210, 242, 297]
"""The first few, and each that once found a fault."""
PLAIN = [0, 1, 212]
"""Where messages name none that they answer. In the last a resumption is answered by a start."""

_PROVIDER_ACTIONS = {
    Occasion.REQUESTED: [Action.DECIDE, Action.OFFER, Action.AGREE, Action.TERMINATE],
    Occasion.COUNTERED: [Action.AGREE, Action.OFFER, Action.TERMINATE],
    Occasion.OFFERED: [Action.TERMINATE],
    Occasion.ACCEPTED: [Action.AGREE, Action.AGREE, Action.TERMINATE],
    Occasion.VERIFIED: [Action.FINALIZE, Action.FINALIZE, Action.FINALIZE, Action.TERMINATE],
}
_CONSUMER_ACTIONS = {
    Occasion.REQUESTED: [Action.TERMINATE],
    Occasion.OFFERED: [Action.ACCEPT_SAME, Action.ACCEPT, Action.COUNTER, Action.TERMINATE],
    Occasion.AGREED: [Action.CHECK, Action.VERIFY, Action.CHECK, Action.TERMINATE],
}
_TRANSFER_ACTIONS = {
    Occasion.STARTED: [Action.SUSPEND, Action.COMPLETE, Action.TERMINATE],
    Occasion.RESUMED: [Action.SUSPEND, Action.COMPLETE, Action.TERMINATE],
    Occasion.SUSPENDED: [Action.START, Action.START, Action.TERMINATE, Action.COMPLETE],
}
_OFTEN = {Occasion.REQUESTED: 0.9, Occasion.ACCEPTED: 0.95, Occasion.AGREED: 0.95, Occasion.VERIFIED: 0.95}


def random_rules(random: Random, kind: Kind, side: Side) -> Rules:
    """Return rules that do something on most occasions, at odd moments, sometimes twice."""
    choices = _TRANSFER_ACTIONS
    if kind is Kind.NEGOTIATION:
        choices = _PROVIDER_ACTIONS if side is Side.PROVIDER else _CONSUMER_ACTIONS
    steps: dict[Occasion, tuple[Reaction, ...]] = {}
    for occasion, actions in choices.items():
        likely = _OFTEN.get(occasion, 0.6) if side is Side.PROVIDER or occasion is not Occasion.REQUESTED else 0.1
        if random.random() < likely:
            count = random.choice([1, 1, 1, 2])
            steps[occasion] = tuple(
                Reaction(random.choice(actions), random.choice([0, 0, 500, 3000])) for _ in range(count)
            )
    if kind is Kind.TRANSFER and side is Side.PROVIDER:
        steps[Occasion.REQUESTED] = (Reaction(Action.START),)
    return Rules(steps)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[World]]:
    worlds: list[World] = []
    yield worlds
    for world in worlds:
        world.close()


def records(site: Site, kind: Kind) -> list[Record]:
    with site.database.connect() as connection:
        return list_processes(connection, kind, limit=99, offset=0, waiting=False, counterparty=None)


def require_legal_history(site: Site, record: Record) -> None:
    """Every message that both sides hold follows from the one before by a row of the table."""
    with site.database.connect() as connection:
        messages = store.messages_of(connection, record.process_id)
    seen = {str(message["message_id"]) for message in messages}
    assert len(seen) == len(messages)
    states = [State.NEW]
    rows = {(row.kind, row.before, row.move.message_type): TARGET[row.move] for row in TABLE}
    for message in messages:
        after = rows.get((record.kind, states[-1], str(message["message_type"])))
        if after is not None:
            states.append(after)
    assert states[-1] in {record.state, State.TERMINATED} or record.state in FINAL


@pytest.mark.parametrize("seed, is_plain", [*((seed, False) for seed in SEEDS), *((seed, True) for seed in PLAIN)])
def test_two_engines_agree_whatever_the_wire_does(
    tmp_path: Path, clock: Clock, opened: list[World], seed: int, is_plain: bool
) -> None:
    random = Random(seed)
    world = World(tmp_path, clock, seed=seed, retries=Retries(first_ms=200, longest_s=20, attempts_max=25))
    opened.append(world)
    world.net.fault_ratio = random.choice([0.0, 0.2, 0.4, 0.6])
    world.net.is_plain = is_plain
    rules = random_rules(random, Kind.NEGOTIATION, Side.PROVIDER)
    offer = world.mill.book.offer(ORDERS, TERMS, subject(), rules=rules, known_parties=[SHOP])
    for _ in range(2):
        consumer = random_rules(random, Kind.NEGOTIATION, Side.CONSUMER)
        world.shop.ask_contract(MILL, offer.offer_id, TERMS, rules=consumer.as_json())
    world.settle(rounds=40)
    provider = random_rules(random, Kind.TRANSFER, Side.PROVIDER).as_json()
    with world.mill.database.begin() as connection:
        from gongshu.share.agreements import set_transfer_rules

        for agreement in list_agreements(connection, limit=9, offset=0):
            set_transfer_rules(connection, agreement.agreement_id, provider)
    with world.shop.database.connect() as connection:
        made = list_agreements(connection, limit=9, offset=0)
    for agreement in made:
        if agreement.status is AgreementStatus.ACTIVE:
            consumer = random_rules(random, Kind.TRANSFER, Side.CONSUMER)
            world.shop.ask_transfer(MILL, agreement.agreement_id, rules=consumer.as_json())
    world.settle(rounds=40)
    world.net.fault_ratio = 0.0
    world.net.flush()
    world.settle(rounds=400, seconds=20)
    require_same(world, seed)
    world.clock.forward(days=40)  # now the watchdogs look at everything that still stands
    world.settle(rounds=100, seconds=20)
    require_same(world, seed)
    for site in (world.mill, world.shop):
        for record in records(site, Kind.NEGOTIATION):
            assert record.state in FINAL, (seed, record)
        for record in records(site, Kind.TRANSFER):
            assert record.state in FINAL | {State.STARTED}, (seed, record)


def require_same(world: World, seed: int) -> None:
    for kind in Kind:
        mine = {record.process_id: record for record in records(world.mill, kind)}
        for record in records(world.shop, kind):
            require_legal_history(world.shop, record)
            assert record.pending is None, (seed, record)
            if record.peer_pid is None:
                assert record.state is State.TERMINATED, (seed, record)
                continue
            other = mine[record.peer_pid]
            assert other.peer_pid == record.process_id
            assert other.pending is None, (seed, other)
            assert record.state is other.state, (seed, record, other)
    for site in (world.mill, world.shop):
        with site.database.connect() as connection:
            assert not connection.execute(sa.select(share_outbox)).first()
    require_same_agreements(world, seed)


def require_same_agreements(world: World, seed: int) -> None:
    def active(site: Site) -> dict[str, str]:
        with site.database.connect() as connection:
            found = list_agreements(connection, limit=99, offset=0)
        return {a.agreement_id: a.policy_hash for a in found if a.status is AgreementStatus.ACTIVE}

    assert active(world.mill) == active(world.shop), seed
