"""Our node of the run: the product's own application in a process of its own, with one scheme of identity more.

`python -m tests.interop.served HOME make …` fills a new home folder, `… serve` serves it, also after a kill.
"""

import argparse
import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import uvicorn

from gongshu.config import Home, NodeConfig, write_config
from gongshu.main import create_app
from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import Node, open_node
from gongshu.secure.parties import Party
from tests.interop.mock_identity import MockIdentity

PARTY = "urn:gongshu:party:shop"
DATASET = "orders"
ROWS = 1000
ACCOUNT, PASSWORD = "li", "Seven-quiet-gears"
"""Of this run alone; the node answers on the loopback address."""


def orders(rows: int = ROWS) -> pa.Table:
    """Return the table that we offer; synthetic."""
    return pa.table(
        {
            "line_number": pa.array(range(rows), pa.int64()),
            "part_number": [f"P-{i % 7}" for i in range(rows)],
            "quantity": pa.array([i % 13 for i in range(rows)], pa.int64()),
        }
    )


def make(home: Home, port: int, partners: list[dict[str, Any]]) -> None:
    """Fill a new home folder: configuration, account, one graded dataset, the partners."""
    write_config(home, NodeConfig(party_id=PARTY, title="Interoperability run (synthetic)", port=port))
    with contextlib.closing(open_node(home, identities=[MockIdentity(PARTY)])) as node:
        roles = [Role.PRODUCT_OWNER, Role.STEWARD]
        node.identity.create_account(ACCOUNT, PASSWORD, roles, "system:interop")
        _publish(node)
        for partner in partners:
            _introduce(node, **partner)


def _introduce(node: Node, *, party_id: str, address: str, data_addresses: list[str]) -> None:
    party, title = PartyId(party_id), f"{party_id} (synthetic)"
    node.parties.add(Party(party, title, "", address, ("partner",), identity=MockIdentity.name))
    li = Subject(SubjectId(f"user:{ACCOUNT}"), PartyId(PARTY), frozenset({Role.PRODUCT_OWNER, Role.STEWARD}))
    for data_address in data_addresses:
        node.share.flows.addresses.add(party, data_address, li)


def _publish(node: Node) -> None:
    dataset_id = node.store.write(DATASET, orders(), title="Orders (synthetic)", origin="import:orders.csv")
    node.catalogue.confirm(
        dataset_id,
        grade=Grade.ONE,
        importance=Importance.GENERAL,
        category=node.catalogue.dataset(dataset_id).label.category,
        actor=SubjectId("user:steward"),
        reason="made for the run",
    )


def serve(home: Home, port: int, record: str) -> None:
    """Serve until the process ends; with `record`, keep every protocol message that comes in."""
    with contextlib.closing(open_node(home, identities=[MockIdentity(PARTY)])) as node:
        late = os.environ.get("GONGSHU_INTEROP_LATE_S", "")
        app: Any = _answering_late(create_app(node), float(late)) if late else create_app(node)
        if record:
            app = _recording(app, Path(record))
        config = uvicorn.Config(app, port=port, log_level="warning", access_log=False, ws="websockets-sansio")
        uvicorn.Server(config).run()


def _answering_late(app: Any, late_s: float) -> Callable[..., Awaitable[None]]:
    """Hold answers back after they have left, so that our next message is there before the answer to theirs."""

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        is_message = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/dsp/")
        if not is_message:
            await app(scope, receive, send)
            return
        parts: list[Any] = []

        async def left(message: Any) -> None:
            parts.append(message)  # for the node it has left; it is the network that is slow

        await app(scope, receive, left)
        await asyncio.sleep(late_s)
        for part in parts:
            await send(part)

    return answered


def _recording(app: Any, folder: Path) -> Callable[..., Awaitable[None]]:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = count(len(list(folder.iterdir())) + 1)

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/dsp/"):
            await app(scope, receive, send)
            return
        body: list[bytes] = []
        status = 0

        async def kept() -> Any:
            message = await receive()
            body.append(message.get("body", b""))
            return message

        async def noted(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await app(scope, kept, noted)
        name = f"{next(numbers):03d}-{status}-{scope['method']}{scope['path'].replace('/', '_')[:80]}.json"
        (folder / name).write_bytes(b"".join(body))

    return recorded


def main() -> None:
    """Make or serve, as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("step", choices=["make", "serve"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--partners", type=json.loads, default=[])
    given = parser.parse_args()
    if given.step == "make":
        make(Home(given.home), given.port, given.partners)
    else:
        serve(Home(given.home), given.port, os.environ.get("GONGSHU_INTEROP_RECORD", ""))


if __name__ == "__main__":
    main()
