"""Contracts on their way through a negotiation: signed by both, by one, refused, replaced."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from gongshu.share.agreements import find_agreement
from gongshu.share.automation import Action
from gongshu.share.contract import document_hash
from gongshu.share.contract_book import CONTRACT, REPLACES, SIGNATURE
from gongshu.share.contract_tables import share_attachments, share_contracts, share_offer_attachments
from gongshu.share.dsp.states import Kind, State
from gongshu.share.errors import AgreementUnknown
from gongshu.share.model import AgreementStatus, Record
from gongshu.share.tables import share_messages, share_outbox
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.test_flow import TERMS, offered, only
from tests.unit.share.world import MILL, SHOP, Site, World


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[World]:
    made = World(tmp_path, clock)
    yield made
    made.close()


def ask(world: World, offer_id: str = "", terms: Terms = TERMS, *, replaces: str = "") -> Record:
    declared = world.shop.contracts.declaration
    more = {REPLACES: replaces} if replaces else {}
    record = world.shop.ask_contract(MILL, offer_id or offered(world, terms), terms, more=declared | more)
    world.settle()
    return world.shop.engine.record(record.process_id)


def status(site: Site, agreement_id: str) -> AgreementStatus:
    with site.database.connect() as connection:
        return find_agreement(connection, agreement_id).status


def tamper(site: Site, name: str, change: Any) -> None:
    """Let the site's own message that carries `name` be changed before it is sent."""
    with site.database.begin() as connection:
        for row in list(connection.execute(sa.select(share_outbox))):
            document = orjson.loads(row.document)
            if name in document:
                document[name] = change(document[name])
                mine = share_outbox.c.message_id == row.message_id
                connection.execute(sa.update(share_outbox).where(mine).values(document=orjson.dumps(document).decode()))


def test_both_sign_and_both_keep_the_same_document(world: World) -> None:
    done = ask(world)
    assert done.state is State.FINALIZED, done.reason
    mill, shop = (site.contracts.find(done.agreement_id) for site in (world.mill, world.shop))
    assert mill.is_two_sided
    assert shop.is_two_sided
    assert (mill.document_hash, mill.signatures) == (shop.document_hash, shop.signatures)
    assert mill.signed_by == (MILL, SHOP)
    assert mill.contract.terms.bounds == TERMS.bounds
    assert status(world.mill, done.agreement_id) is AgreementStatus.ACTIVE


def test_with_a_connector_that_says_nothing_the_contract_is_one_sided(world: World) -> None:
    record = world.shop.ask_contract(MILL, offered(world), TERMS)
    world.settle()
    done = world.shop.engine.record(record.process_id)
    assert done.state is State.FINALIZED
    kept = world.mill.contracts.find(done.agreement_id)
    assert (kept.is_two_sided, kept.signed_by, kept.problems) == (False, (MILL,), ())
    assert status(world.mill, done.agreement_id) is AgreementStatus.ACTIVE
    with pytest.raises(AgreementUnknown):
        world.shop.contracts.find(done.agreement_id)
    with world.mill.database.connect() as connection:
        bodies = connection.execute(sa.select(share_messages.c.body)).scalars()
        assert not any(CONTRACT in body for body in bodies)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda _: {},
        lambda statement: statement | {"signature": statement["signature"][::-1]},
        lambda statement: statement | {"party": str(MILL)},
        lambda statement: [statement],
    ],
)
def test_without_the_signature_that_is_owed_nothing_is_final(world: World, change: Any) -> None:
    record = world.shop.ask_contract(MILL, offered(world), TERMS, more=world.shop.contracts.declaration)
    for _ in range(6):
        world.mill.runner.step()
        world.shop.reactor.perform_due()
        tamper(world.shop, SIGNATURE, change)
        world.shop.runner.step()
    world.settle()
    done = world.shop.engine.record(record.process_id)
    assert done.state is State.TERMINATED
    assert "sign" in only(world.mill, Kind.NEGOTIATION).reason
    assert status(world.mill, only(world.mill, Kind.NEGOTIATION).agreement_id) is AgreementStatus.RETIRED


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda sent: {"document": sent["document"]}, "cannot be read"),
        (lambda sent: sent | {"signatures": []}, "cannot be read"),
        (lambda sent: sent | {"document": sent["document"] | {"environment": "x"}}, "does not hold"),
        (lambda sent: sent | {"document": 5}, "cannot be read"),
    ],
)
def test_a_document_that_the_provider_did_not_sign_is_not_verified(world: World, change: Any, word: str) -> None:
    record = world.shop.ask_contract(MILL, offered(world), TERMS, more=world.shop.contracts.declaration)
    for _ in range(6):
        world.shop.runner.step()
        world.mill.reactor.perform_due()
        tamper(world.mill, CONTRACT, change)
        world.mill.runner.step()
    world.settle()
    done = world.shop.engine.record(record.process_id)
    assert done.state is State.TERMINATED
    assert word in done.reason


def test_a_newer_version_ends_the_older_on_both_sides_and_the_chain_holds(world: World) -> None:
    first = ask(world)
    more = Terms(parties=TERMS.parties, uses_max=5, purposes=TERMS.purposes)
    second = ask(world, terms=more, replaces=first.agreement_id)
    assert second.state is State.FINALIZED, second.reason
    for site in (world.mill, world.shop):
        assert status(site, first.agreement_id) is AgreementStatus.RETIRED
        assert status(site, second.agreement_id) is AgreementStatus.ACTIVE
        chain, problems = site.contracts.chain(second.agreement_id)
        assert problems == []
        assert [kept.contract.version for kept in chain] == [1, 2]
        assert chain[1].contract.replaces is not None
        assert chain[1].contract.replaces.document_hash == document_hash(chain[0].document)


def test_transfers_under_the_older_version_end_with_it(world: World) -> None:
    first = ask(world)
    transfer = world.shop.ask_transfer(MILL, first.agreement_id)
    world.settle()
    assert world.shop.engine.record(transfer.process_id).state is State.STARTED
    ask(world, terms=TERMS, replaces=first.agreement_id)
    world.settle()
    assert world.shop.engine.record(transfer.process_id).state is State.TERMINATED


def test_what_is_not_in_force_cannot_be_replaced(world: World) -> None:
    first = ask(world)
    ask(world, replaces=first.agreement_id)
    third = ask(world, replaces=first.agreement_id)
    assert third.state is State.TERMINATED
    unknown = ask(world, replaces="urn:uuid:nothing")
    assert unknown.state is State.TERMINATED


def test_a_contract_with_attachments_waits_for_a_person_who_reads_them(world: World) -> None:
    offer_id = offered(world)
    with world.mill.database.begin() as connection:
        digest = "5" * 64
        values = {"media_type": "application/pdf", "content": b"%PDF", "added_at": world.clock()}
        connection.execute(sa.insert(share_attachments).values(sha256=digest, **values))
        connection.execute(
            sa.insert(share_offer_attachments).values(offer_id=offer_id, name="quality.pdf", sha256=digest)
        )
    waiting = ask(world, offer_id)
    assert (waiting.state, "attachments" in waiting.waiting) == (State.AGREED, True)
    world.shop.engine.queue(waiting, Action.VERIFY, actor="user:wang", reason="")
    world.settle()
    assert world.shop.engine.record(waiting.process_id).state is State.FINALIZED
    kept = world.shop.contracts.find(waiting.agreement_id)
    assert [(part.name, part.size_bytes) for part in kept.contract.attachments] == [("quality.pdf", 4)]
    assert kept.is_two_sided


def test_a_contract_that_was_altered_in_the_database_is_shown_as_such(world: World) -> None:
    done = ask(world)
    with world.mill.database.begin() as connection:
        text = connection.execute(sa.select(share_contracts.c.document)).scalar()
        changed = str(text).replace('"uses_max":2', '"uses_max":9')
        connection.execute(sa.update(share_contracts).values(document=changed))
    kept = world.mill.contracts.find(done.agreement_id)
    assert not kept.is_two_sided
    assert any("not the one that was kept" in problem for problem in kept.problems)
    assert any("does not hold" in problem for problem in kept.problems)


def test_an_answer_that_is_planned_twice_carries_the_same_signature(world: World) -> None:
    done = ask(world)
    with world.shop.database.connect() as connection:
        agreement = find_agreement(connection, done.agreement_id)
    (kept,) = [s for s in world.shop.contracts.find(done.agreement_id).signatures if s["party"] == SHOP]
    world.clock.forward(seconds=5)
    again = world.shop.contracts.receive(done, agreement, may_sign=False)
    assert again.content == {SIGNATURE: kept}
