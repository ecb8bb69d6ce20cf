"""Hostile bodies, addresses and parameters at every endpoint that partners reach, on both databases: never a 5xx."""

import json
import re
import socket
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from httpx import Client, Response

from gongshu.config import NodeConfig
from gongshu.node import Node, open_node
from gongshu.secure.jws import encode_jws
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.share.contracts.api import create_partner_contracts_router
from gongshu.share.crawl.api import create_stamp_router
from gongshu.share.dsp.api import mount_dsp
from gongshu.share.dsp.messages import CONTEXT, PATH
from gongshu.share.evidence.api import create_entries_router
from gongshu.share.keeping.api import create_told_router
from gongshu.share.notices import KIND
from gongshu.share.spaces.api import create_spaces_peer_router
from tests.integration.share.site import new_app
from tests.metadata import new_database, new_home
from tests.unit.share.world import MILL, SHOP, Memory

NUL, HALF, HUGE = "\x00", "\ud800", 2**63
PIECES: tuple[Any, ...] = (NUL, "urn:\x00x", HALF, "x" * 100_000, "", HUGE, -HUGE - 1, 10**30, 1.5, True, None, [], {})
RAW = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"\\ud800"',
    b'{"a":"\\u0000"}',
    b'{"a":' * 5000,
    b"\xff\xfe",
    b'{"a":1e999}',
    b"0" * 5000,
)


class Hostile:
    """A partner of a node, in this process: it is registered, and means ill."""

    def __init__(self, folder: Path, database_url: str) -> None:
        config = NodeConfig(party_id=str(MILL), title="mill (synthetic)", database_url=database_url)
        self.node: Node = open_node(new_home(folder / "mill", config))
        self.keys = KeyStore(folder / "keys")
        self.own = new_database(folder / "own.db")
        self.node.parties.add(Party(SHOP, "shop", self.keys.public_key_pem(), "http://shop.example", ("partner",)))
        known = PartyRegistry(self.own, Memory(), self.node.clock)
        self.tokens = PeerTokens(self.keys, known, SHOP, self.node.clock, database=self.own)
        app = new_app()
        node = self.node
        mount_dsp(app, node.share)
        app.include_router(create_partner_contracts_router(node.share))
        app.include_router(create_told_router(node.share, node.keeping))
        app.include_router(create_entries_router(node.share, node.evidence))
        app.include_router(create_stamp_router(node.crawl, node.identities))
        app.include_router(create_spaces_peer_router(node.spaces, node.identities))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one function answers POST and PUT alike
            paths = app.openapi()["paths"].items()
        self.routes = sorted((method.upper(), path) for path, methods in paths for method in methods)
        listener = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", ws="none")
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        self.client = Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False, timeout=60)

    def send(self, method: str, path: str, body: bytes | None, query: str = "") -> Response:
        asked = f"{method} {path}{query}"
        headers = self.tokens.headers_for(Party(MILL, "", ""), body, asked)
        target = quote(path, safe="/:") + query
        return self.client.request(method, target, content=body, headers=dict(headers))

    def close(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(10)
        self.node.share.close()
        self.node.close()
        self.own.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    url = request.getfixturevalue("postgres_of_module").url if request.param == "postgres" else ""
    made = Hostile(tmp_path_factory.mktemp("sweep"), url)
    yield made
    made.close()


def peer_routes(hostile: Hostile) -> list[tuple[str, str]]:
    found = [(m, path) for m, path in hostile.routes if path.startswith(("/share/", "/dsp/", "/.well-known/"))]
    assert len(found) >= 25
    return [(method, path) for method, path in found if method != "HEAD"]


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: value, path)


def fine(answer: Response, what: object) -> None:
    assert answer.status_code < 500, (what, answer.text[:300])


def test_no_raw_body_is_an_error_of_ours(hostile: Hostile) -> None:
    for method, path in peer_routes(hostile):
        for body in RAW if method != "GET" else (None,):
            fine(hostile.send(method, filled(path, "urn:uuid:1"), body), (method, path, (body or b"")[:40]))


@pytest.mark.parametrize("value", ["\x00", "urn:\x00:1", "x" * 3000, "%00", "..", "😀", "'; --"])
def test_no_name_in_an_address_is_an_error_of_ours(hostile: Hostile, value: str) -> None:
    for method, path in peer_routes(hostile):
        if "{" in path:
            fine(hostile.send(method, filled(path, value), None if method == "GET" else b"{}"), (method, path))


@pytest.mark.parametrize(
    "query",
    ["?after=%00", "?purpose=%00&column=%00", "?column=x%00", f"?after={HUGE}", "?after=-1", "?after=%ff%fe", "?a=%"],
)
def test_no_parameter_is_an_error_of_ours(hostile: Hostile, query: str) -> None:
    for method, path in peer_routes(hostile):
        fine(
            hostile.send(method, filled(path, "urn:uuid:1"), None if method == "GET" else b"{}", query), (method, path)
        )
    sound = json.dumps({"@context": [CONTEXT], "@type": "CatalogRequestMessage"}).encode()
    fine(hostile.send("POST", f"{PATH}/catalog/request", sound, query), query)


def documents(value: Any) -> Iterator[tuple[str, Any]]:
    """Bodies that are of the right form but for one value, by path."""
    receipt: dict[str, Any] = {
        "contract": "c",
        "dataset": "d",
        "role": "r",
        "purpose": "p",
        "operation": "read",
        "outcome": "ok",
    }
    receipt |= {"rows": 1, "at": "2026-01-01T00:00:00Z", "sequence": 1, "previous": "0"}
    proof = {
        "contract": "c",
        "key": "k",
        "reason": "r",
        "method": "m",
        "shredded_at": "",
        "written_at": "",
        "files": [],
    }
    entry: dict[str, Any] = {
        "contract": "c",
        "contract_hash": "h",
        "author": str(SHOP),
        "kind": "end",
        "sequence": 1,
        "previous": "p",
    }
    entry |= {"at": "2026-01-01T00:00:00Z", "reason": "r"}
    for name in receipt:
        yield "/share/usage", {"receipts": [{"body": {**receipt, name: value}, "signature": "00"}]}
    for name in proof:
        yield "/share/deletions", {"body": {**proof, name: value}, "signature": "00"}
    for name in entry:
        yield "/share/evidence", {"entries": [{"body": {**entry, name: value}, "signature": "00"}]}
    for document in (
        {"contract": value, "reason": "x"},
        {"contract": "x", "reason": value},
        {"contract": value, "reason": value},
    ):
        yield "/share/ends", document
    for document in ({"agreement": value, "name": "x"}, {"agreement": "x", "name": value}, value):
        yield "/share/attachments", document
    for message in ("rules", "apply", "leave", "entry", "publish", "withdraw", "contract", "question"):
        fields = {
            "title": value,
            "kind": "resource",
            "entry_id": value,
            "reason": value,
            "words": value,
            "what": "catalogue",
        }
        yield f"/share/spaces/urn:uuid:1/{message}", fields
    yield "/share/spaces/requests", {"title": value, "rules": value}
    yield (
        "/share/spaces/notices",
        {"notice_id": value, "space_id": value, "about": "space", "name": value, "state": value},
    )
    begin = {"@context": [CONTEXT], "@id": "urn:m", "callbackAddress": "http://shop.example/dsp"}
    offer = {"@id": "urn:o", "@type": "Offer", "target": "orders", "permission": [{"action": "use"}]}
    request = {**begin, "@type": "ContractRequestMessage", "consumerPid": "urn:c", "offer": offer}
    for name in ("@id", "consumerPid", "offer", "callbackAddress", "urn:gongshu:replaces", "urn:gongshu:abilities"):
        yield f"{PATH}/negotiations/request", {**request, name: value}
    yield f"{PATH}/negotiations/request", {**request, "offer": {**offer, "@id": value}}
    transfer = {**begin, "@type": "TransferRequestMessage", "consumerPid": "urn:c", "agreementId": "a", "format": "f"}
    for name in ("@id", "consumerPid", "agreementId", "format", "dataAddress"):
        yield f"{PATH}/transfers/request", {**transfer, name: value}
    offered = {**begin, "@type": "ContractOfferMessage", "providerPid": "urn:p"}
    for name in ("@id", "target"):
        yield f"{PATH}/negotiations/offers", {**offered, "offer": {**offer, name: value}}
    yield f"{PATH}/catalog/request", {"@context": [CONTEXT], "@type": "CatalogRequestMessage", "filter": [value]}


@pytest.mark.parametrize("value", PIECES, ids=lambda value: f"{type(value).__name__}-{str(value)[:8]!a}")
def test_no_value_in_its_right_place_is_an_error_of_ours(hostile: Hostile, value: Any) -> None:
    for path, document in documents(value):
        body = json.dumps(document).encode()
        fine(hostile.send("POST", path, body), (path, document))


@pytest.mark.parametrize("value", [NUL, "urn:\x00", HALF, HUGE, "x" * 300])
def test_no_notice_is_an_error_of_ours(hostile: Hostile, value: Any) -> None:
    claims = {"kind": KIND, "from": SHOP, "to": MILL, "id": "urn:n", "agreement": "a", "at": "x"}
    for name in claims:
        body = json.dumps({"notice": encode_jws({**claims, name: value}, hostile.keys)}).encode()
        fine(hostile.send("POST", "/share/notices", body), name)


def test_a_plain_notice_is_kept(hostile: Hostile) -> None:
    claims = {"kind": KIND, "from": SHOP, "to": MILL, "id": "urn:plain", "agreement": "a", "at": "x", "é": "工数"}
    body = json.dumps({"notice": encode_jws(claims, hostile.keys)}).encode()
    assert hostile.send("POST", "/share/notices", body).status_code == 202
