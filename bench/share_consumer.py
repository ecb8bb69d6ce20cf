"""The consumer's node for the bench of sharing, in its own process: negotiates, pulls, prints its times as JSON.

`python -m bench.share_consumer HOME PROVIDER DATASET SINGLE TOGETHER PID`, PID being the provider's process
"""

import json
import sys
import threading
import time
from pathlib import Path

import psutil
import sqlalchemy as sa
import uvicorn

from gongshu.config import Home, read_config
from gongshu.main import create_app
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.prepared import Prepared
from gongshu.share.dsp.states import FINAL, Kind, State
from gongshu.share.model import RemoteOffer
from gongshu.share.tables import share_processes

WAIT_S = 120.0
LOOK_S = 0.05
_STATES = Prepared(
    sa.select(share_processes.c.state, sa.func.count().label("count"))
    .where(share_processes.c.kind == Kind.NEGOTIATION)
    .group_by(share_processes.c.state)
)
"""The driver's own look, so that it costs little beside what is measured."""


def main(home: Home, provider: PartyId, dataset: str, single: int, together: int, pid: int) -> None:
    """Serve this node, measure, and stop."""
    node = open_node(home)
    config = read_config(home)
    server = uvicorn.Server(uvicorn.Config(create_app(node), port=config.port, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    actor = Subject(SubjectId("user:bench"), PartyId(config.party_id), frozenset({Role.PRODUCT_OWNER}))
    offer = node.share.catalogue_of(provider, actor).datasets[0].offers[0]
    for _ in range(3):  # connections, prepared statements, compiled schemas
        one(node, provider, dataset, actor, offer)
    singles = [one(node, provider, dataset, actor, offer) for _ in range(single)]
    both = (psutil.Process(), psutil.Process(pid))
    before = sum(sum(each.cpu_times()[:2]) for each in both)
    many_s = many(node, provider, dataset, actor, offer, together)
    work_s = sum(sum(each.cpu_times()[:2]) for each in both) - before
    print(json.dumps({"singles": singles, "many_s": many_s, "work_s": work_s}))
    server.should_exit = True
    thread.join(30)
    node.close()


def one(node: Node, provider: PartyId, dataset: str, actor: Subject, offer: RemoteOffer) -> tuple[float, float]:
    """Return the seconds to a final contract, and to its first rows."""
    began = time.perf_counter()
    asked = node.share.negotiate(provider, dataset, actor, offer=offer)
    done = node.share.wait_for(asked.process_id, {State.FINALIZED}, WAIT_S)
    agreed_s = time.perf_counter() - began
    transfer = node.share.transfer(done.agreement_id, actor)
    node.share.wait_for(transfer.process_id, {State.STARTED}, WAIT_S)
    node.share.pull(transfer.process_id, actor)
    return agreed_s, time.perf_counter() - began


def many(node: Node, provider: PartyId, dataset: str, actor: Subject, offer: RemoteOffer, count: int) -> float:
    """Return the seconds for so many contracts at once."""
    began = time.perf_counter()
    for _ in range(count):
        node.share.negotiate(provider, dataset, actor, offer=offer)
    while _open(node):
        assert time.perf_counter() - began < WAIT_S, "the contracts did not become final"
        time.sleep(LOOK_S)
    return time.perf_counter() - began


def _open(node: Node) -> int:
    with node.database.connect() as connection:
        counts = {row.state: row.count for row in _STATES.all(connection)}
    assert State.TERMINATED not in counts, "a contract was refused"
    return sum(count for state, count in counts.items() if state not in FINAL)


if __name__ == "__main__":
    single, together, pid = map(int, sys.argv[4:])
    main(Home(Path(sys.argv[1])), PartyId(sys.argv[2]), sys.argv[3], single, together, pid)
