"""The commands of two organisations, against nodes that answer on loopback; and the HTTP routes for own programs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pa_parquet

from gongshu.model.grade import Grade
from gongshu.share.dsp.states import State
from gongshu.share.errors import GradeForbids
from tests.integration.share.offices import offices
from tests.integration.share.site import Site, orders


def test_two_offices_get_to_know_each_other_and_make_a_contract_by_commands(tmp_path: Path) -> None:
    with offices(tmp_path) as (mill, shop):
        invitation = mill.run("invite").splitlines()[0]
        fingerprint = mill.node.keys.fingerprint()
        assert "exchanged" in shop.run("join", invitation, "--fingerprint", "sha256:00", ok=False)
        joined = shop.run("join", invitation, "--fingerprint", fingerprint).splitlines()
        answer = joined[-1]
        assert shop.node.keys.fingerprint() in joined, "what the other side has to compare"
        assert "gongshu share invite" in shop.run("find", mill.party, ok=False), "the mill does not know the shop yet"
        line = tmp_path / "shop.txt"
        line.write_text(answer, encoding="utf-8")
        mill.run("join", str(line), "--fingerprint", shop.node.keys.fingerprint().upper().replace(":", ": "))
        mill.publish()
        terms = ("--to", shop.party, "--uses", "2", "--until", "2099-12-31", "--column", "quantity")
        assert list(mill.rows("offer", "orders", *terms, "--preview")[0]) == ["quantity"]
        for wrong, said in ((("--column", "amount"), "no column 'amount'"), (("--until", "2020-12-31"), "in the past")):
            assert said in mill.run("offer", "orders", *terms, *wrong, "--preview", ok=False), "as the offer is judged"
        assert mill.rows("offers") == []
        offer = mill.rows("offer", "orders", *terms)[0]
        (made_offer,) = mill.node.share.offers(limit=1)
        assert made_offer.terms.until == datetime(2099, 12, 31, 15, 59, 59, 999999, UTC), "a day ends in Beijing"
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
        (held,) = shop.rows("kept")
        assert (held["dataset_id"], held["agreements"], held["obstacle"]) == ("mill_orders", [made["agreement_id"]], "")
        assert "export" in {receipt["operation"] for receipt in shop.rows("receipts", made["agreement_id"])}
        assert mill.rows("receipts", made["agreement_id"], "--faults") == []
        assert shop.rows("deletions") == []
        assert (mill.rows("agreements")[0]["uses_left"], len(mill.rows("deliveries"))) == (0, 2)
        begin = made["agreement_id"].removeprefix("urn:uuid:")[:13]
        assert shop.rows("receipts", begin) == shop.rows("receipts", made["agreement_id"])
        mill.run("retire", begin, "--reason", "done")
        shop.node.share.wait_for(opened["process_id"], {State.TERMINATED}, 20)
        assert shop.rows("transfers")[0]["state"] == "TERMINATED"
        assert shop.rows("negotiations")[0]["state"] == "FINALIZED"
        mill.run("withdraw", offer["offer_id"][:22])
        assert shop.rows("find", mill.party) == []


def test_commands_refuse_with_one_clear_line(tmp_path: Path) -> None:
    with offices(tmp_path) as (mill, _):
        mill.node.store.write("drafts", orders(5), title="Drafts", origin="import:x")
        assert "only proposed" in mill.run("offer", "drafts", "--uses", "1", ok=False)
        assert "restrict nothing" in mill.run("offer", "drafts", ok=False)
        assert "2027-12-31" in mill.run("offer", "drafts", "--until", "soon", ok=False)
        mill.node.store.write("drafts_2026", orders(5), title="Drafts", origin="import:x")
        mill.node.store.write("drafts_2027", orders(5), title="Drafts", origin="import:x")
        assert "drafts_2026, drafts_2027" in mill.run("offer", "drafts_", "--uses", "1", ok=False)
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
        shown_offer = found["datasets"][0]["offers"][0]
        assert shown_offer["terms"]["uses_max"] == 1
        wanted = {"party": mill.party, "dataset_id": "orders", "policy": shown_offer["policy"]}
        other = theirs.post("/negotiations", json={**wanted, "offer_id": "urn:another"})
        assert (other.status_code, other.json()["code"]) == (404, "share.offer_unknown")
        strange = {**shown_offer["policy"], "obligation": [{"action": "dance"}]}
        refused = theirs.post("/negotiations", json={**wanted, "policy": strange})
        assert (refused.status_code, refused.json()["code"]) == (403, "share.terms_unknown")
        asked = theirs.post("/negotiations", json=wanted).json()
        shop.share.wait_for(asked["process_id"], {State.REQUESTED}, 20)
        waiting: list[dict[str, Any]] = []
        while not waiting:
            waiting = ours.get("/negotiations", params={"waiting": True}).json()
        ours.post(f"/negotiations/{waiting[0]['process_id']}/approve")
        shop.share.wait_for(asked["process_id"], {State.FINALIZED}, 20)
        shown = theirs.get(f"/negotiations/{asked['process_id']}").json()
        assert shown["messages"][0]["message_type"] == "ContractRequestMessage"
        agreement = theirs.get("/agreements").json()[0]
        made = {"state": "FINALIZED", "agreement_id": agreement["agreement_id"], "waiting": "", "reason": ""}
        assert theirs.get(f"/negotiations/{asked['process_id']}/state").json() == made
        assert theirs.get(f"/transfers/{asked['process_id']}/state").status_code == 404
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
