"""A node's real services with its HTTP application on a free loopback port, in a thread of the test."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from pathlib import Path

import pyarrow as pa
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gongshu.errors import GongshuError
from gongshu.main import server_config
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.parties import Party
from gongshu.secure.peer_identity import PeerIdentities, SchemeParts, installed_schemes
from gongshu.secure.peer_tls import TlsSettings
from gongshu.secure.peer_tokens import PeerTokens
from gongshu.share.api import create_router
from gongshu.share.clearances.api import create_clearances_router
from gongshu.share.contracts.api import create_contracts_router, create_partner_contracts_router
from gongshu.share.dsp.api import mount_dsp
from gongshu.share.keeping.api import create_keeping_router, create_told_router
from gongshu.share.sending import Retries
from gongshu.share.service import ShareService, ShareSettings
from tests.integration.share.household import Household
from tests.metadata import new_database

LOOPBACK = (ip_network("127.0.0.0/8"),)
"""Where members of trust lists lie in these tests."""
FAST = ShareSettings(body_timeout_s=1.0, retries=Retries(first_ms=100, longest_s=1.0, attempts_max=8))


class MovedClock:
    """The real clock, moved by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def orders(rows: int = 1000) -> pa.Table:
    """A plain table without anything sensitive."""
    return pa.table(
        {
            "line_number": pa.array(range(rows), pa.int64()),
            "part_number": [f"P-{i % 7}" for i in range(rows)],
            "quantity": pa.array([i % 13 for i in range(rows)], pa.int64()),
        }
    )


def new_app() -> FastAPI:
    """An application that answers errors as a node does."""
    app = FastAPI()

    @app.exception_handler(GongshuError)
    async def _(request: Request, error: GongshuError) -> JSONResponse:
        return JSONResponse({"code": error.code, "detail": str(error)}, status_code=error.status)

    return app


class FromFirstRequest:
    """An application that is made when somebody asks for it: few tests do, and each site's takes as long as a test."""

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self._made = cache(make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._made()(scope, receive, send)


class Site(Household):
    """One party's node, without console, collectors and writer."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        settings: ShareSettings = FAST,
        tls: TlsSettings = TlsSettings(inside=LOOPBACK),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.name = folder, name
        self.party = PartyId(f"urn:gongshu:party:{name}")
        self.clock = MovedClock()
        super().__init__(folder, self.party, self.clock, new_database(folder / "metadata.db"))
        self.peers = PeerTokens(self.keys, self.parties, self.party, self.clock, database=self.database)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.tls = tls
        scheme = "http" if tls.certificate is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        own = SchemeParts(
            self.party, self.keys, self.parties, self.peers, self.database, self.audit, self.clock, str, tls
        )
        opened = [spec.open(own) for spec in installed_schemes()]
        self.identities = PeerIdentities(
            self.parties, [scheme for scheme in opened if scheme is not None], own_party_id=self.party
        )
        self.share = ShareService(
            database=self.database,
            catalogue=self.catalogue,
            gate=self.gate,
            parties=self.parties,
            peers=self.identities,
            keys=self.keys,
            audit=self.audit,
            clock=self.clock,
            own_party_id=self.party,
            public_address=lambda: self.address,
            settings=settings,
            keeping=self.keeping,
            clearances=self.clearances,
            spool=folder / "run",
            tls=tls,
        )
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def serve(self) -> None:
        """Answer HTTP and start sending."""
        self._server = uvicorn.Server(server_config(self.app(), self.tls, self.parties))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        self.share.start()

    def app(self) -> FastAPI:
        app = new_app()
        mount_dsp(app, self.share)
        app.include_router(create_told_router(self.share, self.keeping))
        app.include_router(create_partner_contracts_router(self.share))
        app.router.default = FromFirstRequest(self.own_app)
        return app

    def own_app(self) -> FastAPI:
        """What the party's own people use."""
        app = new_app()
        app.include_router(create_keeping_router(self.keeping, lambda: self.li))
        app.include_router(create_contracts_router(self.share, lambda: self.li))
        app.include_router(create_clearances_router(self.share, lambda: self.li))
        app.include_router(create_router(self.share, lambda: self.li))
        return app

    def knows(self, other: "Site", *, address: str = "", identity: str = "gongshu", certificate: str = "") -> None:
        known_at = address or other.address
        party = Party(
            other.party, other.name, other.keys.public_key_pem(), known_at, ("partner",), identity, certificate
        )
        self.parties.add(party)

    def publish(self, name: str = "orders", rows: int = 1000, *, grade: Grade = Grade.ONE) -> DatasetId:
        dataset_id = self.store.write(name, orders(rows), title=f"Orders {name}", origin="import:orders.csv")
        self.confirm(dataset_id, grade)
        return dataset_id

    def confirm(self, dataset_id: DatasetId, grade: Grade) -> None:
        category = self.catalogue.dataset(dataset_id).label.category
        self.catalogue.confirm(
            dataset_id,
            grade=grade,
            importance=Importance.GENERAL,
            category=category,
            actor=SubjectId("user:steward"),
            reason="reviewed for the test",
        )

    def close(self) -> None:
        if self._server is not None and self._thread is not None:
            self.share.stop()
            self._server.should_exit = True
            self._thread.join(10)
        self.share.close()
        self._listener.close()
        self.lake.close()
        self.database.close()


@contextmanager
def two_sites(folder: Path, *, settings: ShareSettings = FAST) -> Iterator[tuple[Site, Site]]:
    """Yield a provider and a consumer that know each other and answer."""
    mill, shop = Site(folder / "mill", "mill", settings=settings), Site(folder / "shop", "shop", settings=settings)
    try:
        mill.knows(shop)
        shop.knows(mill)
        mill.serve()
        shop.serve()
        yield mill, shop
    finally:
        mill.close()
        shop.close()
