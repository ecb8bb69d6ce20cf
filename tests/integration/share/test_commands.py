"""The commands of two organisations, against nodes that answer on loopback; and the HTTP routes for own programs."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pa_parquet
import uvicorn
from typer.testing import CliRunner

from gongshu.cli.share import app as share_app
from gongshu.config import Home, NodeConfig, write_config
from gongshu.model.access import Role
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import SubjectId
from gongshu.node import Node, open_node
from gongshu.share.api import create_dsp_router
from gongshu.share.dsp.states import State
from gongshu.share.errors import GradeForbids
from tests.integration.share.site import Site, new_app, orders


class Office:
    """One organisation: a served node, and its command line."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.home, self.party = Home(folder), f"urn:gongshu:party:{name}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        write_config(self.home, NodeConfig(party_id=self.party, title=f"{name} (synthetic)", public_url=address))
        self.node: Node = open_node(self.home)
        code = self.node.identity.first_link()
        self.node.identity.redeem(code, "li", "correct horse battery 7", roles=[Role.STEWARD, Role.PRODUCT_OWNER])
        self._token = self.node.identity.login("li", "correct horse battery 7")
        app = new_app()
        app.include_router(create_dsp_router(self.node.share))
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.node.share.start()

    def run(self, *arguments: str, ok: bool = True) -> str:
        """Run one command as the office's person and return what it prints."""
        environment = {"GONGSHU_HOME": str(self.home.path), "GONGSHU_TOKEN": self._token, "COLUMNS": "200"}
        result = CliRunner().invoke(share_app, list(arguments), env=environment)
        if ok and result.exception:
            raise AssertionError(result.output) from result.exception
        assert ok == (result.exit_code == 0), result.output
        return result.stdout if ok else f"{result.output}{result.exception}"

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run(*arguments, "--format", "json"))
        return found

    def publish(self) -> None:
        dataset = self.node.store.write("orders", orders(50), title="Orders", origin="import:orders.csv")
        self.node.catalogue.confirm(
            dataset,
            grade=Grade.ONE,
            importance=Importance.GENERAL,
            category=self.node.catalogue.dataset(dataset).label.category,
            actor=SubjectId("user:li"),
            reason="reviewed",
        )

    def close(self) -> None:
        self.node.share.close()
        self._server.should_exit = True
        self._thread.join(10)
        self.node.close()


@contextmanager
def offices(folder: Path) -> Iterator[tuple[Office, Office]]:
    mill, shop = Office(folder / "mill", "mill"), Office(folder / "shop", "shop")
    try:
        yield mill, shop
    finally:
        mill.close()
        shop.close()


def test_two_offices_get_to_know_each_other_and_make_a_contract_by_commands(tmp_path: Path) -> None:
    with offices(tmp_path) as (mill, shop):
        invitation = mill.run("invite").splitlines()[0]
        fingerprint = mill.node.keys.fingerprint()
        assert "exchanged" in shop.run("join", invitation, "--fingerprint", "sha256:00", ok=False)
        answer = shop.run("join", invitation, "--fingerprint", fingerprint).splitlines()[-1]
        line = tmp_path / "shop.txt"
        line.write_text(answer, encoding="utf-8")
        mill.run("join", str(line), "--fingerprint", shop.node.keys.fingerprint())
        mill.publish()
        terms = ("--to", shop.party, "--uses", "2", "--until", "2099-12-31", "--column", "quantity")
        assert list(mill.rows("offer", "orders", *terms, "--preview")[0]) == ["quantity"]
        assert mill.rows("offers") == []
        offer = mill.rows("offer", "orders", *terms)[0]
        assert shop.rows("find", mill.party)[0]["offer_id"] == offer["offer_id"]
        made = shop.rows("negotiate", mill.party, "orders")[0]
        assert made["state"] == "FINALIZED"
        opened = shop.rows("transfer", made["agreement_id"])[0]
        file = tmp_path / "rows.parquet"
        shop.run("pull", opened["process_id"], "--file", str(file))
        assert pa_parquet.read_table(file).column_names == ["quantity"]
        kept = shop.rows("pull", opened["process_id"], "--as", "mill_orders")[0]
        assert shop.node.catalogue.dataset(kept["dataset_id"]).origin == f"partner:{mill.party}"
        assert "used up" in shop.run("pull", opened["process_id"], "--as", "mill_orders", ok=False)
        assert (mill.rows("agreements")[0]["uses_left"], len(mill.rows("deliveries"))) == (0, 2)
        mill.run("retire", made["agreement_id"], "--reason", "done")
        shop.node.share.wait_for(opened["process_id"], {State.TERMINATED}, 20)
        assert shop.rows("transfers")[0]["state"] == "TERMINATED"
        assert shop.rows("negotiations")[0]["state"] == "FINALIZED"
        mill.run("withdraw", offer["offer_id"])
        assert shop.rows("find", mill.party) == []


def test_commands_refuse_with_one_clear_line(tmp_path: Path) -> None:
    with offices(tmp_path) as (mill, _):
        mill.node.store.write("drafts", orders(5), title="Drafts", origin="import:x")
        assert "only proposed" in mill.run("offer", "drafts", "--uses", "1", ok=False)
        assert "restrict nothing" in mill.run("offer", "drafts", ok=False)
        assert "2027-12-31" in mill.run("offer", "drafts", "--until", "soon", ok=False)
        assert "no party" in mill.run("find", "urn:gongshu:party:nobody", ok=False)
        assert "--as" in mill.run("pull", "urn:uuid:1", ok=False)
        assert "invitation" in mill.run("join", "gongshu-invite-1.abc", ok=False)


def test_programs_do_the_same_over_http(sites: tuple[Site, Site]) -> None:
    mill, shop = sites
    mill.publish()
    with (
        httpx.Client(base_url=f"{mill.address}/api/v1/share") as ours,
        httpx.Client(base_url=f"{shop.address}/api/v1/share", timeout=20) as theirs,
    ):
        until = datetime(2099, 1, 1, tzinfo=UTC).isoformat()
        terms = {"uses_max": 1, "until": until, "columns": ["quantity"]}
        preview = {"dataset_id": "orders", "terms": terms, "party": shop.party, "rows_max": 2}
        assert ours.post("/preview", json=preview).json()["rows"] == [{"quantity": 0}, {"quantity": 1}]
        body = {"dataset_id": "orders", "terms": terms, "ask_first": True}
        offer = ours.post("/offers", json=body)
        assert offer.status_code == 201
        assert ours.post("/offers", json={**body, "terms": {}}).status_code == 400
        assert ours.post("/offers", json={**body, "surprise": 1}).status_code == 422
        found = theirs.get("/catalogue", params={"party": mill.party}).json()
        assert found["datasets"][0]["offers"][0]["terms"]["uses_max"] == 1
        asked = theirs.post("/negotiations", json={"party": mill.party, "dataset_id": "orders"}).json()
        shop.share.wait_for(asked["process_id"], {State.REQUESTED}, 20)
        waiting: list[dict[str, Any]] = []
        while not waiting:
            waiting = ours.get("/negotiations", params={"waiting": True}).json()
        ours.post(f"/negotiations/{waiting[0]['process_id']}/approve")
        shop.share.wait_for(asked["process_id"], {State.FINALIZED}, 20)
        shown = theirs.get(f"/negotiations/{asked['process_id']}").json()
        assert shown["messages"][0]["message_type"] == "ContractRequestMessage"
        agreement = theirs.get("/agreements").json()[0]
        opened = theirs.post("/transfers", json={"agreement_id": agreement["agreement_id"]}).json()
        shop.share.wait_for(opened["process_id"], {State.STARTED}, 20)
        pulled = theirs.post(f"/transfers/{opened['process_id']}/pull", json={"name": "mill_orders"})
        assert pulled.json() == {"dataset_id": "mill_orders"}
        refused = theirs.post(f"/transfers/{opened['process_id']}/pull", json={"name": "mill_orders"})
        assert (refused.status_code, refused.json()["code"]) == (403, "share.peer_refused")
        assert ours.get("/deliveries").json()[0]["rows"] == 1000
        assert ours.get("/transfers").json()[0]["state"] == "STARTED"
        mine = ours.get("/transfers").json()[0]["process_id"]
        assert ours.post(f"/negotiations/{mine}/terminate").status_code == 404
        ours.post(f"/transfers/{mine}/suspend", json={"reason": "pause"})
        shop.share.wait_for(opened["process_id"], {State.SUSPENDED}, 20)
        ours.post(f"/agreements/{agreement['agreement_id']}/retire", json={"reason": "end"})
        shop.share.wait_for(opened["process_id"], {State.TERMINATED}, 20)
        assert ours.delete(f"/offers/{offer.json()['offer_id']}").json()["withdrawn_at"]
        assert ours.get("/offers").json() == []


def test_a_grade_that_forbids_is_told_to_programs(sites: tuple[Site, Site]) -> None:
    mill, _ = sites
    secret = mill.publish("secret", 5, grade=Grade.THREE)
    body = {"dataset_id": secret, "terms": {"uses_max": 1}}
    refused = httpx.post(f"{mill.address}/api/v1/share/offers", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, GradeForbids.code)
