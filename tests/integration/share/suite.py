"""A counterparty that plays the scenarios of the DSP technology compatibility kit 1.0.1, written anew in Python.

It answers every message with 200 and an empty body, notes what it got, and has no version document. Source of the
scenarios: eclipse-dataspacetck/dsp-tck v1.0.1 (read, not run).
"""

import hashlib
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities, request_line
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.share.automation import Rules
from gongshu.share.bindings import proof_of
from gongshu.share.clearances.book import ClearanceBook
from gongshu.share.dsp.api import mount_dsp
from gongshu.share.dsp.messages import CONTEXT, PATH, build_message, path_of
from gongshu.share.dsp.schema import find_fault
from gongshu.share.dsp.states import Kind, Move, Side, State
from gongshu.share.keeping.judging import Place
from gongshu.share.keeping.service import Keeping
from gongshu.share.model import AgreementStatus, RemoteOffer
from gongshu.share.odrl import canonical_text, text_hash
from gongshu.share.sending import Retries
from gongshu.share.service import ShareService, ShareSettings
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.integration.share.site import MovedClock
from tests.metadata import new_database
from tests.unit.share.world import Memory, OpenGate, Shelf

KIT = PartyId("TCK_PARTICIPANT")
OWN = PartyId("urn:connector:py")
USE = {"permission": [{"action": "use"}]}
WAIT_S = 30.0


def serve(app: FastAPI) -> tuple[uvicorn.Server, threading.Thread, str]:
    """Serve an application on a free loopback port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


class Connector:
    """Our connector as the kit sees it, with the kit's fixtures."""

    def __init__(self, folder: Path, kit: "Kit") -> None:
        folder.mkdir()
        clock = MovedClock()
        self.database = new_database(folder / "metadata.db")
        self.audit = Memory()
        self.keys = KeyStore(folder / "keys")
        self.shelf = Shelf(Clock())
        parties = PartyRegistry(self.database, self.audit, clock)
        peers = PeerTokens(self.keys, parties, OWN, clock, database=self.database)
        keeping = Keeping(
            database=self.database,
            keys=self.keys,
            parties=parties,
            catalogue=_NoCopies(),
            storage=_NoCopies(),
            audit=self.audit,
            clock=clock,
            vault=folder / "vault",
            folder=folder / "sealed",
            place=Place(OWN),
        )
        self.share = ShareService(
            database=self.database,
            catalogue=self.shelf,
            gate=OpenGate(),
            parties=parties,
            peers=PeerIdentities(parties, [peers], own_party_id=OWN),
            keys=self.keys,
            audit=self.audit,
            clock=clock,
            own_party_id=OWN,
            public_address=lambda: self.address,
            keeping=keeping,
            clearances=ClearanceBook(self.database, self.shelf, parties, load_packs(), self.audit, clock, OWN),
            spool=folder / "run",
            settings=ShareSettings(retries=Retries(first_ms=100, longest_s=1.0, attempts_max=6)),
        )
        app = FastAPI()
        mount_dsp(app, self.share)
        self._server, self._thread, self.address = serve(app)
        parties.add(Party(KIT, "kit", kit.keys.public_key_pem(), kit.address))
        self.li = Subject(SubjectId("user:li"), OWN, frozenset({Role.PRODUCT_OWNER}))
        self.share.start()

    def provide(self, dataset: str, rules: Rules | None = None) -> str:
        """Offer a dataset without constraints, as the kit expects; return the offer's id."""
        self.shelf.datasets[dataset] = replace(self.shelf.datasets["orders"], dataset_id=DatasetId(dataset))
        offer_id = f"CD123:{dataset}:456"
        terms = Terms(unrestricted=True)
        return self.share.offer(DatasetId(dataset), terms, self.li, rules=rules, offer_id=offer_id).offer_id

    def agree(self, agreement_id: str, side: Side, rules: Rules) -> None:
        """Store a finalised agreement with the kit."""
        assigner, assignee = (OWN, KIT) if side is Side.PROVIDER else (KIT, OWN)
        policy = {"@id": agreement_id, "@type": "Agreement", "target": "orders", **USE}
        text = canonical_text({**policy, "assigner": assigner, "assignee": assignee})
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(share_agreements).values(
                    agreement_id=agreement_id,
                    side=side,
                    counterparty=KIT,
                    dataset_id="orders",
                    negotiation_id=f"seed:{agreement_id}",
                    policy=text,
                    policy_hash=text_hash(text),
                    status=AgreementStatus.ACTIVE,
                    agreed_at=self.share.clock(),
                    bound_to=proof_of(KIT),
                    transfer_rules=rules.as_json(),
                )
            )

    def close(self) -> None:
        self.share.close()
        self._server.should_exit = True
        self._thread.join(10)
        self.database.close()


class _NoCopies:
    """Stands for catalogue and storage of what is received: the kit moves no data."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the kit moves no data, but {name} was asked for")


@dataclass
class Exchange:
    """One process as the kit knows it."""

    kind: Kind
    own_pid: str
    peer_pid: str


class Kit:
    """The kit's end of the wire."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.keys = KeyStore(folder / "keys")
        self._database = new_database(folder / "metadata.db")
        clock = MovedClock()
        self._tokens = PeerTokens(
            self.keys, PartyRegistry(self._database, Memory(), clock), KIT, clock, database=self._database
        )
        self._got: list[tuple[str, dict[str, Any]]] = []
        self._arrived = threading.Condition()
        self._count = 0
        self._server, self._thread, self.address = serve(self._app())

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/{path:path}")
        async def take(path: str, request: Request) -> Response:
            document = orjson.loads(await request.body())
            fault = find_fault(document, document["@type"])
            assert fault is None, fault
            with self._arrived:
                self._got.append((path, document))
                self._arrived.notify_all()
            if path.endswith("/request"):
                return Response(self._first_answer(path, document), 201)
            return Response(status_code=200)

        return app

    def _first_answer(self, path: str, document: Mapping[str, Any]) -> bytes:
        name = "ContractNegotiation" if path.startswith("negotiations") else "TransferProcess"
        pids = {"consumerPid": document["consumerPid"], "providerPid": f"kit:{document['consumerPid']}"}
        return orjson.dumps({"@context": [CONTEXT], "@type": name, **pids, "state": "REQUESTED"})

    def wait_for(self, move: Move, exchange: Exchange | None = None) -> dict[str, Any]:
        """Return the next message of this kind, for this process."""
        deadline = time.monotonic() + WAIT_S
        with self._arrived:
            while True:
                for index, (_, document) in enumerate(self._got):
                    is_mine = exchange is None or exchange.own_pid in (
                        document.get("providerPid"),
                        document.get("consumerPid"),
                    )
                    event = move.value.removeprefix(move.message_type).strip()
                    if document["@type"] == move.message_type and document.get("eventType", "") == event and is_mine:
                        return self._got.pop(index)[1]
                left_s = deadline - time.monotonic()
                assert left_s > 0, f"no {move} came; got {[d['@type'] for _, d in self._got]}"
                self._arrived.wait(left_s)

    def call(self, connector: Connector, method: str, path: str, document: Any = None) -> httpx.Response:
        body = b"" if document is None else orjson.dumps(document)
        claims = {"request": request_line(method, PATH + path)}
        if method == "POST":
            claims["body"] = hashlib.sha256(body).hexdigest()
        headers = {"Authorization": self._tokens.issue(OWN, claims=claims)}
        return httpx.request(method, connector.address + PATH + path, content=body, headers=headers)

    def new_id(self) -> str:
        self._count += 1
        return f"urn:uuid:kit-{self._count}"

    def request_contract(self, connector: Connector, dataset: str, offer_id: str) -> Exchange:
        own = self.new_id()
        offer = {"@id": offer_id, "@type": "Offer", "target": dataset, **USE}
        content = {"offer": offer, "callbackAddress": self.address}
        message = build_message(
            Move.REQUEST, message_id=self.new_id(), provider_pid=None, consumer_pid=own, content=content
        )
        reply = self.call(connector, "POST", "/negotiations/request", message)
        assert reply.status_code == 201, reply.text
        assert find_fault(reply.json(), "ContractNegotiation") is None
        return Exchange(Kind.NEGOTIATION, own, reply.json()["providerPid"])

    def request_transfer(self, connector: Connector, agreement_id: str) -> Exchange:
        own = self.new_id()
        content = {"agreementId": agreement_id, "format": "HttpData-PULL", "callbackAddress": self.address}
        message = build_message(
            Move.TRANSFER_REQUEST, message_id=self.new_id(), provider_pid=None, consumer_pid=own, content=content
        )
        reply = self.call(connector, "POST", "/transfers/request", message)
        assert reply.status_code == 201, reply.text
        return Exchange(Kind.TRANSFER, own, reply.json()["providerPid"])

    def take_request(self, connector: Connector, kind: Kind, rules: Rules, name: str) -> Exchange:
        """Let our connector ask the kit, as its trigger does, and return the process."""
        if kind is Kind.NEGOTIATION:
            policy = {"@id": f"offer{name}", "@type": "Offer", **USE}
            offer = RemoteOffer(f"offer{name}", policy, Terms(unrestricted=True), "")
            connector.share.negotiate(KIT, name, connector.li, offer=offer, rules=rules)
            asked = self.wait_for(Move.REQUEST)
            assert (asked["offer"]["@id"], asked["offer"]["target"]) == (f"offer{name}", name)
        else:
            connector.share.transfer(name, connector.li, rules=rules)
            asked = self.wait_for(Move.TRANSFER_REQUEST)
        pid = asked["consumerPid"]
        connector.share.wait_for(pid, set(State) - {State.NEW}, WAIT_S)
        return Exchange(kind, f"kit:{pid}", pid)

    def send(self, connector: Connector, exchange: Exchange, side: Side, move: Move, dataset: str) -> int:
        """Send a message of the kit and return the status."""
        content: dict[str, Any] = {}
        if move in (Move.OFFER, Move.REQUEST):
            content = {"offer": {"@id": f"offer{dataset}", "@type": "Offer", "target": dataset, **USE, "assignee": KIT}}
        elif move is Move.AGREE:
            stamp = f"{connector.share.clock():%Y-%m-%dT%H:%M:%S}.123456789Z"
            parties = {"assigner": KIT, "assignee": OWN, "timestamp": stamp}
            agreement = {"@id": self.new_id(), "@type": "Agreement", "target": dataset, **USE, **parties}
            content = {"agreement": agreement, "callbackAddress": self.address}
        pids = (exchange.own_pid, exchange.peer_pid)
        provider_pid, consumer_pid = pids if side is Side.PROVIDER else pids[::-1]
        message = build_message(
            move, message_id=self.new_id(), provider_pid=provider_pid, consumer_pid=consumer_pid, content=content
        )
        return self.call(connector, "POST", path_of(move, exchange.peer_pid), message).status_code

    def wait_state(self, connector: Connector, exchange: Exchange, state: State) -> None:
        """Poll the connector's state as the kit does."""
        name = "negotiations" if exchange.kind is Kind.NEGOTIATION else "transfers"
        deadline = time.monotonic() + WAIT_S
        while True:
            reply = self.call(connector, "GET", f"/{name}/{exchange.peer_pid}")
            assert reply.status_code == 200
            if reply.json()["state"] == state.value:
                return
            assert time.monotonic() < deadline, f"{reply.json()['state']}, not {state}"
            time.sleep(0.05)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._database.close()
