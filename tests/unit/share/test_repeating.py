"""Messages that come again under their `@id` with something new in them, because their sender heard no answer."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongshu.model.ids import PartyId
from gongshu.share.agreements import list_agreements
from gongshu.share.automation import Action
from gongshu.share.contract_book import CONTRACT
from gongshu.share.dsp.messages import ANSWERS, CONTEXT
from gongshu.share.dsp.states import Kind, State
from gongshu.share.model import AgreementStatus
from gongshu.share.ports import Reply
from gongshu.share.processes import messages_of
from tests.conftest import Clock
from tests.unit.share.test_too_early import TERMS, negotiation, say
from tests.unit.share.world import MILL, World

Json = dict[str, Any]
OTHER = "urn:uuid:another-agreement"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, Clock())
    yield world
    world.close()


def with_agreement(document: Json, **values: Any) -> Json:
    return {**document, "agreement": {**document["agreement"], **values}}


def as_arrived(world: World, monkeypatch: pytest.MonkeyPatch, end: str, arrivals: Callable[[Json], list[Json]]) -> None:
    """Let what the provider sends to a path arrive as these documents, one after the other."""
    take = world.shop.take

    def taken(sender: PartyId, path: str, body: bytes) -> Reply:
        if not path.endswith(end):
            return take(sender, path, body)
        replies = [take(sender, path, orjson.dumps(each)) for each in arrivals(orjson.loads(body))]
        assert [reply.status_code for reply in replies] == [200] * len(replies), replies
        return replies[-1]

    monkeypatch.setattr(world.shop, "take", taken)


def agreements(world: World) -> dict[str, AgreementStatus]:
    with world.shop.database.connect() as connection:
        return {found.agreement_id: found.status for found in list_agreements(connection, limit=9, offset=0)}


def test_the_agreement_that_came_last_is_the_one_that_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    as_arrived(world, monkeypatch, "/agreement", lambda real: [with_agreement(real, **{"@id": OTHER}), real])
    world.ask_contract(TERMS)
    world.settle()
    assert world.states(Kind.NEGOTIATION) == (State.FINALIZED, State.FINALIZED)
    kept = negotiation(world.mill).agreement_id
    assert negotiation(world.shop).agreement_id == kept
    assert agreements(world) == {kept: AgreementStatus.ACTIVE}
    world.shop.ask_transfer(MILL, kept)
    world.settle()
    assert world.states(Kind.TRANSFER) == (State.STARTED, State.STARTED)
    with world.shop.database.connect() as connection:
        said = messages_of(connection, negotiation(world.shop).process_id)
    bodies = [orjson.loads(each["body"]) for each in said]
    came = [body["agreement"]["@id"] for body in bodies if body["@type"] == "ContractAgreementMessage"]
    assert came == [OTHER, kept]


LATER = {"@id": OTHER, "timestamp": "2026-01-01T00:00:00Z"}
NOT_THE_SAME: dict[str, Callable[[Json], list[Json]]] = {
    "older": lambda real: [real, with_agreement(real, **LATER)],
    "from tomorrow": lambda real: [real, with_agreement(real, **{**LATER, "timestamp": "2096-01-01T00:00:00Z"})],
    "other data": lambda real: [real, with_agreement(real, **{"@id": OTHER, "target": "parts"})],
    "more allowed": lambda real: [real, with_agreement(real, **{"@id": OTHER, "permission": [{"action": "use"}]})],
    "a first one that is late": lambda real: [
        with_agreement(real, **{"@id": OTHER}),
        real,
        with_agreement(real, **{"@id": OTHER}),
    ],
    "a contract to sign": lambda real: [real, {**with_agreement(real, **{"@id": OTHER}), CONTRACT: {}}],
}


@pytest.mark.parametrize("what", NOT_THE_SAME)
def test_what_differs_in_more_or_is_late_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    as_arrived(world, monkeypatch, "/agreement", NOT_THE_SAME[what])
    world.ask_contract(TERMS)
    world.settle()
    assert world.states(Kind.NEGOTIATION) == (State.FINALIZED, State.FINALIZED)
    assert negotiation(world.shop).agreement_id == negotiation(world.mill).agreement_id


def test_an_agreement_that_is_verified_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Json] = []

    def once(real: Json) -> list[Json]:
        kept.append(real)
        return [real]

    as_arrived(world, monkeypatch, "/agreement", once)
    world.ask_contract(TERMS)
    world.settle()
    before = agreements(world)
    path = f"/negotiations/{negotiation(world.shop).process_id}/agreement"
    monkeypatch.undo()
    again = world.shop.take(MILL, path, orjson.dumps(with_agreement(kept[0], **{"@id": OTHER})))
    assert (again.status_code, agreements(world)) == (200, before)


def test_a_start_that_comes_again_brings_its_newest_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Json] = []

    def twice(real: Json) -> list[Json]:
        sent.append(real)
        return [real, {**real, "dataAddress": {**real["dataAddress"], "endpoint": "http://mill.example/second"}}]

    as_arrived(world, monkeypatch, "/start", twice)
    world.ask_contract(TERMS)
    world.settle()
    world.start_transfer(rounds=90)
    assert "second" in world.shop.only(Kind.TRANSFER).data_address
    monkeypatch.undo()
    say(world, world.mill, Action.SUSPEND)
    say(world, world.mill, Action.START)
    resumed = world.shop.only(Kind.TRANSFER)
    late = {**sent[0], "dataAddress": {**sent[0]["dataAddress"], "endpoint": "http://mill.example/late"}}
    reply = world.shop.take(MILL, f"/transfers/{resumed.process_id}/start", orjson.dumps(late))
    assert (reply.status_code, world.shop.only(Kind.TRANSFER).data_address) == (200, resumed.data_address)


def test_a_provider_of_another_kind_answers_our_resumption_by_a_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ask_contract(TERMS)
    world.settle()
    world.start_transfer(rounds=90)
    mine = world.shop.only(Kind.TRANSFER)

    def started(name: str, **more: str) -> int:
        address = {"@type": "DataAddress", "endpointType": "http", "endpoint": f"http://mill.example/{name}"}
        content = {"providerPid": mine.provider_pid, "consumerPid": mine.consumer_pid, "dataAddress": address, **more}
        own = {"@context": [CONTEXT], "@id": f"urn:uuid:{name}", "@type": "TransferStartMessage"}
        path = f"/transfers/{mine.process_id}/start"
        return world.shop.take(MILL, path, orjson.dumps({**own, **content})).status_code

    assert started("unasked") == 400
    say(world, world.shop, Action.SUSPEND)
    say(world, world.shop, Action.START)
    assert started("of-our-kind", **{ANSWERS: "urn:uuid:any"}) == 400
    assert started("answer") == 200
    assert started("answer") == 200, "the same again"
    assert started("another") == 400
    kept = world.shop.only(Kind.TRANSFER)
    assert (kept.state, kept.pending) == (State.STARTED, None)
    assert kept.data_address.count("mill.example/answer") == 1
    say(world, world.shop, Action.COMPLETE)
    assert world.states(Kind.TRANSFER) == (State.COMPLETED, State.COMPLETED)
