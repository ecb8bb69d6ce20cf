"""Two parties in one process: real engines on real databases, and a wire that loses, repeats, delays and reorders.

No sockets and no sleeping: time stands still until the test moves it, the wire draws its faults from a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Decision, Request, Role, Subject
from gongshu.model.audit import AuditEvent
from gongshu.model.dataset import Column, Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.share.agreements import list_agreements
from gongshu.share.contract_book import ContractBook
from gongshu.share.dsp.messages import ANSWERS, encode
from gongshu.share.dsp.routes import route_of, status_of
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.engine import Engine
from gongshu.share.errors import PeerUnreachable
from gongshu.share.inbox import Answer, Inbox
from gongshu.share.intake import Intake
from gongshu.share.model import Record
from gongshu.share.odrl import canonical_text, message_offer
from gongshu.share.offers import OfferBook
from gongshu.share.outbox import Outbox
from gongshu.share.partners import SIGNS_CONTRACTS
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Reply, Rows
from gongshu.share.processes import list_processes
from gongshu.share.reactor import Reactor
from gongshu.share.runner import Runner
from gongshu.share.sending import Retries
from gongshu.share.signals import Signals
from gongshu.share.tables import share_outbox, share_reactions
from gongshu.share.terms import Terms
from gongshu.share.watchdog import Watchdog
from tests.conftest import Clock
from tests.metadata import new_database

MILL, SHOP, SPY = PartyId("urn:gongshu:party:mill"), PartyId("urn:gongshu:party:shop"), PartyId("urn:gongshu:party:spy")
ORDERS = DatasetId("orders")

LABEL = GradeLabel(Grade.ONE, Importance.GENERAL, "production", GradeStanding.CONFIRMED, None)


def subject(*roles: Role, name: str = "user:li") -> Subject:
    """A person of this node."""
    return Subject(SubjectId(name), MILL, frozenset(roles or {Role.PRODUCT_OWNER}))


class Shelf:
    """A catalogue in memory."""

    def __init__(self, clock: Clock) -> None:
        columns = (Column("time", "TIMESTAMP WITH TIME ZONE"), Column("part", "VARCHAR"), Column("price", "DOUBLE"))
        self.datasets = {
            name: Dataset(
                DatasetId(name),
                DatasetKind.TABLE,
                name.title(),
                None,
                name,
                columns,
                (),
                LABEL,
                "li",
                clock(),
                "import:x",
            )
            for name in ("orders", "parts")
        }

    def dataset(self, dataset_id: DatasetId) -> Dataset:
        if dataset_id not in self.datasets:
            from gongshu.govern.errors import DatasetUnknown

            raise DatasetUnknown(dataset_id=dataset_id)
        return self.datasets[dataset_id]

    def relabel(self, name: str, **changes: Any) -> None:
        found = self.datasets[name]
        self.datasets[name] = replace(found, label=replace(found.label, **changes))


class OpenGate:
    """Permits whatever the share room lets through to it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def decide(self, request: Request) -> Decision:
        self.asked.append(request)
        return Decision(permitted=True, because=("test",))

    def read(self, subject: Subject, query: Any, *, purpose: str, action: str = "read") -> Rows:
        raise AssertionError("no rows are read in these tests")


class Memory:
    """Audit events in a list."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def write(self, event: AuditEvent) -> int:
        return self.write_many([event])

    def write_many(self, events: Sequence[AuditEvent]) -> int:
        self.events.extend(events)
        return len(self.events)


class Net:
    """The wire between the parties of one world."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.parties: dict[PartyId, Site] = {}
        self.fault_ratio = 0.0
        self.late: list[Callable[[], Reply]] = []
        self.sent: list[tuple[PartyId, str, bytes]] = []
        self.is_cut = False
        self.is_plain = False
        """Messages name none that they answer, as those of other connectors."""

    def carry(self, target: PartyId, deliver: Callable[[], Reply]) -> Reply:
        lost = PeerUnreachable(party=target, address="wire", reason="lost")
        if self.is_cut:
            raise lost
        if self.late and self.random.random() < 0.5:
            self.late.pop(self.random.randrange(len(self.late)))()
        if self.random.random() >= self.fault_ratio:
            return deliver()
        fault = self.random.choice(["request", "answer", "twice", "late", "error"])
        if fault == "request":
            raise lost
        if fault == "late":
            self.late.append(deliver)
            raise lost
        if fault == "error":
            return Reply(503)
        reply = deliver()
        if fault == "answer":
            raise lost
        return deliver() if fault == "twice" else reply

    def flush(self) -> None:
        while self.late:
            self.late.pop(self.random.randrange(len(self.late)))()


class SimWire:
    """One party's end of the wire."""

    def __init__(self, net: Net, own: PartyId) -> None:
        self._net = net
        self._own = own

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        if self._net.is_plain:
            body = encode({key: value for key, value in orjson.loads(body).items() if key != ANSWERS})
        self._net.sent.append((party, path, body))
        return self._net.carry(party, lambda: self._net.parties[party].take(self._own, path, body))

    def get(self, party: PartyId, base: str, path: str) -> Reply:
        return self._net.carry(party, lambda: self._net.parties[party].show(self._own, path))


class Site:
    """One party: engine, reactor, outbox, watchdog, intake on a database of its own."""

    def __init__(
        self,
        folder: Path,
        party: PartyId,
        net: Net,
        clock: Clock,
        *,
        retries: Retries | None = None,
        database: Database | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.party, self.net, self.clock = party, net, clock
        self.database = database or new_database(folder / "metadata.db")
        self.audit, self.shelf, self.gate, self.signals = Memory(), Shelf(clock), OpenGate(), Signals()
        self.parties = PartyRegistry(self.database, self.audit, clock)
        self.keys = KeyStore(folder / "keys")
        tokens = PeerTokens(self.keys, self.parties, party, clock, database=self.database)
        doors = PeerIdentities(self.parties, [tokens], own_party_id=party)
        self.policy = SharePolicy(self.shelf, clock)
        self.book = OfferBook(self.database, self.gate, self.policy, self.audit, clock)
        self.engine = Engine(self.database, self.audit, clock, self.signals)
        inbox = Inbox(self.database, self.engine, clock)
        self.intake = Intake(
            self.database, self.engine, inbox, self.book, self.policy, self.parties, doors, clock, own_party_id=party
        )
        self.contracts = ContractBook(self.database, self.keys, self.parties, clock, party, (SIGNS_CONTRACTS,))
        self.reactor = Reactor(
            self.database, self.engine, self.policy, self.audit, clock, party, self.signals, self.contracts
        )
        self.outbox = Outbox(
            self.database,
            self.engine,
            SimWire(net, party),
            self.audit,
            clock,
            self.signals,
            mint_address=lambda record: {"@type": "DataAddress", "endpointType": "http", "endpoint": record.process_id},
            retries=retries or Retries(),
            random=Random(1),
        )
        self.watchdog = Watchdog(self.database, self.engine, self.outbox, clock)
        self.runner = Runner(self.database, self.reactor, self.outbox, self.watchdog, clock, self.signals)
        net.parties[party] = self

    def take(self, sender: PartyId, path: str, body: bytes) -> Reply:
        """What the HTTP endpoints do, without HTTP."""
        try:
            message_type, pid = route_of(unquote(path))
            inbound = self.intake.read(body, message_type)
            answer: Answer = (
                self.intake.begin(sender, inbound) if pid is None else self.intake.go_on(sender, inbound, pid)
            )
            return Reply(answer.status_code, encode(answer.document))
        except GongshuError as error:
            return Reply(status_of(error), encode({"code": error.code, "reason": [str(error)]}))

    def show(self, sender: PartyId, path: str) -> Reply:
        kind = Kind.NEGOTIATION if path.startswith("/negotiations") else Kind.TRANSFER
        try:
            pid = path.rsplit("/", 1)[1].replace("%3A", ":")
            return Reply(200, encode(self.intake.state(sender, pid, kind)))
        except GongshuError as error:
            return Reply(status_of(error), encode({"code": error.code, "reason": [str(error)]}))

    def knows(self, other: "Site") -> None:
        address = f"http://{other.party.rsplit(':', 1)[1]}.example"
        self.parties.add(Party(other.party, other.party, other.keys.public_key_pem(), address))

    @property
    def callback(self) -> str:
        return f"http://{self.party.rsplit(':', 1)[1]}.example/dsp/2025-1"

    def ask_contract(
        self,
        provider: PartyId,
        offer_id: str,
        terms: Terms,
        *,
        target: str = ORDERS,
        more: dict[str, Any] | None = None,
        **values: Any,
    ) -> Record:
        policy = message_offer(terms, offer_id=offer_id, target=target)
        text = canonical_text(policy)
        fields = {"counterparty": provider, "dataset_id": target, "offer_id": offer_id}
        content = {"offer": policy, "callbackAddress": self.callback, **(more or {})}
        return self.engine.open_process(
            Kind.NEGOTIATION,
            Move.REQUEST,
            content,
            {**fields, "policy": text, "own_policy": text, **values},
            actor="user:wang",
        )

    def ask_transfer(self, provider: PartyId, agreement_id: str, **values: Any) -> Record:
        fields = {"counterparty": provider, "dataset_id": ORDERS, "agreement_id": agreement_id}
        content = {"agreementId": agreement_id, "format": "HttpData-PULL", "callbackAddress": self.callback}
        return self.engine.open_process(
            Kind.TRANSFER, Move.TRANSFER_REQUEST, content, {**fields, **values}, actor="user:wang"
        )

    def only(self, kind: Kind) -> Record:
        """Its one negotiation or transfer."""
        with self.database.connect() as connection:
            (record,) = list_processes(connection, kind, limit=2, offset=0, waiting=False, counterparty=None)
        return record

    def close(self) -> None:
        self.database.close()


class World:
    """A provider, a consumer and the wire between them."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        seed: int = 0,
        retries: Retries | None = None,
        mill_database: Database | None = None,
    ) -> None:
        self.clock = clock
        self.net = Net(seed)
        self.mill = Site(folder / "mill", MILL, self.net, clock, retries=retries, database=mill_database)
        self.shop = Site(folder / "shop", SHOP, self.net, clock, retries=retries)
        self.mill.knows(self.shop)
        self.shop.knows(self.mill)

    def settle(self, *, rounds: int = 60, seconds: float = 2.0) -> None:
        """Let both sides work until nothing moves any more, moving the clock between rounds."""
        for _ in range(rounds):
            before = len(self.net.sent)
            self.mill.runner.step()
            self.shop.runner.step()
            self.mill.runner.step()
            if len(self.net.sent) == before and not self.is_busy():
                return
            self.clock.forward(seconds=seconds)

    def ask_contract(self, terms: Terms) -> Record:
        """Let the mill offer, and the shop ask for that."""
        offer = self.mill.book.offer(ORDERS, terms, subject(), known_parties=[SHOP])
        return self.shop.ask_contract(MILL, offer.offer_id, terms)

    def start_transfer(self, *, rounds: int = 60) -> None:
        """Let the shop have a transfer under its one contract."""
        with self.shop.database.connect() as connection:
            (agreement,) = list_agreements(connection, limit=2, offset=0)
        self.shop.ask_transfer(MILL, agreement.agreement_id)
        self.settle(rounds=rounds)

    def states(self, kind: Kind) -> tuple[State, State]:
        """Where the shop stands with its one negotiation or transfer, and where the mill does."""
        return self.shop.only(kind).state, self.mill.only(kind).state

    def is_busy(self) -> bool:
        for site in (self.mill, self.shop):
            with site.database.connect() as connection:
                for table in (share_outbox, share_reactions):
                    if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar():
                        return True
        return False

    def close(self) -> None:
        self.mill.close()
        self.shop.close()


def body_of(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document)
