"""Contracts between two served nodes, each a process with its own database, over HTTP on this machine."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import httpx
import pyarrow as pa

from bench.folder import folder as temporary
from bench.result import Result
from gongshu.config import Home, NodeConfig, write_config
from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import open_node
from gongshu.secure.parties import Party
from gongshu.share.terms import Terms

SINGLE = 60
TOGETHER = 300
START_S = 60.0
ROOT = Path(__file__).parent.parent
PARTS = pa.table({"part": ["P-1", "P-2", "P-3"], "quantity": [5, 7, 11]})
MILL, SHOP = PartyId("urn:gongshu:party:bench-mill"), PartyId("urn:gongshu:party:bench-shop")


def bench_share(seconds: int) -> list[Result]:  # noqa: ARG001  contracts, not readings
    """A negotiation with its transfer and first rows, one after the other; then many contracts at once."""
    with temporary() as folder:
        mill, shop = Home(folder / "mill"), Home(folder / "shop")
        introduce(mill, shop)
        dataset = offer(mill, PARTS)
        with served(mill) as pid:
            command = [sys.executable, "-m", "bench.share_consumer", str(shop.path), MILL, dataset]
            numbers = [str(SINGLE), str(TOGETHER), str(pid)]
            done = subprocess.run([*command, *numbers], cwd=ROOT, capture_output=True, text=True, check=True)
    times = json.loads(done.stdout.splitlines()[-1])
    first = [first_s * 1000 for _, first_s in times["singles"]]
    agreed = median(agreed_s * 1000 for agreed_s, _ in times["singles"])
    p50, p99 = median(first), quantiles(first, n=100)[98]
    rate = TOGETHER / times["many_s"]
    contract = f"the contract alone takes {agreed:.0f} ms"
    work = f"{times['work_s'] / TOGETHER * 1000:.0f} ms of processor time a contract, both ends"
    return [
        Result("negotiation to first rows, idle, p50", p50, "ms", contract, None, "≤ 150 ms", p50 <= 150),
        Result("negotiation to first rows, idle, p99", p99, "ms", "", None, "≤ 400 ms", p99 <= 400),
        Result(
            f"contracts a second, {TOGETHER} at once, both ends here", rate, "/s", work, None, "≥ 50 /s", rate >= 50
        ),
    ]


def introduce(*homes: Home) -> None:
    """Make the homes of the mill and the shop, each of which knows the other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in homes]
    known = []
    for home, party, listener in zip(homes, (MILL, SHOP), sockets, strict=True):
        port = int(listener.getsockname()[1])
        write_config(home, NodeConfig(party_id=party, title=f"{party} (synthetic)", port=port))
        node = open_node(home)
        known.append(Party(party, party, node.keys.public_key_pem(), f"http://127.0.0.1:{port}", ("partner",)))
        node.close()
    for home, other in zip(homes, reversed(known), strict=True):
        node = open_node(home)
        node.parties.add(other)
        node.close()
    for listener in sockets:
        listener.close()


def offer(home: Home, rows: pa.Table) -> str:
    """Store rows at the mill, offer them to the shop, and return the dataset."""
    node = open_node(home)
    dataset_id = node.store.write("orders", rows, title="Orders (synthetic)", origin="import:bench")
    category = node.catalogue.dataset(dataset_id).label.category
    steward = SubjectId("user:steward")
    node.catalogue.confirm(
        dataset_id, grade=Grade.ONE, importance=Importance.GENERAL, category=category, actor=steward, reason="bench"
    )
    owner = Subject(steward, MILL, frozenset({Role.PRODUCT_OWNER, Role.STEWARD}))
    node.share.offer(dataset_id, Terms(parties=frozenset({SHOP}), until=datetime(2099, 1, 1, tzinfo=UTC)), owner)
    node.close()
    return dataset_id


@contextmanager
def served(home: Home) -> Iterator[int]:
    """Serve a node in a process of its own while the block runs; yield its id."""
    process = subprocess.Popen([sys.executable, "-m", "gongshu", "--home", str(home.path), "serve"], cwd=ROOT)
    address = home.run / "address"
    try:
        deadline = time.monotonic() + START_S
        while not (address.is_file() and _answers(address.read_text(encoding="utf-8"))):
            assert process.poll() is None, "the node ended"
            assert time.monotonic() < deadline, "the node did not answer"
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=1.0).is_success
    except httpx.HTTPError:
        return False
