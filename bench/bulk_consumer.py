"""The consumer's node for the bench of bulk pulls, in its own process: negotiates, pulls once, prints what it saw.

`python -m bench.bulk_consumer HOME PROVIDER DATASET`
"""

import json
import sys
import threading
import time
from pathlib import Path

import uvicorn

from gongshu.config import Home, read_config
from gongshu.lake.memory import without_pandas
from gongshu.main import create_app
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.share.dsp.states import State

WAIT_S = 120.0


def main(home: Home, provider: PartyId, dataset: str) -> None:
    """Serve this node, pull, and stop."""
    without_pandas()
    node = open_node(home)
    server = uvicorn.Server(
        uvicorn.Config(create_app(node), port=read_config(home).port, log_level="error", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    took_s = _pull(node, provider, dataset, PartyId(read_config(home).party_id))
    (delivery,) = node.share.deliveries()
    print(json.dumps({"took_s": took_s, "rows": delivery.rows, "wire_bytes": delivery.size_bytes}))
    server.should_exit = True
    thread.join(30)
    node.close()


def _pull(node: Node, provider: PartyId, dataset: str, own: PartyId) -> float:
    actor = Subject(SubjectId("user:bench"), own, frozenset({Role.PRODUCT_OWNER}))
    asked = node.share.negotiate(provider, dataset, actor)
    agreed = node.share.wait_for(asked.process_id, {State.FINALIZED}, WAIT_S)
    transfer = node.share.transfer(agreed.agreement_id, actor)
    node.share.wait_for(transfer.process_id, {State.STARTED}, WAIT_S)
    began = time.perf_counter()
    node.share.pull_into(transfer.process_id, "orders", actor)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(Home(Path(sys.argv[1])), PartyId(sys.argv[2]), sys.argv[3])
