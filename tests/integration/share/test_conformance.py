"""The 65 running scenarios of the DSP technology compatibility kit 1.0.1, played by a counterparty written anew.

This is not the official suite: a pass here is no certificate. Each row names the kit's test, our rules, and what
happens from the kit's side: `send` (accepted), `refused` (a 4xx that is not 404), `get` (our message arrives), `state`.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gongshu.share.automation import Action, Rules, rule
from gongshu.share.dsp.states import Kind, Move, Side, State
from tests.integration.share.suite import Connector, Exchange, Kit

Step = tuple[str, Move | State]


def send(move: Move) -> Step:
    return ("send", move)


def refused(move: Move) -> Step:
    return ("refused", move)


def get(move: Move) -> Step:
    return ("get", move)


def state(value: State) -> Step:
    return ("state", value)


A, M, S = Action, Move, State
PAUSE_MS = 100
OFFERS = rule(requested=A.OFFER)
AGREES = rule(requested=A.AGREE, verified=A.FINALIZE)
STARTS = rule(requested=A.START)
NOTHING = Rules()
END, DONE = state(S.TERMINATED), state(S.COMPLETED)
OFFERED = [get(M.OFFER), state(S.OFFERED)]
STARTED = [get(M.START), state(S.STARTED)]
STOP = M.TRANSFER_TERMINATE

PROVIDER_NEGOTIATION: dict[str, tuple[Rules, list[Step]]] = {
    "CN:01-01": (OFFERS, [*OFFERED, send(M.TERMINATE), END]),
    "CN:01-02": (rule(requested=A.OFFER, countered=A.TERMINATE), [*OFFERED, send(M.REQUEST), get(M.TERMINATE), END]),
    "CN:01-03": (
        rule(requested=A.OFFER, accepted=A.AGREE, verified=A.FINALIZE),
        [*OFFERED, send(M.ACCEPT), get(M.AGREE), send(M.VERIFY), get(M.FINALIZE), state(S.FINALIZED)],
    ),
    "CN:01-04": (AGREES, [get(M.AGREE), send(M.VERIFY), get(M.FINALIZE), state(S.FINALIZED)]),
    "CN:02-01": (rule(requested=A.TERMINATE), [get(M.TERMINATE), END]),
    "CN:02-02": (NOTHING, [state(S.REQUESTED), send(M.TERMINATE), END]),
    "CN:02-03": (rule(requested=A.AGREE), [get(M.AGREE), state(S.AGREED), send(M.TERMINATE), END]),
    "CN:02-04": (OFFERS, [*OFFERED, send(M.TERMINATE), END]),
    "CN:02-05": (rule(requested=A.OFFER, offered=(A.TERMINATE, PAUSE_MS)), [get(M.OFFER), get(M.TERMINATE), END]),
    "CN:02-06": (rule(requested=A.OFFER, accepted=A.TERMINATE), [*OFFERED, send(M.ACCEPT), get(M.TERMINATE), END]),
    "CN:02-07": (rule(requested=A.AGREE, verified=A.TERMINATE), [get(M.AGREE), send(M.VERIFY), get(M.TERMINATE), END]),
    "CN:03-01": (
        AGREES,
        [
            get(M.AGREE),
            send(M.VERIFY),
            get(M.FINALIZE),
            state(S.FINALIZED),
            refused(M.TERMINATE),
            state(S.FINALIZED),
        ],
    ),
    "CN:03-02": (OFFERS, [*OFFERED, refused(M.VERIFY), state(S.OFFERED)]),
    "CN:03-03": (OFFERS, [*OFFERED, send(M.ACCEPT), state(S.ACCEPTED), refused(M.VERIFY), state(S.ACCEPTED)]),
    "CN:03-04": (OFFERS, [*OFFERED, send(M.REQUEST), state(S.REQUESTED), refused(M.REQUEST), state(S.REQUESTED)]),
}

CONSUMER_NEGOTIATION: dict[str, tuple[Rules, list[Step]]] = {
    "CN_C:01-01": (
        rule(offered=A.ACCEPT, agreed=A.VERIFY),
        [send(M.OFFER), get(M.ACCEPT), send(M.AGREE), get(M.VERIFY), send(M.FINALIZE), state(S.FINALIZED)],
    ),
    "CN_C:01-02": (rule(offered=A.COUNTER), [send(M.OFFER), get(M.REQUEST), send(M.TERMINATE), END]),
    "CN_C:01-03": (rule(offered=A.TERMINATE), [send(M.OFFER), get(M.TERMINATE), END]),
    "CN_C:01-04": (rule(agreed=A.VERIFY), [send(M.AGREE), get(M.VERIFY), send(M.FINALIZE), state(S.FINALIZED)]),
    "CN_C:02-01": (NOTHING, [send(M.TERMINATE), END]),
    "CN_C:02-02": (rule(requested=(A.TERMINATE, PAUSE_MS)), [get(M.TERMINATE), END]),
    "CN_C:02-03": (rule(agreed=A.TERMINATE), [send(M.AGREE), get(M.TERMINATE), END]),
    "CN_C:02-04": (NOTHING, [send(M.OFFER), state(S.OFFERED), send(M.TERMINATE), END]),
    "CN_C:02-05": (rule(offered=A.ACCEPT), [send(M.OFFER), get(M.ACCEPT), send(M.TERMINATE), END]),
    "CN_C:02-06": (rule(agreed=A.VERIFY), [send(M.AGREE), get(M.VERIFY), send(M.TERMINATE), END]),
    "CN_C:03-01": (NOTHING, [refused(M.FINALIZE), state(S.REQUESTED)]),
    "CN_C:03-02": (NOTHING, [send(M.OFFER), state(S.OFFERED), refused(M.AGREE), state(S.OFFERED)]),
    "CN_C:03-03": (NOTHING, [send(M.OFFER), state(S.OFFERED), refused(M.FINALIZE), state(S.OFFERED)]),
    "CN_C:03-04": (
        rule(offered=A.ACCEPT),
        [send(M.OFFER), get(M.ACCEPT), state(S.ACCEPTED), refused(M.FINALIZE), state(S.ACCEPTED)],
    ),
    "CN_C:03-05": (
        rule(offered=A.ACCEPT),
        [send(M.OFFER), get(M.ACCEPT), state(S.ACCEPTED), refused(M.OFFER), state(S.ACCEPTED)],
    ),
    "CN_C:03-06": (
        rule(offered=A.ACCEPT),
        [send(M.OFFER), get(M.ACCEPT), send(M.AGREE), state(S.AGREED), refused(M.FINALIZE), state(S.AGREED)],
    ),
}

PROVIDER_TRANSFER: dict[str, tuple[Rules, list[Step]]] = {
    "TP:01-01": (rule(requested=A.START, started=A.TERMINATE), [get(M.START), get(STOP), END]),
    "TP:01-02": (rule(requested=A.START, started=A.COMPLETE), [get(M.START), get(M.COMPLETE), DONE]),
    "TP:01-03": (
        rule(requested=A.START, started=A.SUSPEND, suspended=A.TERMINATE),
        [get(M.START), get(M.SUSPEND), get(STOP), END],
    ),
    "TP:01-04": (
        rule(requested=A.START, started=A.SUSPEND, suspended=A.START, resumed=A.COMPLETE),
        [get(M.START), get(M.SUSPEND), get(M.START), get(M.COMPLETE), DONE],
    ),
    "TP:01-05": (rule(requested=A.TERMINATE), [get(STOP), END]),
    "TP:02-01": (STARTS, [*STARTED, send(STOP), END]),
    "TP:02-02": (STARTS, [*STARTED, send(M.COMPLETE), DONE]),
    "TP:02-03": (STARTS, [*STARTED, send(M.SUSPEND), state(S.SUSPENDED), send(STOP), END]),
    "TP:02-05": (NOTHING, [state(S.REQUESTED), send(STOP), END]),
    "TP:03-01": (NOTHING, [refused(M.COMPLETE), state(S.REQUESTED)]),
    "TP:03-02": (NOTHING, [refused(M.SUSPEND), state(S.REQUESTED)]),
    "TP:03-03": (STARTS, [*STARTED, send(M.SUSPEND), refused(M.COMPLETE), state(S.SUSPENDED)]),
    "TP:03-04": (STARTS, [*STARTED, send(STOP), refused(M.START), END]),
    "TP:03-05": (STARTS, [*STARTED, send(STOP), refused(M.SUSPEND), END]),
    "TP:03-06": (STARTS, [*STARTED, send(STOP), refused(M.COMPLETE), END]),
}

START = [send(M.START), state(S.STARTED)]
CONSUMER_TRANSFER: dict[str, tuple[Rules, list[Step]]] = {
    "TP_C:01-01": (NOTHING, [*START, send(STOP), END]),
    "TP_C:01-02": (NOTHING, [*START, send(M.COMPLETE), DONE]),
    "TP_C:01-03": (NOTHING, [*START, send(M.SUSPEND), state(S.SUSPENDED), send(STOP), END]),
    "TP_C:01-04": (NOTHING, [*START, send(M.SUSPEND), state(S.SUSPENDED), *START, send(M.COMPLETE), DONE]),
    "TP_C:01-05": (NOTHING, [send(STOP), END]),
    "TP_C:02-01": (rule(started=A.TERMINATE), [send(M.START), get(STOP), END]),
    "TP_C:02-02": (rule(started=A.COMPLETE), [send(M.START), get(M.COMPLETE), DONE]),
    "TP_C:02-03": (
        rule(started=A.SUSPEND, suspended=(A.TERMINATE, PAUSE_MS)),
        [send(M.START), get(M.SUSPEND), get(STOP), END],
    ),
    "TP_C:02-05": (rule(requested=(A.TERMINATE, PAUSE_MS)), [get(STOP), END]),
    "TP_C:03-01": (NOTHING, [refused(M.COMPLETE), state(S.REQUESTED)]),
    "TP_C:03-02": (NOTHING, [refused(M.SUSPEND), state(S.REQUESTED)]),
    "TP_C:03-03": (NOTHING, [*START, send(M.SUSPEND), refused(M.COMPLETE), state(S.SUSPENDED)]),
    "TP_C:03-04": (NOTHING, [*START, send(STOP), refused(M.START), END]),
    "TP_C:03-05": (NOTHING, [*START, send(STOP), refused(M.SUSPEND), END]),
    "TP_C:03-06": (NOTHING, [*START, send(STOP), refused(M.COMPLETE), END]),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kit, Connector]]:
    folder: Path = tmp_path_factory.mktemp("kit")
    kit = Kit(folder / "kit")
    connector = Connector(folder / "connector", kit)
    yield kit, connector
    connector.close()
    kit.close()


Both = tuple[Kit, Connector]


def play(both: Both, exchange: Exchange, kit_side: Side, dataset: str, steps: list[Step]) -> None:
    kit, connector = both
    for what, value in steps:
        if isinstance(value, State):
            kit.wait_state(connector, exchange, value)
        elif what == "get":
            kit.wait_for(value, exchange)
        else:
            status = kit.send(connector, exchange, kit_side, value, dataset)
            is_refusal = 400 <= status < 500 and status != 404
            assert status == 200 if what == "send" else is_refusal, (what, value, status)


@pytest.mark.parametrize("name", PROVIDER_NEGOTIATION)
def test_we_provide_a_negotiation(both: Both, name: str) -> None:
    rules, steps = PROVIDER_NEGOTIATION[name]
    dataset = f"A{name.replace(':', '').replace('-', '')}"
    offer_id = both[1].provide(dataset, rules)
    play(both, both[0].request_contract(both[1], dataset, offer_id), Side.CONSUMER, dataset, steps)


@pytest.mark.parametrize("name", CONSUMER_NEGOTIATION)
def test_we_consume_in_a_negotiation(both: Both, name: str) -> None:
    rules, steps = CONSUMER_NEGOTIATION[name]
    exchange = both[0].take_request(both[1], Kind.NEGOTIATION, rules, name)
    play(both, exchange, Side.PROVIDER, name, steps)


@pytest.mark.parametrize("name", PROVIDER_TRANSFER)
def test_we_provide_a_transfer(both: Both, name: str) -> None:
    rules, steps = PROVIDER_TRANSFER[name]
    both[1].agree(name, Side.PROVIDER, rules)
    play(both, both[0].request_transfer(both[1], name), Side.CONSUMER, "orders", steps)


@pytest.mark.parametrize("name", CONSUMER_TRANSFER)
def test_we_consume_in_a_transfer(both: Both, name: str) -> None:
    rules, steps = CONSUMER_TRANSFER[name]
    both[1].agree(name, Side.CONSUMER, NOTHING)
    exchange = both[0].take_request(both[1], Kind.TRANSFER, rules, name)
    play(both, exchange, Side.PROVIDER, "orders", steps)


def test_metadata_and_catalogue(both: Both) -> None:
    """MET:01-01 and CAT:01-01 to 01-03."""
    kit, connector = both
    versions = httpx.get(connector.address + "/.well-known/dspace-version").json()["protocolVersions"]
    assert ("2025-1", "HTTPS") in {(version["version"], version["binding"]) for version in versions}
    connector.provide("CAT0101")
    connector.provide("CAT0102")
    message = {"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@type": "CatalogRequestMessage"}
    page = kit.call(connector, "POST", "/catalog/request", message).json()
    assert "CAT0101" in [dataset["@id"] for dataset in page["dataset"]]
    assert kit.call(connector, "GET", "/catalog/datasets/CAT0102").json()["@id"] == "CAT0102"
    missing = kit.call(connector, "GET", "/catalog/datasets/CAT0103")
    assert (missing.is_success, missing.json()["@type"]) == (False, "CatalogError")


def test_no_scenario_is_missing() -> None:
    tables = (PROVIDER_NEGOTIATION, CONSUMER_NEGOTIATION, PROVIDER_TRANSFER, CONSUMER_TRANSFER)
    assert [len(table) for table in tables] == [15, 16, 15, 15]
