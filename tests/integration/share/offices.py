"""Two organisations with served nodes and command lines of their own."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from typer.testing import CliRunner

from gongshu.cli.share import app as share_app
from gongshu.config import NodeConfig
from gongshu.model.access import Role
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import SubjectId
from gongshu.node import Node, open_node
from gongshu.secure.api import create_router as create_secure_router
from gongshu.secure.api import subject_dependency
from gongshu.share.api import create_router
from gongshu.share.crawl.api import create_index_router, create_stamp_router
from gongshu.share.dsp.api import mount_dsp
from gongshu.share.spaces.api import create_spaces_peer_router, create_spaces_router
from tests.integration.share.site import new_app, orders
from tests.metadata import new_home


class Office:
    """One organisation: a served node, and its command line."""

    def __init__(self, folder: Path, name: str) -> None:
        self.party = f"urn:gongshu:party:{name}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        own = NodeConfig(party_id=self.party, title=f"{name} (synthetic)", public_url=self.address)
        self.home = new_home(folder, own)
        self.node: Node = open_node(self.home)
        code = self.node.identity.first_link()
        self.node.identity.redeem(code, "li", "correct horse battery 7", roles=[Role.STEWARD, Role.PRODUCT_OWNER])
        self.token = self.node.identity.login("li", "correct horse battery 7")
        app = new_app()
        subject_of = subject_dependency(self.node.identity)
        mount_dsp(app, self.node.share)
        app.include_router(create_router(self.node.share, subject_of))
        app.include_router(create_index_router(self.node.crawl, subject_of))
        app.include_router(create_stamp_router(self.node.crawl, self.node.identities))
        app.include_router(create_spaces_router(self.node.spaces, subject_of))
        app.include_router(create_spaces_peer_router(self.node.spaces, self.node.identities))
        app.include_router(
            create_secure_router(self.node.identity, self.node.gate, self.node.policies, self.node.audit, subject_of)
        )
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.node.share.start()

    def run(self, *arguments: str, ok: bool = True) -> str:
        """Run one command as the office's person and return what it prints."""
        environment = {"GONGSHU_HOME": str(self.home.path), "GONGSHU_TOKEN": self.token, "COLUMNS": "200"}
        result = CliRunner().invoke(share_app, list(arguments), env=environment)
        if ok and result.exception:
            raise AssertionError(result.output) from result.exception
        assert ok == (result.exit_code == 0), result.output
        return result.stdout if ok else f"{result.output}{result.exception}"

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run(*arguments, "--format", "json"))
        return found

    def publish(self) -> None:
        dataset = self.node.store.write("orders", orders(50), title="Orders", origin="import:orders.csv")
        self.node.catalogue.confirm(
            dataset,
            grade=Grade.ONE,
            importance=Importance.GENERAL,
            category=self.node.catalogue.dataset(dataset).label.category,
            actor=SubjectId("user:li"),
            reason="reviewed",
        )

    def close(self) -> None:
        self.node.share.close()
        self._server.should_exit = True
        self._thread.join(10)
        self.node.close()


@contextmanager
def offices(folder: Path) -> Iterator[tuple[Office, Office]]:
    mill, shop = Office(folder / "mill", "mill"), Office(folder / "shop", "shop")
    try:
        yield mill, shop
    finally:
        mill.close()
        shop.close()
