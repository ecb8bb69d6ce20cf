"""Contracts, groups and places are with who made them: who has the same name and another key has none of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from gongshu.model.access import Role
from gongshu.model.ids import PartyId
from gongshu.secure.errors import NotAllowed
from gongshu.secure.keys import KeyStore
from gongshu.share.agreements import find_agreement, insert_agreement
from gongshu.share.dsp.messages import CONTEXT
from gongshu.share.dsp.states import Kind, State
from gongshu.share.errors import PartyChanged, ProcessUnknown
from gongshu.share.keeping.watching import Watch
from gongshu.share.key_changes.errors import (
    KeyChangeNeedless,
    KeyChangeRefused,
    KeyChangeUnexplained,
    KeyChangeUnknown,
)
from gongshu.share.key_changes.service import KeyChange, KeyChanges
from gongshu.share.model import Agreement, Record
from gongshu.share.partners import PartnerBook
from gongshu.share.ports import Reply
from gongshu.share.processes import list_processes
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Phase, Terms
from tests.conftest import Clock
from tests.unit.share.evidence_world import Street
from tests.unit.share.world import MILL, ORDERS, SHOP, World, subject

LI = subject(Role.PRODUCT_OWNER)
WU = subject(Role.SECURITY_ADMIN, name="user:wu")


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[World]:
    made = World(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def agreed(world: World) -> Agreement:
    offer = world.mill.book.offer(ORDERS, Terms(uses_max=9), LI)
    asked = world.shop.ask_contract(MILL, offer.offer_id, Terms(uses_max=9))
    world.settle()
    return agreement_of(world, world.shop.engine.record(asked.process_id).agreement_id)


def agreement_of(world: World, agreement_id: str) -> Agreement:
    with world.mill.database.connect() as connection:
        return find_agreement(connection, agreement_id)


def other_key(world: World, folder: Path) -> str:
    """Let the mill know another key under the shop's id, as a rogue operator's list would; return its fingerprint."""
    keys = KeyStore(folder / "other-keys")
    world.mill.parties.replace(replace(world.mill.parties.get(SHOP), public_key_pem=keys.public_key_pem()))
    return keys.fingerprint()


def changes_of(world: World) -> KeyChanges:
    mill = world.mill
    return KeyChanges(mill.database, mill.parties, mill.audit, world.clock)


def test_another_key_gets_no_transfer_under_a_standing_contract(
    world: World, agreed: Agreement, tmp_path: Path
) -> None:
    assert agreed.bound_to == world.mill.parties.get(SHOP).proof
    other_key(world, tmp_path)
    asked = world.shop.ask_transfer(MILL, agreed.agreement_id)
    world.settle()
    ended = world.shop.engine.record(asked.process_id)
    assert ended.state is State.TERMINATED
    assert "proves itself by" in ended.reason
    assert "proves itself" in (
        world.mill.policy.why_not_use(agreement_of(world, agreed.agreement_id), Phase.ACCESS) or ""
    )


def test_forgotten_and_registered_anew_is_the_same_only_with_the_same_key(
    world: World, agreed: Agreement, tmp_path: Path
) -> None:
    known = world.mill.parties.get(SHOP)
    world.mill.parties.remove(SHOP)
    assert "not registered" in (agreement_of(world, agreed.agreement_id).why_unbound or "")
    world.mill.parties.add(known)
    assert agreement_of(world, agreed.agreement_id).why_unbound is None
    world.mill.parties.remove(SHOP)
    world.mill.parties.add(replace(known, public_key_pem=KeyStore(tmp_path / "k").public_key_pem()))
    assert agreement_of(world, agreed.agreement_id).why_unbound


@pytest.mark.parametrize("change", [{"title": "x"}, {"address": "https://x.example"}, {"identity": "mtls+gongshu"}])
def test_what_is_no_proof_may_change(world: World, agreed: Agreement, change: dict[str, str]) -> None:
    known = world.mill.parties.get(SHOP)
    changed = replace(known, **{"address": "https://shop.example", **change})  # type: ignore[arg-type]
    world.mill.parties.replace(changed)
    assert agreement_of(world, agreed.agreement_id).why_unbound is None


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "dcp", "public_key_pem": ""},
        {"identity": "mtls", "certificate": "sha256:" + "0" * 64},
        {"identity": "another-scheme"},
    ],
)
def test_another_scheme_is_another_proof(world: World, agreed: Agreement, change: dict[str, str]) -> None:
    known = replace(world.mill.parties.get(SHOP), address="https://shop.example")
    world.mill.parties.replace(replace(known, **change))  # type: ignore[arg-type]
    assert agreement_of(world, agreed.agreement_id).why_unbound


def test_certificates_of_two_years_are_two_proofs_where_they_alone_count(world: World) -> None:
    known = replace(world.mill.parties.get(SHOP), identity="mtls", address="https://shop.example")
    proofs = {replace(known, certificate="sha256:" + digit * 64).proof for digit in "01"}
    assert len(proofs) == 2
    assert len({replace(known, identity="dcp", certificate="sha256:" + digit * 64).proof for digit in "01"}) == 1


def test_groups_and_places_stay_with_the_key(world: World, tmp_path: Path) -> None:
    mill = world.mill
    book = PartnerBook(mill.database, mill.parties, mill.audit, world.clock)
    book.add_to_group("suppliers", [SHOP], LI)
    book.register_place(SHOP, "CN-33", "seen on paper", LI)
    terms = Terms(groups=frozenset({"suppliers"}), places=frozenset({"CN"}))
    found = book.facts_of(SHOP, terms)
    assert (found.groups, found.place) == (frozenset({"suppliers"}), "CN-33")
    other_key(world, tmp_path)
    found = book.facts_of(SHOP, terms)
    assert (found.groups, found.place) == (frozenset(), "")
    assert (book.groups()[0].members, book.places()) == ((), [])
    assert book.add_to_group("suppliers", [SHOP], LI).members == (SHOP,)
    assert book.groups_of(SHOP) == {"suppliers"}


def test_two_people_let_a_contract_go_on_under_another_key(world: World, agreed: Agreement, tmp_path: Path) -> None:
    changes, fingerprint = changes_of(world), other_key(world, tmp_path)
    (waiting,) = changes.stranded(LI)
    assert (waiting.party_id, waiting.former) == (SHOP, agreed.bound_to)
    assert waiting.agreements == (agreed.agreement_id,)
    change = changes.request(SHOP, LI, reason="new machine, told on the phone")
    assert agreement_of(world, agreed.agreement_id).why_unbound, "one person opens nothing"
    assert changes.confirm(change.change_id, fingerprint, WU).outcome == "confirmed"
    assert agreement_of(world, agreed.agreement_id).why_unbound is None
    assert changes.stranded(LI) == []
    done = [event.action for event in world.mill.audit.events if event.action.startswith("key_change.")]
    assert done == ["key_change.requested", "key_change.confirmed"]


def test_the_same_change_is_asked_for_once_until_it_is_decided(world: World, agreed: Agreement, tmp_path: Path) -> None:
    changes = changes_of(world)
    other_key(world, tmp_path)
    first = changes.request(SHOP, LI, reason="new machine")
    with pytest.raises(KeyChangeNeedless, match="already"):
        changes.request(SHOP, LI, reason="new machine")
    changes.refuse(first.change_id, WU)
    assert changes.request(SHOP, LI, reason="asked on the phone now").outcome == ""
    assert agreement_of(world, agreed.agreement_id).why_unbound


def test_what_does_not_confirm_a_key(world: World, agreed: Agreement, tmp_path: Path) -> None:
    changes = changes_of(world)
    with pytest.raises(KeyChangeNeedless, match="nothing is bound"):
        changes.request(SHOP, LI, reason="why")
    fingerprint = other_key(world, tmp_path)
    with pytest.raises(KeyChangeNeedless, match="name one"):
        changes.request(SHOP, LI, reason="why", former="key sha256:made-up")
    for wordless in (" ", "x" * 2001):
        with pytest.raises(KeyChangeUnexplained, match="1 to 2000 characters"):
            changes.request(SHOP, LI, reason=wordless)
    change = changes.request(SHOP, subject(Role.STEWARD), reason="why")

    def refused(reason: str, fingerprint: str, actor: str = "user:wu", which: KeyChange = change) -> None:
        with pytest.raises(KeyChangeRefused, match=reason):
            changes.confirm(which.change_id, fingerprint, subject(Role.STEWARD, name=actor))

    refused("same person", fingerprint, "user:li")
    refused("fingerprint", agreed.bound_to.split(" ")[1])
    refused("fingerprint", "key")
    with pytest.raises(NotAllowed):
        changes.confirm(change.change_id, fingerprint, subject(Role.PRODUCT_OWNER, name="user:wu"))
    with pytest.raises(KeyChangeUnknown):
        changes.refuse("urn:uuid:none", WU)
    again = KeyStore(tmp_path / "third")
    world.mill.parties.replace(replace(world.mill.parties.get(SHOP), public_key_pem=again.public_key_pem()))
    refused("changed again", fingerprint)
    changes.refuse(change.change_id, WU)
    refused("already", again.fingerprint())
    assert agreement_of(world, agreed.agreement_id).why_unbound


def test_evidence_goes_to_nobody_else_and_comes_from_nobody_else(tmp_path: Path) -> None:
    street = Street(tmp_path)
    keys = KeyStore(tmp_path / "other-keys")
    known = street.mill.parties.get(street.shop.party)
    street.mill.parties.replace(replace(known, public_key_pem=keys.public_key_pem()))
    posted: list[str] = []

    def post(party: PartyId, path: str, body: bytes) -> Reply:
        posted.append(path)
        return Reply(503)

    street.mill.deliver("key-1")
    street.mill.post = post
    street.mill.evidence.step()
    assert posted == []
    street.shop.deliver("key-1")
    caught: list[bytes] = []

    def catch(party: PartyId, path: str, body: bytes) -> Reply:
        caught.append(body)
        return Reply(503)

    street.shop.post = catch
    street.shop.evidence.step()
    (refusal,) = street.mill.evidence.take(street.shop.party, caught[0])["refused"]
    assert refusal["code"] == "share.party_changed"
    street.mill.parties.replace(known)
    street.close()


def test_an_end_by_another_key_ends_nothing(world: World, agreed: Agreement, tmp_path: Path) -> None:
    mill = world.mill
    watch = Watch(
        *(mill.database, mill.parties, mill.audit, world.clock), silence_max=None, deletion_grace=timedelta(days=1)
    )
    proof = {"contract": agreed.agreement_id, "key": "k", "reason": "", "method": "", "shredded_at": ""}
    body = {**proof, "written_at": "", "files": []}
    other_key(world, tmp_path)
    with pytest.raises(PartyChanged, match="key-change request"):
        watch.take_proof(SHOP, orjson.dumps({"body": body, "signature": "00"}))


def test_another_key_sees_no_offer_that_names_the_party(world: World, tmp_path: Path) -> None:
    book, known = world.mill.book, world.mill.parties.get(SHOP)
    named = book.offer(ORDERS, Terms(parties=frozenset({SHOP})), LI, known_parties=[SHOP])
    open_to_all = book.offer(ORDERS, Terms(uses_max=9), LI)
    other_key(world, tmp_path)
    assert book.visible(named.offer_id, SHOP) is None
    found, _ = book.visible_page(SHOP, after="", limit=9)
    assert [offer.offer_id for offer in found] == [open_to_all.offer_id]
    world.mill.parties.replace(known)
    assert book.visible(named.offer_id, SHOP) == named


def test_another_key_sees_moves_and_ends_no_process_of_who_was_there_before(
    world: World, agreed: Agreement, tmp_path: Path
) -> None:
    offer = world.mill.book.offer(ORDERS, Terms(uses_max=9), LI)
    asked = world.shop.ask_contract(MILL, offer.offer_id, Terms(uses_max=2))  # other terms: it waits for a person
    world.settle()
    (mine,) = [each for each in _negotiations(world) if each.state is State.REQUESTED]
    assert mine.peer_pid == asked.process_id
    known = world.mill.parties.get(SHOP)
    assert world.mill.intake.state(SHOP, mine.process_id, Kind.NEGOTIATION)["state"] == "REQUESTED"
    other_key(world, tmp_path)
    with pytest.raises(ProcessUnknown):
        world.mill.intake.state(SHOP, mine.process_id, Kind.NEGOTIATION)
    pids = {"providerPid": mine.process_id, "consumerPid": asked.process_id}
    ending = {"@context": [CONTEXT], "@type": "ContractNegotiationTerminationMessage", **pids}
    message = world.mill.intake.read(orjson.dumps(ending), "ContractNegotiationTerminationMessage")
    with pytest.raises(ProcessUnknown):
        world.mill.intake.go_on(SHOP, message, mine.process_id)
    (waiting,) = changes_of(world).stranded(LI)
    assert waiting.processes == (mine.process_id,)
    world.mill.parties.replace(known)
    assert world.mill.intake.go_on(SHOP, message, mine.process_id).document["state"] == "TERMINATED"


def test_a_contract_is_with_the_key_that_its_negotiation_began_with(world: World, tmp_path: Path) -> None:
    offer = world.mill.book.offer(ORDERS, Terms(uses_max=9), LI)
    world.shop.ask_contract(MILL, offer.offer_id, Terms(uses_max=2))
    world.settle()
    (mine,) = _negotiations(world)
    before = world.mill.parties.get(SHOP).proof
    other_key(world, tmp_path)
    with world.mill.database.begin() as connection:
        policy = {"@id": "urn:uuid:late", "permission": []}
        assert insert_agreement(connection, mine, policy, world.clock())
        bound = connection.execute(sa.select(share_agreements.c.bound_to)).scalar_one()
    assert bound == before != world.mill.parties.get(SHOP).proof


def test_confirmation_takes_offers_and_processes_along(world: World, agreed: Agreement, tmp_path: Path) -> None:
    offer = world.mill.book.offer(ORDERS, Terms(parties=frozenset({SHOP})), LI, known_parties=[SHOP])
    changes, fingerprint = changes_of(world), other_key(world, tmp_path)
    (waiting,) = changes.stranded(LI)
    assert (waiting.offers, waiting.agreements) == ((offer.offer_id,), (agreed.agreement_id,))
    change = changes.request(SHOP, LI, reason="new machine")
    changes.confirm(change.change_id, fingerprint, WU)
    assert world.mill.book.visible(offer.offer_id, SHOP) == offer
    assert changes.stranded(LI) == []


def _negotiations(world: World) -> list[Record]:
    with world.mill.database.connect() as connection:
        return list_processes(connection, Kind.NEGOTIATION, limit=9, offset=0, waiting=False, counterparty=None)
