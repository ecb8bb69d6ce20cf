"""The commands of clearances and watermarks on a node, by two people who have to agree."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from gongshu.model.access import Role
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.gate import DatasetQuery
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party
from gongshu.share.clearances.marks import bind
from gongshu.share.delivery import partner_subject
from gongshu.share.model import Agreement
from gongshu.share.terms import Terms
from tests.integration.share.offices import Office

SHOP = PartyId("urn:gongshu:party:shop")
UNTIL = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("clearance_commands")
    made = Office(folder / "mill", "mill")
    node, source = made.node, Random(5)
    pem = KeyStore(folder / "shop-keys").public_key_pem()
    node.parties.add(Party(SHOP, "shop (synthetic)", pem, "http://127.0.0.1:1", ("partner",)))
    node.share.desk.register_place(SHOP, "CN-33", "test", node.identity.subject_of(made.token))
    load = [round(source.gauss(70, 9), 4) for _ in range(3000)]
    table = pa.table({"batch": pa.array(range(3000), pa.int64()), "load": load})
    dataset = node.store.write("recipes", table, title="Recipes", origin="import:recipes.csv")
    label = node.catalogue.dataset(dataset).label
    given = {"grade": Grade.THREE, "importance": Importance.GENERAL, "category": label.category}
    node.catalogue.confirm(dataset, **given, actor=SubjectId("user:li"), reason="reviewed")  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture(scope="module")
def others(office: Office) -> dict[str, str]:
    """The tokens of two more people: a steward and a security administrator."""
    found = {}
    for name, role in (("wang", Role.STEWARD), ("zhao", Role.SECURITY_ADMIN)):
        office.node.identity.create_account(name, "correct horse battery 8", [role], actor=SubjectId("user:li"))
        found[name] = office.node.identity.login(name, "correct horse battery 8")
    return found


def run_as(office: Office, token: str, *arguments: str, ok: bool = True) -> str:
    own, office.token = office.token, token
    try:
        return office.run(*arguments, ok=ok)
    finally:
        office.token = own


def requested(office: Office, folder: Path) -> str:
    record = json.loads(office.run("clearance", "form", "strict"))
    record |= {"knowers": [{"name": "tester (synthetic)", "post": "process"}], "mark": {"load": 3}}
    file = folder / "record.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    asked = ("strict", "recipes", "--to", SHOP, "--record", str(file), "--reason", "fault analysis")
    said = office.run("clearance", "request", *asked, "--until", UNTIL)
    assert "waits for a steward's" in said
    return said.partition(": waits")[0]


def states(office: Office, *more: str) -> dict[str, str]:
    return {each["clearance_id"]: each["state"] for each in office.rows("clearance", "list", *more)}


def test_a_request_is_in_force_when_two_others_of_two_roles_approved_and_over_when_one_revokes(
    office: Office, others: dict[str, str], tmp_path: Path
) -> None:
    one = requested(office, tmp_path)
    assert "cannot approve it" in office.run("clearance", "approve", one, ok=False)
    assert "in_force" not in run_as(office, others["wang"], "clearance", "approve", one)
    assert states(office)[one] == "requested"
    assert f"{one}: in_force" in run_as(office, others["zhao"], "clearance", "approve", one)
    shown = json.loads(office.run("clearance", "show", one))
    assert {each["role"] for each in shown["approvals"]} == {"steward", "security_admin"}
    assert states(office, "--dataset", "recipes", "--party", SHOP)[one] == "in_force"
    assert states(office, "--dataset", "orders") == {}
    leaked = _leak(office, tmp_path)
    (trace,) = [each for each in office.rows("watermark", "trace", str(leaked)) if each["delivery_id"] is None]
    assert trace["party"] == SHOP
    assert f"{one}: revoked" in run_as(office, others["zhao"], "clearance", "revoke", one, "--reason", "over")
    assert "is revoked" in office.run("clearance", "revoke", one, "--reason", "again", ok=False)


def test_a_refusal_is_for_good_and_what_is_none_is_said(office: Office, others: dict[str, str], tmp_path: Path) -> None:
    one = requested(office, tmp_path)
    assert f"{one}: refused" in run_as(office, others["wang"], "clearance", "refuse", one, "--reason", "too wide")
    assert "cannot be approved" in run_as(office, others["zhao"], "clearance", "approve", one, ok=False)
    assert "urn:uuid:none" in office.run("clearance", "show", "urn:uuid:none", ok=False)
    broken = tmp_path / "broken.json"
    for text, word in (("{", "is not JSON"), ("[]", "no JSON object")):
        broken.write_text(text, encoding="utf-8")
        asked = ("strict", "recipes", "--to", SHOP, "--record", str(broken), "--reason", "x", "--until", UNTIL)
        assert word in office.run("clearance", "request", *asked, ok=False)
    plain = tmp_path / "plain.csv"
    pa_csv.write_csv(pa.table({"load": [float(i) for i in range(500)]}), plain)
    assert office.rows("watermark", "trace", str(plain)) == []


def with_shop() -> Agreement:
    """A contract with the shop, of which the marker asks nothing but who it is."""
    given: dict[str, Any] = dict.fromkeys((part.name for part in fields(Agreement)), "")
    return Agreement(**given | {"counterparty": SHOP, "terms": Terms(unrestricted=True)})


def _leak(office: Office, folder: Path) -> Path:
    """A copy as it left for the shop, without its order and first columns."""
    node, query = office.node, DatasetQuery(DatasetId("recipes"))
    plain = node.gate.read(partner_subject(SHOP, "urn:uuid:1"), query, purpose="contract")
    rows = node.share.marker.marked(plain, node.catalogue.dataset(query.dataset_id), with_shop())
    bind(rows, 1)
    leaked = folder / "leaked.csv"
    pa_csv.write_csv(rows.read_all().sort_by("load").slice(100, 2500).select(["load"]), leaked)
    return leaked
