"""Contracts and transfers between two engines on a good wire: the normal flow, refusals, people, restarts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import orjson
import pytest
import sqlalchemy as sa

from gongshu.console.reasons import error_in_chinese
from gongshu.model.access import Role
from gongshu.model.grade import Grade, GradeStanding
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.agreements import find_agreement, list_agreements
from gongshu.share.automation import ASK_FIRST, Action, Rules, rule
from gongshu.share.dsp.messages import build_catalog_request
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.errors import MoveIllegal, NameTaken, TermsInvalid
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.odrl import canonical_text, message_offer, text_hash
from gongshu.share.ports import Reply
from gongshu.share.processes import list_processes
from gongshu.share.short_ids import short_id
from gongshu.share.tables import share_deliveries
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, Site, World, body_of, subject

TERMS = Terms(parties=frozenset({SHOP}), uses_max=2, purposes=frozenset({"quality"}))


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[World]:
    world = World(tmp_path, clock)
    yield world
    world.close()


def offered(world: World, terms: Terms = TERMS, rules: Rules | None = None) -> str:
    who = subject(Role.PRODUCT_OWNER)
    return world.mill.book.offer(ORDERS, terms, who, rules=rules, known_parties=[SHOP]).offer_id


def records(site: Site, kind: Kind) -> list[Record]:
    with site.database.connect() as connection:
        return list_processes(connection, kind, limit=10, offset=0, waiting=False, counterparty=None)


def only(site: Site, kind: Kind) -> Record:
    found = records(site, kind)
    assert len(found) == 1
    return found[0]


def agreed(world: World, terms: Terms = TERMS) -> Agreement:
    record = world.shop.ask_contract(MILL, offered(world, terms), terms)
    world.settle()
    done = world.shop.engine.record(record.process_id)
    assert done.state is State.FINALIZED, done.reason
    with world.shop.database.connect() as connection:
        return find_agreement(connection, done.agreement_id)


def test_an_unchanged_request_becomes_the_same_agreement_on_both_sides(world: World) -> None:
    ours = agreed(world)
    with world.mill.database.connect() as connection:
        theirs = find_agreement(connection, ours.agreement_id)
    assert ours.policy_hash == theirs.policy_hash
    assert ours.status is theirs.status is AgreementStatus.ACTIVE
    assert ours.terms.bounds == TERMS.bounds
    assert (ours.policy["assigner"], ours.policy["assignee"]) == (MILL, SHOP)
    actions = [event.action for event in world.mill.audit.events]
    assert [a for a in actions if a.startswith("negotiation.")] == [
        "negotiation.requested",
        "negotiation.agreed",
        "negotiation.verified",
        "negotiation.finalized",
    ]


def test_a_transfer_starts_and_carries_an_address_only_to_the_consumer(world: World) -> None:
    agreement = agreed(world)
    record = world.shop.ask_transfer(MILL, agreement.agreement_id)
    world.settle()
    started = world.shop.engine.record(record.process_id)
    assert started.state is State.STARTED
    assert orjson.loads(started.data_address)["endpoint"] == started.peer_pid
    assert only(world.mill, Kind.TRANSFER).data_address == ""


def test_an_offer_to_somebody_else_does_not_exist_for_this_party(world: World) -> None:
    offer_id = offered(world)
    world.mill.book.withdraw(offer_id, subject())
    record = world.shop.ask_contract(MILL, offer_id, TERMS)
    world.settle()
    ended = world.shop.engine.record(record.process_id)
    assert ended.state is State.TERMINATED
    assert "no offer" in ended.reason


def test_other_terms_than_offered_wait_for_a_person_who_may_approve(world: World) -> None:
    wished = Terms(parties=frozenset({SHOP}), uses_max=5)
    world.shop.ask_contract(MILL, offered(world), wished)
    world.settle()
    waiting = only(world.mill, Kind.NEGOTIATION)
    assert waiting.state is State.REQUESTED
    assert "other terms" in waiting.waiting


def test_an_owner_who_wants_to_be_asked_is_asked(world: World) -> None:
    record = world.shop.ask_contract(MILL, offered(world, rules=ASK_FIRST), TERMS)
    world.settle()
    asked = only(world.mill, Kind.NEGOTIATION)
    assert asked.waiting
    assert world.shop.engine.record(record.process_id).state is State.REQUESTED
    assert world.mill.engine.queued(asked.process_id) == ""
    world.mill.engine.queue(asked, Action.TERMINATE, actor="user:li", reason="no")
    assert world.mill.engine.queued(asked.process_id) == Action.TERMINATE, "decided, and not carried out yet"
    world.settle()
    assert world.mill.engine.queued(asked.process_id) == ""
    assert only(world.mill, Kind.NEGOTIATION).state is State.TERMINATED


@pytest.mark.parametrize(
    "change",
    [{"grade": Grade.THREE}, {"standing": GradeStanding.PROPOSED}, {"standing": GradeStanding.EXPIRED}],
    ids=["regraded", "proposed", "expired"],
)
def test_a_grade_that_changed_after_the_agreement_refuses_the_transfer(world: World, change: dict[str, object]) -> None:
    agreement = agreed(world)
    world.mill.shelf.relabel(ORDERS, **change)
    record = world.shop.ask_transfer(MILL, agreement.agreement_id)
    world.settle()
    ended = world.shop.engine.record(record.process_id)
    assert ended.state is State.TERMINATED
    assert "grade" in ended.reason


def test_a_grade_that_changed_after_the_offer_makes_it_invisible(world: World) -> None:
    offer_id = offered(world)
    world.mill.shelf.relabel(ORDERS, grade=Grade.THREE)
    record = world.shop.ask_contract(MILL, offer_id, TERMS)
    world.settle()
    assert world.shop.engine.record(record.process_id).state is State.TERMINATED


def test_an_agreement_that_says_something_else_is_not_verified(world: World) -> None:
    offer_id = offered(world)
    record = world.shop.ask_contract(MILL, offer_id, TERMS)
    world.shop.runner.step()
    negotiation = only(world.mill, Kind.NEGOTIATION)
    from gongshu.share.odrl import agreement_policy

    false = agreement_policy(
        Terms(parties=frozenset({SHOP}), uses_max=1),
        agreement_id="urn:uuid:false",
        target=ORDERS,
        assigner=MILL,
        assignee=SHOP,
        at=world.clock(),
    )
    with world.mill.database.begin() as connection:
        from gongshu.share import processes as store

        store.drop_reactions(connection, negotiation.process_id)
        world.mill.engine.send(connection, negotiation, Move.AGREE, {"agreement": false})
    world.settle()
    ended = world.shop.engine.record(record.process_id)
    assert ended.state is State.TERMINATED
    assert "does not say what was negotiated" in ended.reason
    with world.shop.database.connect() as connection:
        assert [a.status for a in list_agreements(connection, limit=9, offset=0)] == [AgreementStatus.RETIRED]


@pytest.mark.parametrize("ahead_s, is_taken", [(30, True), (600, False)])
def test_two_clocks_may_differ_a_little(tmp_path: Path, ahead_s: int, is_taken: bool) -> None:
    clock = Clock()
    world = World(tmp_path, clock)
    fast = Clock()
    fast.now = clock.now + timedelta(seconds=ahead_s)
    from gongshu.share.reactor import Reactor

    skewed = Reactor(
        world.mill.database, world.mill.engine, world.mill.policy, world.mill.audit, fast, MILL, world.mill.signals
    )
    world.mill.runner._reactor = skewed
    record = world.shop.ask_contract(MILL, offered(world), TERMS)
    world.settle(rounds=5)
    ended = world.shop.engine.record(record.process_id)
    assert (ended.state is State.FINALIZED) is is_taken, ended.reason
    world.close()


def test_another_party_sees_and_moves_nothing_of_it(world: World, tmp_path: Path, clock: Clock) -> None:
    from tests.unit.share.world import SPY

    spy = Site(tmp_path / "spy", SPY, world.net, clock)
    world.mill.knows(spy)
    world.shop.ask_contract(MILL, offered(world), TERMS)
    world.shop.runner.step()
    record = only(world.mill, Kind.NEGOTIATION)
    body = orjson.dumps(
        {
            "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
            "@type": "ContractNegotiationTerminationMessage",
            "providerPid": record.process_id,
            "consumerPid": record.peer_pid,
        }
    )
    assert world.mill.take(SPY, f"/negotiations/{record.process_id}/termination", body).status_code == 404
    assert world.mill.show(SPY, f"/negotiations/{record.process_id}").status_code == 404
    assert world.mill.engine.record(record.process_id).state is State.REQUESTED
    assert world.mill.take(SHOP, f"/negotiations/{record.process_id}/termination", body).status_code == 200
    spy.close()


def test_a_callback_elsewhere_is_refused(world: World) -> None:
    offer_id = offered(world)
    record = world.shop.ask_contract(MILL, offer_id, TERMS)
    (party, path, body) = (MILL, "/negotiations/request", b"")
    world.net.is_cut = True
    world.shop.runner.step()
    body = world.net.sent[-1][2]
    for address in (
        "http://169.254.169.254/latest",
        "http://127.0.0.1:6720",
        "http://shop.example:81/dsp",
        "http://shop.example@evil.example/",
        "https://shop.example/dsp",
        "http://shop.example/a/../../x",
        "http://shop.example/dsp?x=http://a",
        "file:///etc/passwd",
        "",
    ):
        changed = {**orjson.loads(body), "callbackAddress": address}
        assert world.mill.take(SHOP, path, orjson.dumps(changed)).status_code == 400, address
    assert party is MILL
    assert world.shop.engine.record(record.process_id).state is State.NEW


def test_a_repeated_request_finds_the_process_that_it_began(world: World) -> None:
    world.shop.ask_contract(MILL, offered(world), TERMS)
    world.shop.runner.step()
    body = world.net.sent[0][2]
    first = only(world.mill, Kind.NEGOTIATION)
    again = world.mill.take(SHOP, "/negotiations/request", body)
    assert again.status_code == 201
    assert orjson.loads(again.body)["providerPid"] == first.process_id
    assert only(world.mill, Kind.NEGOTIATION).process_id == first.process_id


def test_a_message_that_comes_twice_has_one_effect_and_the_same_id_elsewhere_is_refused(world: World) -> None:
    agreement = agreed(world)
    world.shop.ask_transfer(MILL, agreement.agreement_id, rules=rule(started=Action.SUSPEND).as_json())
    world.settle()
    path, body = next((p, b) for _, p, b in reversed(world.net.sent) if p.endswith("/suspension"))
    before = len(world.mill.audit.events)
    assert world.mill.take(SHOP, path, body).status_code == 200
    assert len(world.mill.audit.events) == before
    negotiation = only(world.mill, Kind.NEGOTIATION)
    stolen = {
        **orjson.loads(body),
        "@type": "ContractNegotiationTerminationMessage",
        "providerPid": negotiation.process_id,
        "consumerPid": negotiation.peer_pid,
    }
    refused = world.mill.take(SHOP, f"/negotiations/{negotiation.process_id}/termination", orjson.dumps(stolen))
    assert refused.status_code == 400


def test_what_was_committed_is_sent_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    world = World(tmp_path, clock)
    record = world.shop.ask_contract(MILL, offered(world), TERMS)
    claimed = world.shop.outbox.claim_due()
    assert len(claimed) == 1
    world.shop.close()  # killed between the commit and the answer
    reborn = Site(tmp_path / "shop", SHOP, world.net, clock)
    world.shop = reborn
    reborn.runner.step()
    assert reborn.engine.record(record.process_id).state is State.NEW
    clock.forward(seconds=60)  # the lease of the dead sender ends
    world.settle()
    assert reborn.engine.record(record.process_id).state is State.FINALIZED
    world.close()


def test_nothing_is_retried_for_ever(world: World) -> None:
    record = world.shop.ask_contract(MILL, offered(world), TERMS)
    world.net.is_cut = True
    world.settle(rounds=100, seconds=400)
    ended = world.shop.engine.record(record.process_id)
    assert ended.state is State.TERMINATED
    assert "attempts" in ended.reason
    assert len(world.net.sent) == 20
    assert any(event.action == "negotiation.given_up" for event in world.shop.audit.events)


def test_a_stuck_process_ends_with_a_reason_on_both_sides(world: World) -> None:
    record = world.shop.ask_contract(MILL, offered(world, rules=ASK_FIRST), TERMS)
    world.settle()
    world.clock.forward(days=8)
    world.settle()
    ended = world.shop.engine.record(record.process_id)
    assert ended.state is only(world.mill, Kind.NEGOTIATION).state is State.TERMINATED
    assert "too long" in ended.reason


def test_a_transfer_ends_when_its_contract_ends(world: World) -> None:
    until = world.clock() + timedelta(hours=2)
    agreement = agreed(world, Terms(until=until))
    record = world.shop.ask_transfer(MILL, agreement.agreement_id)
    world.settle()
    world.clock.forward(hours=3)
    world.settle()
    ended = world.shop.engine.record(record.process_id)
    assert ended.state is State.TERMINATED
    assert "ended at" in ended.reason


def test_a_transfer_under_which_nothing_is_fetched_is_asked_for_ever_less_and_ends_with_a_reason(world: World) -> None:
    agreement = agreed(world)
    idle, used = (world.shop.ask_transfer(MILL, agreement.agreement_id) for _ in range(2))
    world.settle()
    at_mill = {record.peer_pid: record for record in records(world.mill, Kind.TRANSFER)}
    counting = Counting(world.shop)
    world.net.parties[SHOP] = cast("Site", counting)
    for day in range(1, 31):
        world.clock.forward(days=1, minutes=1)
        if day % 10 == 0:
            _fetched(world.mill, at_mill[used.process_id], world.clock())
        world.settle()
    ended = world.shop.engine.record(idle.process_id)
    assert ended.state is at_mill_now(world, idle).state is State.TERMINATED
    assert ended.reason == "nothing was fetched for 30 days; ask for a new transfer to fetch again"
    assert 2 <= sum(idle.process_id in path.replace("%3A", ":") for path in counting.asked) <= 7
    assert at_mill_now(world, used).state is State.STARTED


def test_a_node_that_ends_no_idle_transfer_asks_each_day(world: World) -> None:
    agreement = agreed(world)
    record = world.shop.ask_transfer(MILL, agreement.agreement_id)
    world.settle()
    world.mill.watchdog._idle_max = None
    for _ in range(3):
        world.clock.forward(days=40)
        world.settle()
    assert at_mill_now(world, record).state is State.STARTED


class Counting:
    """A site at its end of the wire, and what it was asked for."""

    def __init__(self, site: Site) -> None:
        self.take, self._show = site.take, site.show
        self.asked: list[str] = []

    def show(self, sender: PartyId, path: str) -> Reply:
        self.asked.append(path)
        return self._show(sender, path)


def at_mill_now(world: World, asked: Record) -> Record:
    return next(record for record in records(world.mill, Kind.TRANSFER) if record.peer_pid == asked.process_id)


def _fetched(site: Site, record: Record, at: datetime) -> None:
    names = ("purpose", "encoding", "agreement_id", "counterparty", "dataset_id")
    with site.database.begin() as connection:
        values = dict.fromkeys(names, "") | {"direction": "out", "process_id": record.process_id, "outcome": "complete"}
        connection.execute(sa.insert(share_deliveries).values(**values, started_at=at, finished_at=at))


def test_a_retired_agreement_starts_no_transfer(world: World) -> None:
    from gongshu.share.agreements import retire_agreement

    agreement = agreed(world)
    with world.mill.database.begin() as connection:
        retire_agreement(connection, agreement.agreement_id, "breach")
    record = world.shop.ask_transfer(MILL, agreement.agreement_id)
    world.settle()
    assert world.shop.engine.record(record.process_id).state is State.TERMINATED


def test_somebody_elses_agreement_starts_no_transfer(world: World, tmp_path: Path, clock: Clock) -> None:
    from tests.unit.share.world import SPY

    agreement = agreed(world)
    spy = Site(tmp_path / "spy", SPY, world.net, clock)
    world.mill.knows(spy)
    spy.knows(world.mill)
    record = spy.ask_transfer(MILL, agreement.agreement_id)
    spy.runner.step()
    assert spy.engine.record(record.process_id).state is State.TERMINATED
    spy.close()


def test_a_message_the_table_does_not_allow_is_not_queued(world: World) -> None:
    world.shop.ask_contract(MILL, offered(world, rules=ASK_FIRST), TERMS)
    world.settle()
    record = only(world.mill, Kind.NEGOTIATION)
    with pytest.raises(MoveIllegal) as refused, world.mill.database.begin() as connection:
        world.mill.engine.send(connection, record, Move.FINALIZE, {})
    for said in (str(refused.value), error_in_chinese(refused.value)):
        assert short_id(record.process_id) in said
        assert record.process_id not in said, "people know it by its beginning"


def test_the_hash_is_of_the_text_that_is_kept(world: World) -> None:
    agreement = agreed(world)
    from gongshu.share.odrl import canonical_text

    assert text_hash(canonical_text(agreement.policy)) == agreement.policy_hash


def test_what_was_asked_of_a_process_that_has_ended_is_forgotten(world: World) -> None:
    agreement = agreed(world)
    record = world.shop.ask_transfer(MILL, agreement.agreement_id)
    world.settle()
    running = world.shop.engine.record(record.process_id)
    world.shop.engine.end_here(record.process_id, "gone")
    world.shop.engine.queue(running, Action.SUSPEND, actor="user:wang")
    world.shop.runner.step()
    world.mill.engine.end_here(str(running.peer_pid), "gone")
    assert not world.is_busy()


def test_partners_know_a_dataset_by_its_published_id(world: World) -> None:
    offer = world.mill.book.offer(ORDERS, TERMS, subject(), published_as="urn:Mill:Orders", known_parties=[SHOP])
    shown, _ = world.mill.intake.catalogue(SHOP, body_of(build_catalog_request()), after="", address="http://mill")
    assert [item["@id"] for item in shown["dataset"]] == ["urn:Mill:Orders"]
    record = world.shop.ask_contract(MILL, offer.offer_id, TERMS, target="urn:Mill:Orders")
    world.settle()
    with world.mill.database.connect() as connection:
        agreement = find_agreement(connection, world.shop.engine.record(record.process_id).agreement_id)
    assert (agreement.dataset_id, agreement.policy["target"]) == (ORDERS, "urn:Mill:Orders")


def test_a_published_id_stays_with_its_dataset(world: World) -> None:
    made = world.mill.book.offer(ORDERS, TERMS, subject(), published_as="A1", known_parties=[SHOP])
    world.mill.book.withdraw(made.offer_id, subject())
    with pytest.raises(NameTaken):
        world.mill.book.offer(DatasetId("parts"), TERMS, subject(), published_as="A1", known_parties=[SHOP])
    with pytest.raises(TermsInvalid):
        world.mill.book.offer(ORDERS, TERMS, subject(), published_as="two words", known_parties=[SHOP])


def test_an_offer_that_was_not_asked_for_begins_a_negotiation_and_asks_a_person(world: World) -> None:
    policy = message_offer(TERMS, offer_id="urn:offer:1", target=ORDERS)
    text = canonical_text(policy)
    values = {"counterparty": SHOP, "dataset_id": ORDERS, "offer_id": "urn:offer:1", "policy": text, "own_policy": text}
    content = {"offer": policy, "callbackAddress": world.mill.callback}
    made = world.mill.engine.open_process(Kind.NEGOTIATION, Move.OFFER, content, values, actor="user:li")
    world.settle()
    received = only(world.shop, Kind.NEGOTIATION)
    assert (received.state, received.peer_pid, bool(received.waiting)) == (State.OFFERED, made.process_id, True)
    assert world.mill.engine.record(made.process_id).peer_pid == received.process_id
