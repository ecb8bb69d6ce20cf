"""Whole hub nodes on real storage: log, lake, catalogue, gate, keys; and an HTTP server for the province."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gongshu.errors import GongshuError
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.store import DatasetStore
from gongshu.hub.api import create_router
from gongshu.hub.membership import Own
from gongshu.hub.service import HubService
from gongshu.lake import Lake
from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.gate import Gate
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.secure.policy import PolicyService
from tests.metadata import new_database


class WholeNode:
    """One organisation's services from the lake up to the hub."""

    def __init__(self, folder: Path, name: str, clock: Callable[[], datetime], *, division: str = "C34") -> None:
        folder.mkdir(parents=True)
        self.party_id = PartyId(f"urn:gongshu:party:{name}")
        self.address = "http://127.0.0.1:1"
        self.database = new_database(folder / "metadata.db")
        self.keys = KeyStore(folder / "keys")
        self.audit = AuditLog(self.database, self.keys, clock)
        packs = load_packs()
        catalogue = CatalogueService(self.database, packs, self.audit, clock)
        self.lake = Lake.open(log_file=folder / "log.db", warehouse=folder / "lake")
        self.store = DatasetStore(self.lake, catalogue)
        policies = PolicyService(self.database, self.audit, clock)
        self.gate = Gate(catalogue, self.lake, policies, self.audit, clock, keys=self.keys, own_party_id=self.party_id)
        self.parties = PartyRegistry(self.database, self.audit, clock)
        self.peers = PeerTokens(self.keys, self.parties, self.party_id, clock, database=self.database)
        own = Own(self.party_id, name.title(), division, lambda: self.address)
        self.hub = HubService(
            self.database,
            self.keys,
            self.parties,
            self.peers,
            self.gate,
            packs,
            self.audit,
            clock,
            own,
            timeout_s=5.0,
        )

    def person(self, *roles: Role) -> Subject:
        return Subject(SubjectId("user:li"), self.party_id, frozenset(roles or (Role.STEWARD,)))

    def write_meters(self, rows: list[tuple[datetime, float]]) -> DatasetId:
        table = pa.table(
            {
                "time": pa.array([time for time, _ in rows], pa.timestamp("us", tz="UTC")),
                "kwh": pa.array([kwh for _, kwh in rows], pa.float64()),
            }
        )
        return self.store.write("meters", table, title="电表", origin="import:meters.csv")

    def app(self) -> FastAPI:
        app = FastAPI()

        async def answer(_: Request, error: Exception) -> JSONResponse:
            assert isinstance(error, GongshuError)
            body = {"code": error.code, "detail": str(error), "status": error.status}
            return JSONResponse(body, status_code=error.status, media_type="application/problem+json")

        app.add_exception_handler(GongshuError, answer)
        app.include_router(create_router(self.hub, self.peers, lambda: self.person()))
        return app

    def close(self) -> None:
        self.lake.close()
        self.database.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def served(node: WholeNode, port: int) -> Iterator[str]:
    """Serve the node's routes on the port until the block ends."""
    server = uvicorn.Server(uvicorn.Config(node.app(), port=port, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
