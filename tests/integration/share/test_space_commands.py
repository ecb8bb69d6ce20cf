"""A space between two served nodes by commands and over HTTP: from the request to the dissolution, and its effect."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from gongshu.cli.space import app as space_app
from gongshu.secure.parties import Party
from gongshu.share.dsp.states import State
from tests.integration.share.offices import Office, offices

CODES = ("--area", "310100", "--organisation", "91310000MA1K000000")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Office]]:
    with offices(Path(tmp_path_factory.mktemp("spaces"))) as (mill, shop):
        for own, other in ((mill, shop), (shop, mill)):
            key = other.node.keys.public_key_pem()
            own.node.parties.add(Party(other.node.party_id, "other", key, other.address, ("partner",)))
        mill.publish()
        yield mill, shop


def run(office: Office, *arguments: str, ok: bool = True) -> str:
    environment = {"GONGSHU_HOME": str(office.home.path), "GONGSHU_TOKEN": office.token, "COLUMNS": "200"}
    result = CliRunner().invoke(space_app, list(arguments), env=environment)
    if ok and result.exception:
        raise AssertionError(result.output) from result.exception
    assert ok == (result.exit_code == 0), result.output
    return result.stdout if ok else f"{result.output}{result.exception}"


def rows(office: Office, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(office, *arguments, "--format", "json"))
    return found


def test_a_space_from_request_to_dissolution(pair: tuple[Office, Office], tmp_path: Path) -> None:
    mill, operator = pair  # the shop's node operates the space
    rules = tmp_path / "rules.txt"
    rules.write_text("1. Data stay with their owners.\n", encoding="utf-8")
    space = rows(mill, "request", "Bearing chain", "--rules", str(rules), "--at", operator.party)[0]["space_id"]
    number = rows(operator, "approve", space)[0]["number"]
    assert run(mill, "rules", operator.party, number) == rules.read_text(encoding="utf-8")
    applied = ("apply", operator.party, number, "--role", "provider", "--rules", str(rules), *CODES)
    assert rows(mill, *applied)[0]["state"] == "applied"
    assert "not admitted" in run(mill, "look", operator.party, number, ok=False)
    rows(operator, "admit", number, mill.party, "--check", "licence seen (synthetic)")
    assert rows(mill, "mine")[0]["state"] == "admitted"

    offer = mill.rows("offer", "orders", "--to", operator.party, "--uses", "2")[0]["offer_id"]
    entries: list[str] = []
    product: dict[str, Any] = {"delivery": "HttpData-PULL", "dataset_id": "orders", "offer_id": offer}
    kinds: dict[str, dict[str, Any]] = {"resource": {}, "product": product | {"terms": {"uses_max": 2}}}
    for name, more in kinds.items():
        entry: dict[str, Any] = {"kind": name, "title": "Customer orders 客户订单", "description": "synthetic", **more}
        if more:
            entry["resources"] = entries[:1]
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(entry), encoding="utf-8")
        entry_id = rows(mill, "offer", operator.party, number, str(file))[0]["entry_id"]
        rows(operator, "audit", number, entry_id)
        rows(operator, "register", number, entry_id)
        entries.append(entry_id)
    assert rows(mill, "look", operator.party, number) == []
    rows(mill, "publish", operator.party, number, entries[1])
    found = rows(mill, "look", operator.party, number, "catalogue", "--search", "sales order")
    assert [each["entry_id"] for each in found] == entries[1:]

    for what, seen in (("catalogue", entries[1]), ("members", mill.party), ("history", mill.party)):
        assert seen in run(operator, "look", operator.party, number, what, "--format", "json")
    assert rows(operator, "look", operator.party, number, "contracts") == []
    assert "no reason is given" in run(operator, "withdraw", operator.party, number, entries[0], ok=False)
    gone = rows(operator, "withdraw", operator.party, number, entries[0], "--reason", "nobody holds it any more")
    assert gone[0]["state"] == "withdrawn"

    operator.rows("negotiate", mill.party, "orders")
    agreement = mill.node.share.agreements()[0].agreement_id
    mill.node.share.wait_for(mill.node.share.negotiations()[0].process_id, {State.FINALIZED}, 30)
    assert "reported" in run(mill, "report", operator.party, number, agreement)
    with httpx.Client(base_url=operator.address, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {operator.token}"
        facts = client.get(f"/api/v1/spaces/{number}/contracts").json()
        assert [(fact["agreement_id"], fact["reporter"]) for fact in facts] == [(agreement, mill.party)]
        assert client.get("/api/v1/spaces/none").status_code == 404
        assert client.post(f"/api/v1/spaces/{number}/explode", json={}).status_code == 404
    run(operator, "dissolve", number, "--reason", "the project ended")
    assert mill.node.share.agreement(agreement).status == "retired"
    assert rows(mill, "mine")[0]["state"] == "ended"
    assert {line["step"] for line in rows(operator, "history", number)} >= {"approved", "admitted", "dissolved"}


@pytest.mark.parametrize("path", ["/share/spaces/requests", "/share/spaces/notices", "/share/spaces/x/question"])
@pytest.mark.parametrize(
    "body, headers", [(b"{}", {}), (b"{}", {"Authorization": "Bearer a.b.c"}), (b"[" * 9000, {}), (b"\xff", {})]
)
def test_strangers_get_the_one_404(
    pair: tuple[Office, Office], path: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = httpx.post(pair[0].address + path, content=body, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()) == (404, {"code": "share.not_authorised"})


@pytest.mark.parametrize("body, status", [(b"[" * 9000, 400), (b"[]", 400), (b"\xff", 400), (b" " * 300_000, 413)])
def test_partners_get_a_clear_error(pair: tuple[Office, Office], body: bytes, status: int) -> None:
    mill, shop = pair
    headers = dict(shop.node.identities.headers_for(mill.node.party_id, body, "POST /share/spaces/requests"))
    answer = httpx.post(f"{mill.address}/share/spaces/requests", content=body, headers=headers, trust_env=False)
    assert answer.status_code == status
