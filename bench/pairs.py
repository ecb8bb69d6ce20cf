"""Two connectors that can make contracts with each other, started for a bench: two of our nodes, or two EDCs.

Each pair keeps its state as the bench asks: ours in SQLite or PostgreSQL, EDC in memory or PostgreSQL. A PostgreSQL
server is one of this bench's own, with the settings it comes with: each commit waits for the disk.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import pyarrow as pa

from bench.node import _served
from gongshu.config import Home, NodeConfig, write_config
from gongshu.model.access import Role
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.secure.parties import Party
from gongshu.share.automation import Rules
from gongshu.share.terms import Terms
from tests.interop.edc import Edc, Stores, fetch, fetch_stores
from tests.interop.waiting import free_ports
from tests.postgres import Server, missing, served

BEGINNERS = 4
LOOK_S = 0.1
"""Many at once: the driver asks for the state of one negotiation ten times a second, of either connector alike."""
LOOK_CLOSELY_S = 0.01
"""One at a time: nothing else happens then, and the wait is part of what is measured."""
TIMEOUT_S = 600.0
PASSWORD = "Seven-quiet-gears"
MILL, SHOP = "mill", "shop"


@dataclass(frozen=True)
class Pair:
    """Two connectors, one of which can begin negotiations with the other."""

    begin: Callable[[], str]
    state_of: Callable[[str], str]
    processes: Sequence[psutil.Process]
    servers: Sequence[psutil.Process] = ()
    """What keeps their state for them: its work counts as theirs, its memory not."""
    approve_all: Callable[[], int] = field(default=lambda: 0)
    """Say yes at the provider to what waits for a person; return how many there were."""
    waiting: Callable[[], int] = field(default=lambda: 0)
    """How many wait for a person at the provider."""

    def finish(self, begun: Sequence[str], *, look_s: float = LOOK_S) -> tuple[int, float]:
        """Return how many were made contracts and when the last of them ended.

        The newest is looked at first: when it has ended, nearly all have, and few questions are asked meanwhile.
        Raises: RuntimeError if one never ends.
        """
        final, deadline = 0, time.monotonic() + TIMEOUT_S
        ended = time.monotonic()
        for one in reversed(begun):
            state, has_waited = self.state_of(one), False
            while state not in ("FINALIZED", "TERMINATED"):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"a negotiation is {state}; {final} have ended well")
                time.sleep(look_s)
                state, has_waited = self.state_of(one), True
            ended = time.monotonic() if has_waited else ended
            final += state == "FINALIZED"
        return final, ended

    def begin_many(self, count: int) -> list[str]:
        """Ask for so many contracts at once."""
        with ThreadPoolExecutor(BEGINNERS) as pool:
            return list(pool.map(lambda _: self.begin(), range(count)))

    def rate(self, count: int) -> tuple[float, int]:
        """Return contracts a second when so many are asked for at once, and how many were terminated instead."""
        began = time.monotonic()
        final, ended = self.finish(self.begin_many(count))
        return final / (ended - began), count - final

    def single_ms(self, count: int) -> list[float]:
        """Return how long one contract takes while nothing else happens, several times, in order of length."""
        took: list[float] = []
        while len(took) < count:
            began = time.monotonic()
            final, ended = self.finish([self.begin()], look_s=LOOK_CLOSELY_S)
            if final:
                took.append((ended - began) * 1000)
        return sorted(took)

    def work_s(self) -> float:
        """Return the processor time that both have used so far, with everything they started and their servers."""
        return sum(self.times_s().values())

    def times_s(self) -> dict[int, float]:
        """Return the processor time of each of these processes and of its children that have ended, by its id."""
        every = [each for root in [*self.processes, *self.servers] for each in _tree(root)]
        return {each.pid: float(sum(each.cpu_times()[:4])) for each in every}

    def memories_mb(self) -> list[float]:
        """Return the memory of each connector, with everything it started, PSS."""
        sums = [sum(each.memory_full_info().pss for each in _tree(process)) for process in self.processes]
        return [float(total) / 1e6 for total in sums]


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


@contextmanager
def ours(*, on_postgres: bool, rules: Rules | None = None, apart: bool = False) -> Iterator[Pair]:
    """Run two of our nodes, the provider with an offer under such rules; `apart` each on a processor of its own."""
    ports = free_ports(2)
    with ExitStack() as ending:
        server = ending.enter_context(_postgres()) if on_postgres else None
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-negotiations-")))
        homes = [Home(folder / name) for name in (MILL, SHOP)]
        for home, name, port, processor in zip(homes, (MILL, SHOP), ports, _processors(), strict=True):
            home.path.mkdir()
            url = f"{server.url}/{_database(server, name)}" if server else ""
            title = f"{name} (synthetic)"
            kept = str(processor) if apart else ""
            config = NodeConfig(party_id=_party(name), title=title, port=port, database_url=url, cpu_affinity=kept)
            write_config(home, config)
        nodes = [open_node(home) for home in homes]
        try:
            offer_id, tokens = _introduce(nodes, ports, rules)
        finally:
            for node in nodes:
                node.close()
        processes = [ending.enter_context(_served(home))[0] for home in homes]
        mill, shop = (ending.enter_context(_client(port, token)) for port, token in zip(ports, tokens, strict=True))
        found = shop.get("/catalogue", params={"party": _party(MILL)}).raise_for_status().json()["datasets"]
        offers = [offer for dataset in found for offer in dataset["offers"] if offer["offer_id"] == offer_id]
        asked = {"party": _party(MILL), "dataset_id": "orders", "policy": offers[0]["policy"]}

        def waiting() -> list[str]:
            found = mill.get("/negotiations", params={"waiting": True, "limit": 1000}).raise_for_status().json()
            return [one["process_id"] for one in found]

        def approve_all() -> int:
            ids = waiting()
            for each in ids:
                mill.post(f"/negotiations/{each}/approve").raise_for_status()
            return len(ids)

        yield Pair(
            begin=lambda: str(shop.post("/negotiations", json=asked).raise_for_status().json()["process_id"]),
            state_of=lambda process_id: str(
                shop.get(f"/negotiations/{process_id}/state").raise_for_status().json()["state"]
            ),
            processes=processes,
            servers=[psutil.Process(server.pid)] if server else [],
            approve_all=approve_all,
            waiting=lambda: len(waiting()),
        )


@contextmanager
def edcs(iteration_ms: int, *, on_postgres: bool, apart: bool = False) -> Iterator[Pair]:
    """Run two EDCs that look for work so often; 0 is as they come; `apart` each on a processor of its own."""
    library = fetch()
    with ExitStack() as ending:
        server = ending.enter_context(_postgres()) if on_postgres else None
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-edc-")))
        started = []
        for name in (MILL, SHOP):
            stores = None
            if server:
                url = f"jdbc:postgresql://127.0.0.1:{server.port}/{_database(server, name)}"
                stores = Stores(fetch_stores(), url, "postgres")
            edc = Edc(library, folder, f"edc-{name}", iteration_ms=iteration_ms, stores=stores)
            ending.callback(edc.close)
            edc.start()
            started.append(edc)
        for edc, processor in zip(started, _processors(), strict=True):
            for thread in psutil.Process(edc.pid).threads() if apart else ():
                os.sched_setaffinity(thread.id, {processor})
        mill, shop = started
        source = "http://127.0.0.1:9/orders.csv"
        mill.publish("orders", "Orders (synthetic)", source, ("use", {"permission": [{"action": "use"}]}))
        dataset = shop.catalogue(mill.base, mill.name)["dataset"]
        offers = (dataset[0] if isinstance(dataset, list) else dataset)["hasPolicy"]
        offer = offers[0] if isinstance(offers, list) else offers
        yield Pair(
            begin=lambda: shop.negotiate(mill.base, mill.name, "orders", offer),
            state_of=lambda negotiation: str(shop.get(f"/contractnegotiations/{negotiation}/state")["state"]),
            processes=[psutil.Process(edc.pid) for edc in started],
            servers=[psutil.Process(server.pid)] if server else [],
        )


def _processors() -> list[int]:
    """Return the numbers of two processors; of one twice, where there is no other."""
    given = sorted(os.sched_getaffinity(0))
    return [given[0], given[-1]]


@contextmanager
def _postgres() -> Iterator[Server]:
    if reason := missing():
        raise SystemExit(f"bench: {reason}")
    with served(is_durable=True) as server:
        yield server


def _database(server: Server, name: str) -> str:
    with psycopg.connect(f"{server.url.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return name


def _client(port: int, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}/api/v1/share",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60.0,
    )


def _party(name: str) -> PartyId:
    return PartyId(f"urn:gongshu:party:{name}")


def _introduce(nodes: list[Node], ports: list[int], rules: Rules | None) -> tuple[str, list[str]]:
    """Let both know each other and the first offer a table; return the offer's id and a token at each."""
    mill, shop = nodes
    for node, other, port in ((mill, shop, ports[1]), (shop, mill, ports[0])):
        key = other.keys.public_key_pem()
        node.parties.add(Party(other.party_id, "partner", key, f"http://127.0.0.1:{port}", ("partner",)))
        roles = [Role.PRODUCT_OWNER, Role.STEWARD]
        node.identity.create_account("li", PASSWORD, roles, actor="system:bench")
    dataset_id = mill.store.write("orders", pa.table({"line": [1, 2, 3]}), title="Orders (synthetic)", origin="bench")
    mill.catalogue.confirm(
        dataset_id,
        grade=Grade.ONE,
        importance=Importance.GENERAL,
        category=mill.catalogue.dataset(dataset_id).label.category,
        actor=SubjectId("user:steward"),
        reason="made for the bench",
    )
    tokens = [node.identity.login("li", PASSWORD) for node in nodes]
    offer = mill.share.offer(dataset_id, Terms(unrestricted=True), mill.identity.subject_of(tokens[0]), rules=rules)
    return offer.offer_id, tokens
