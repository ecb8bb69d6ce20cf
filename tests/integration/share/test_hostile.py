"""What a partner, or somebody who claims to be one, may try over the wire."""

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.share.arriving import read_data_address
from gongshu.share.dsp.messages import CONTEXT
from gongshu.share.dsp.schema import find_fault
from gongshu.share.dsp.states import State
from gongshu.share.tables import share_messages
from gongshu.share.terms import Terms
from tests.integration.share.site import Site
from tests.integration.share.test_end_to_end import Sites, provider_transfer, started

BASE = "/dsp/2025-1"
ASKED = f"POST {BASE}/negotiations/request"


def post(
    sender: Site, target: Site, path: str, document: Any, *, header: str | None = None, raw: bytes | None = None
) -> httpx.Response:
    body = raw if raw is not None else json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": header} if header is not None else proved(sender, target, f"POST {BASE}{path}", body)
    return httpx.post(target.address + BASE + path, content=body, headers=headers)


def proved(sender: Site, target: Site, asked: str, body: bytes | None) -> dict[str, str]:
    return dict(sender.peers.headers_for(Party(target.party, "", ""), body, asked))


def get(sender: Site, target: Site, path: str) -> httpx.Response:
    return httpx.get(target.address + BASE + path, headers=proved(sender, target, f"GET {BASE}{path}", None))


def request(site: Site, offer_id: str, dataset: str, **changes: Any) -> dict[str, Any]:
    return {
        "@context": [CONTEXT],
        "@id": "urn:uuid:message-1",
        "@type": "ContractRequestMessage",
        "consumerPid": "urn:uuid:consumer-1",
        "offer": {
            "@id": offer_id,
            "@type": "Offer",
            "target": dataset,
            "permission": [
                {"action": "use", "constraint": [_count("3")]},
            ],
        },
        "callbackAddress": f"{site.address}{BASE}",
        **changes,
    }


def _count(number: str) -> dict[str, str]:
    return {"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": number}


@pytest.fixture
def offered(sites: Sites) -> tuple[Site, Site, dict[str, Any]]:
    mill, shop = sites
    dataset = mill.publish()
    offer = mill.share.offer(dataset, Terms(uses_max=3), mill.li)
    return mill, shop, request(shop, offer.offer_id, dataset)


Offered = tuple[Site, Site, dict[str, Any]]


@pytest.fixture
def spy(tmp_path: Path, sites: Sites) -> Iterator[Site]:
    site = Site(tmp_path / "spy", "spy")
    sites[0].knows(site)
    yield site
    site.close()


def test_the_version_document_is_for_everybody(sites: Sites) -> None:
    reply = httpx.get(sites[0].address + "/.well-known/dspace-version")
    assert find_fault(reply.json(), "VersionResponse") is None
    assert reply.json()["protocolVersions"][0]["path"] == BASE


def test_the_catalogue_holds_to_the_schema_and_names_no_hidden_column(sites: Sites) -> None:
    mill, shop = sites
    dataset = mill.publish()
    mill.share.offer(dataset, Terms(columns=frozenset({"quantity"})), mill.li)
    message = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
    reply = post(shop, mill, "/catalog/request", message)
    assert find_fault(reply.json(), "Catalog") is None
    assert "part_number" not in reply.text
    one = get(shop, mill, f"/catalog/datasets/{dataset}")
    assert find_fault(one.json(), "Dataset") is None
    missing = get(shop, mill, "/catalog/datasets/nothing")
    assert (missing.status_code, missing.json()["@type"]) == (404, "CatalogError")
    odd = post(shop, mill, "/catalog/request", {**message, "filter": [{"sql": "1"}]})
    assert (odd.status_code, odd.json()["@type"]) == (400, "CatalogError")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x.y.z", "Basic YTpi"])
def test_without_proof_there_is_nothing_here(offered: Offered, header: str) -> None:
    mill, shop, message = offered
    reply = post(shop, mill, "/negotiations/request", message, header=header)
    assert reply.status_code == 404
    assert find_fault(reply.json(), "ContractNegotiationError") is None


def test_a_signature_of_another_key_is_refused(offered: Offered, tmp_path: Path) -> None:
    mill, shop, message = offered
    forged = PeerTokens(KeyStore(tmp_path / "forger"), shop.parties, shop.party, shop.clock, database=shop.database)
    body = json.dumps(message).encode()
    header = forged.headers_for(Party(mill.party, "", ""), body, ASKED)["Authorization"]
    assert post(shop, mill, "/negotiations/request", message, header=header).status_code == 404
    assert mill.share.negotiations() == []


def test_a_token_serves_one_request_and_one_body_and_one_audience(offered: Offered) -> None:
    mill, shop, message = offered
    body = json.dumps(message).encode()
    claims = {"body": hashlib.sha256(body).hexdigest(), "request": ASKED}
    once = shop.peers.issue(mill.party, claims=claims)
    assert post(shop, mill, "/negotiations/request", message, header=once).status_code == 201
    assert post(shop, mill, "/negotiations/request", message, header=once).status_code == 404
    other_body = shop.peers.issue(mill.party, claims=claims)
    changed = {**message, "consumerPid": "urn:uuid:other"}
    assert post(shop, mill, "/negotiations/request", changed, header=other_body).status_code == 404
    elsewhere = shop.peers.issue(shop.party, claims=claims)
    assert post(shop, mill, "/negotiations/request", message, header=elsewhere).status_code == 404
    for missing in ("body", "request"):
        part = shop.peers.issue(mill.party, claims={name: claims[name] for name in claims if name != missing})
        assert post(shop, mill, "/negotiations/request", message, header=part).status_code == 404


def test_a_token_for_one_process_does_nothing_to_another(offered: Offered) -> None:
    """A termination that somebody caught on the way, brought to another process of the same two parties."""
    mill, shop, message = offered
    pids = []
    for number in ("1", "2"):
        begun = {**message, "consumerPid": f"urn:uuid:consumer-{number}", "@id": f"urn:uuid:message-{number}"}
        pids.append(post(shop, mill, "/negotiations/request", begun).json()["providerPid"])
    ending = {"@context": [CONTEXT], "@type": "ContractNegotiationTerminationMessage", "code": "x", "reason": ["x"]}
    body = json.dumps({**ending, "providerPid": pids[0], "consumerPid": "urn:uuid:consumer-1"}).encode()
    caught = proved(shop, mill, f"POST {BASE}/negotiations/{pids[0]}/termination", body)["Authorization"]
    assert post(shop, mill, f"/negotiations/{pids[1]}/termination", None, raw=body, header=caught).status_code == 404
    assert get(shop, mill, f"/negotiations/{pids[1]}").json()["state"] != State.TERMINATED


def test_a_token_past_its_time_is_refused_a_little_skew_is_not(offered: Offered) -> None:
    from datetime import timedelta

    mill, shop, message = offered
    shop.clock.ahead = timedelta(seconds=-400)
    assert post(shop, mill, "/negotiations/request", message).status_code == 404
    shop.clock.ahead = timedelta(seconds=120)
    assert post(shop, mill, "/negotiations/request", message).status_code == 404
    shop.clock.ahead = timedelta(seconds=30)
    assert post(shop, mill, "/negotiations/request", message).status_code == 201


def test_another_partys_process_does_not_exist_for_a_spy(offered: Offered, spy: Site) -> None:
    mill, shop, message = offered
    made = post(shop, mill, "/negotiations/request", message).json()
    pid = made["providerPid"]
    end = {
        "@context": [CONTEXT],
        "@type": "ContractNegotiationTerminationMessage",
        "providerPid": pid,
        "consumerPid": made["consumerPid"],
    }
    assert get(spy, mill, f"/negotiations/{pid}").status_code == 404
    assert post(spy, mill, f"/negotiations/{pid}/termination", end).status_code == 404
    assert get(spy, mill, "/negotiations/urn:uuid:nothing").json() == _without_pid(
        get(spy, mill, f"/negotiations/{pid}").json(), pid, "urn:uuid:nothing"
    )
    taken = sa.select(share_messages.c.message_type).where(
        share_messages.c.process_id == pid, share_messages.c.direction == "in"
    )
    with mill.database.connect() as connection:  # its state may go on by itself, also to its end
        assert set(connection.execute(taken).scalars()) == {"ContractRequestMessage"}


def _without_pid(document: dict[str, Any], pid: str, other: str) -> Any:
    return json.loads(json.dumps(document).replace(pid, other))


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "gopher://x"]
)
def test_a_callback_to_an_internal_address_is_refused(offered: Offered, address: str) -> None:
    mill, shop, message = offered
    reply = post(shop, mill, "/negotiations/request", {**message, "callbackAddress": address})
    assert (reply.status_code, reply.json()["code"]) == (400, "share.address_refused")
    assert mill.share.negotiations() == []


def test_a_redirect_is_not_followed(sites: Sites) -> None:
    mill, shop = sites
    hits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as trap:
        port = trap.getsockname()[1]
        party = Party(mill.party, "mill", mill.keys.public_key_pem(), f"http://127.0.0.1:{port}")
        shop.parties.add(party)
        import threading

        def answer() -> None:
            connection, _ = trap.accept()
            hits.append(connection.recv(4096))
            connection.sendall(
                f"HTTP/1.1 302 Found\r\nLocation: {mill.address}/healthz\r\nContent-Length: 0\r\n\r\n".encode()
            )
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        from gongshu.errors import Unavailable

        with pytest.raises(Unavailable):
            shop.share.catalogue_of(mill.party, shop.li)
        thread.join(5)
    assert len(hits) == 1


@pytest.mark.parametrize(
    "raw, status",
    [
        (b"", 400),
        (b"{" * 100_000, 400),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
        (b'{"a":"' + b"x" * (1024 * 1024) + b'"}', 413),
        (b'{"@type":"ContractRequestMessage"}', 400),
        (b"\xff\xfe\x00", 400),
    ],
    ids=["empty", "open", "deep", "huge", "bare", "binary"],
)
def test_bodies_that_are_no_messages_cost_little_and_change_nothing(offered: Offered, raw: bytes, status: int) -> None:
    mill, shop, _ = offered
    before = time.process_time()
    reply = post(shop, mill, "/negotiations/request", None, raw=raw)
    assert reply.status_code == status
    assert find_fault(reply.json(), "ContractNegotiationError") is None
    assert time.process_time() - before < 2
    assert mill.share.negotiations() == []


def test_a_body_that_does_not_end_is_not_waited_for(sites: Sites) -> None:
    mill, shop = sites
    host, port = mill.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST {BASE}/negotiations/request HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{"
        connection.sendall(head.encode())
        before = time.monotonic()
        answer = connection.recv(4096)
    assert b"408" in answer.split(b"\r\n")[0]
    assert time.monotonic() - before < 60
    assert shop.share.negotiations() == []


def test_messages_out_of_order_get_a_400_and_change_nothing(offered: Offered) -> None:
    mill, shop, message = offered
    made = post(shop, mill, "/negotiations/request", message).json()
    pid = made["providerPid"]
    pids = {"@context": [CONTEXT], "providerPid": pid, "consumerPid": made["consumerPid"]}
    final = {**pids, "@type": "ContractNegotiationEventMessage", "eventType": "FINALIZED"}
    reply = post(shop, mill, f"/negotiations/{pid}/events", final)
    assert (reply.status_code, reply.json()["@type"]) == (400, "ContractNegotiationError")
    wrong = {**pids, "consumerPid": "urn:uuid:else", "@type": "ContractNegotiationTerminationMessage"}
    assert post(shop, mill, f"/negotiations/{pid}/termination", wrong).status_code == 400
    mismatch = {**pids, "providerPid": "urn:uuid:else", "@type": "ContractNegotiationTerminationMessage"}
    assert post(shop, mill, f"/negotiations/{pid}/termination", mismatch).status_code == 400
    wrong_type = {**pids, "@type": "TransferTerminationMessage"}
    assert post(shop, mill, f"/negotiations/{pid}/termination", wrong_type).status_code == 400


@pytest.mark.parametrize(
    "constraint",
    [
        {"leftOperand": "odrl:industry", "operator": "eq", "rightOperand": "steel"},
        {"leftOperand": "odrl:count", "operator": "gteq", "rightOperand": "3"},
        {"or": [_count("3"), _count("4")]},
    ],
)
def test_a_request_with_unknown_constraints_is_refused(offered: Offered, constraint: dict[str, Any]) -> None:
    mill, shop, message = offered
    message["offer"]["permission"][0]["constraint"] = [constraint]
    reply = post(shop, mill, "/negotiations/request", message)
    assert (reply.status_code, reply.json()["code"]) == (400, "share.terms_unknown")


def test_a_policy_changed_in_the_database_delivers_nothing(sites: Sites) -> None:
    import sqlalchemy as sa

    from gongshu.share.errors import PeerRefused
    from gongshu.share.odrl import text_hash
    from gongshu.share.tables import share_agreements

    mill, shop = sites
    transfer = started(sites, Terms(uses_max=3), mill.publish())
    with mill.database.begin() as connection:
        text = connection.execute(sa.select(share_agreements.c.policy)).scalar_one()
        longer = text.replace('"rightOperand":"3"', '"rightOperand":"9"')
        connection.execute(sa.update(share_agreements).values(policy=longer))
    with pytest.raises(PeerRefused, match="does not match its hash"):
        shop.share.pull(transfer.process_id, shop.li)
    with mill.database.begin() as connection:
        unknown = text.replace("odrl:count", "odrl:payAmount")
        connection.execute(sa.update(share_agreements).values(policy=unknown, policy_hash=text_hash(unknown)))
    with pytest.raises(PeerRefused, match="payAmount"):
        shop.share.pull(transfer.process_id, shop.li)
    assert mill.share.agreements()[0].status == "retired"


def test_data_tokens_open_one_transfer_and_no_other_door(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=3), mill.publish())
    text = shop.share.process(transfer.process_id).data_address
    address = read_data_address(json.loads(text))
    own = proved(shop, mill, "GET " + address.endpoint.removeprefix(mill.address), None)["Authorization"]
    for header in ("", "Bearer wrong", address.authorization + "x", own):
        assert httpx.get(address.endpoint, headers={"Authorization": header}).status_code == 401
    elsewhere = address.endpoint.rsplit("/", 1)[0] + "/urn:uuid:other"
    assert httpx.get(elsewhere, headers={"Authorization": address.authorization}).status_code == 401
    bare = address.authorization.removeprefix("Bearer ")
    assert httpx.get(address.endpoint, headers={"Authorization": bare}).status_code == 200
    stored = "".join(str(message["body"]) for message in mill.share.messages(provider_transfer(sites).process_id))
    assert bare not in stored
    assert bare.encode() not in (mill.folder / "metadata.db").read_bytes()


def test_only_the_transfers_own_consumer_renews_its_token(sites: Sites, spy: Site) -> None:
    mill, shop = sites
    started(sites, Terms(uses_max=3), mill.publish())
    mine = provider_transfer(sites)
    path = f"/share/data/{mine.process_id}/token"
    target = mill.address + path
    stranger = httpx.post(target, headers=proved(spy, mill, f"POST {path}", b""))
    assert stranger.status_code == 404
    assert httpx.post(target).status_code == 401
    own = httpx.post(target, headers=proved(shop, mill, f"POST {path}", b""))
    assert own.status_code == 200


def test_a_party_that_was_removed_is_nobody(offered: Offered) -> None:
    mill, shop, message = offered
    mill.parties.remove(shop.party)
    assert post(shop, mill, "/negotiations/request", message).status_code == 404


def test_a_forged_agreement_from_a_stranger_changes_nothing(sites: Sites, spy: Site) -> None:
    from gongshu.share.automation import ASK_FIRST

    mill, shop = sites
    shop.knows(spy)
    dataset = mill.publish()
    mill.share.offer(dataset, Terms(uses_max=3), mill.li, rules=ASK_FIRST)
    asked = shop.share.negotiate(mill.party, dataset, shop.li)
    shop.share.wait_for(asked.process_id, {State.REQUESTED}, 20)
    record = shop.share.process(asked.process_id)
    agreement = {
        "@id": "urn:uuid:forged",
        "@type": "Agreement",
        "target": dataset,
        "assigner": mill.party,
        "assignee": shop.party,
        "permission": [{"action": "use"}],
    }
    forged = {
        "@context": [CONTEXT],
        "@type": "ContractAgreementMessage",
        "providerPid": record.peer_pid,
        "consumerPid": record.process_id,
        "agreement": agreement,
    }
    assert post(spy, shop, f"/negotiations/{record.process_id}/agreement", forged).status_code == 404
    assert shop.share.process(asked.process_id).state is State.REQUESTED
    assert shop.share.agreements() == []
