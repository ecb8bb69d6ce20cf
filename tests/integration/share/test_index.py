"""The index between two served nodes: followed, read over HTTP, found in the other language, gone when withdrawn."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gongshu.secure.parties import Party
from gongshu.share.crawl.sources import STAMP_PATH
from tests.integration.share.offices import Office, offices


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Office]]:
    with offices(Path(tmp_path_factory.mktemp("index"))) as (mill, shop):
        for own, other in ((mill, shop), (shop, mill)):
            key = other.node.keys.public_key_pem()
            own.node.parties.add(Party(other.node.party_id, "other", key, other.address, ("partner",)))
        mill.publish()
        yield mill, shop


def test_what_a_partner_offers_is_followed_found_and_forgotten(pair: tuple[Office, Office]) -> None:
    mill, shop = pair
    offer = mill.rows("offer", "orders", "--to", shop.party, "--uses", "2")[0]
    assert "not followed" in shop.run("crawl", mill.party, ok=False)
    assert shop.rows("crawl", mill.party, "--follow")[0] | {"pages": 1} == {
        "party": mill.party, "changed": True, "added": 1, "updated": 0, "removed": 0, "pages": 1,
    }  # fmt: skip
    hit = shop.rows("search", "订单")[0]
    assert (hit["party"], hit["dataset_id"], hit["offers"], hit["own"]) == (mill.party, "orders", 1, False)
    assert mill.rows("search", "dingdan")[0]["own"]
    known = shop.node.parties.get(mill.node.party_id)
    shop.run("forget", mill.party)
    assert shop.rows("search", "订单", "--party", mill.party) == [], "nobody can ask a party for it that is not known"
    shop.node.parties.add(known)
    assert shop.rows("search", "订单", "--party", mill.party) == [hit]
    assert shop.rows("crawl", mill.party)[0]["changed"] is False
    mill.run("withdraw", offer["offer_id"])
    assert shop.rows("crawl", mill.party)[0]["removed"] == 1
    assert shop.rows("search", "订单", "--party", mill.party) == []
    shop.run("crawl", mill.party, "--forget")
    assert shop.rows("crawl") == []
    assert "nothing to search" in shop.run("search", "??", ok=False)


def test_programs_use_http_and_strangers_get_the_one_404(pair: tuple[Office, Office]) -> None:
    mill, shop = pair
    with httpx.Client(base_url=mill.address, trust_env=False) as client:
        assert client.get(STAMP_PATH).status_code == 404
        forged = client.get(STAMP_PATH, headers={"Authorization": "Bearer a.b.c"})
        assert (forged.status_code, forged.json()) == (404, {"code": "share.not_authorised"})
    with httpx.Client(base_url=shop.address, trust_env=False) as client:
        assert client.get("/api/v1/index/search", params={"words": "x"}).status_code == 401
        client.headers["Authorization"] = f"Bearer {shop.token}"
        followed = client.post("/api/v1/index/parties", json={"party": mill.party, "interval_s": 60})
        assert (followed.status_code, followed.json()["interval_s"]) == (201, 60)
        assert client.post(f"/api/v1/index/parties/{mill.party}/crawl").json()["changed"] is True
        assert [each["party"] for each in client.get("/api/v1/index/parties").json()] == [mill.party]
        found = client.get("/api/v1/index/search", params={"words": "订单"})
        assert (found.status_code, found.json()) == (200, [])
        missing = {"party": mill.party, "dataset_id": "orders"}
        assert client.get("/api/v1/index/entry", params=missing).status_code == 404
        assert client.post("/api/v1/index/parties", json={"party": "urn:x:nobody"}).status_code == 404
        assert client.delete(f"/api/v1/index/parties/{mill.party}").status_code == 204


def test_the_served_node_reads_what_is_due(pair: tuple[Office, Office]) -> None:
    mill, shop = pair
    offer = mill.rows("offer", "orders", "--to", shop.party, "--uses", "3")[0]
    shop.node.crawl.follow(mill.node.party_id, shop.node.identity.subject_of(shop.token))
    shop.node.crawl.start()
    try:
        deadline = time.monotonic() + 60
        while shop.rows("crawl")[0]["entries"] != 1:
            assert time.monotonic() < deadline, shop.rows("crawl")
            time.sleep(0.05)
    finally:
        shop.node.crawl.stop()
        shop.run("crawl", mill.party, "--forget")
        mill.run("withdraw", offer["offer_id"])
