"""The one place where a node is served: the HTTP application, the console, the child processes, start and stop."""

import asyncio
import contextlib
import fcntl
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from gongshu import __version__
from gongshu.affinity import stay_on
from gongshu.api import answer_elsewhere, answer_errors, index_routes
from gongshu.apply.api import create_router as create_apply_router
from gongshu.config import Home, read_config
from gongshu.errors import Conflict
from gongshu.gather.api import create_router as create_gather_router
from gongshu.gather.fleet import Fleet
from gongshu.govern.api import create_router as create_govern_router
from gongshu.hub.api import create_router as create_hub_router
from gongshu.lake.memory import without_pandas
from gongshu.node import Node, open_node
from gongshu.secure.api import create_router as create_secure_router
from gongshu.secure.api import subject_dependency
from gongshu.secure.dcp.api import create_claims_router
from gongshu.secure.dcp.scheme import DcpIdentity
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_tls import TlsSettings, server_context
from gongshu.share.api import create_parties_router
from gongshu.share.api import create_router as create_share_router
from gongshu.share.clearances.api import create_clearances_router
from gongshu.share.contracts.api import create_contracts_router, create_partner_contracts_router
from gongshu.share.crawl.api import create_index_router, create_stamp_router
from gongshu.share.dsp.api import mount_dsp
from gongshu.share.evidence.api import create_entries_router, create_evidence_router
from gongshu.share.keeping.api import create_keeping_router, create_told_router
from gongshu.share.key_changes.api import create_key_changes_router
from gongshu.share.spaces.api import create_spaces_peer_router, create_spaces_router
from gongshu.supervise import Supervisor

UNTOLD: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}
"""What is asked of a node, and how it fails, goes to nobody: no variable of the environment turns that on."""


class PortTaken(Conflict):
    """Another program answers on the port."""

    code = "serve.port_taken"
    template = "Cannot listen on {host}:{port}: {reason}. Stop the other program, or set another port in {file}."


class AlreadyServed(Conflict):
    """Another process serves this home folder; two would collect and dispatch everything twice."""

    code = "serve.already_running"
    template = "The node in {home} is served already ({address}). Stop that process first."


def create_app(node: Node) -> FastAPI:
    """Return the HTTP application of one node: interfaces under /api/v1, data space under /dsp, console at /."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
        node.share.start()
        node.trust.start()
        node.evidence.start()
        node.crawl.start()
        node.spaces.start()
        node.hub.start()
        try:
            yield
        finally:
            node.hub.stop()
            node.spaces.stop()
            node.crawl.stop()
            node.evidence.stop()
            node.trust.stop()
            node.share.stop()

    title = f"Gongshu (工数) — {node.config.title}"
    app = FastAPIOffline(title=title, version=__version__, lifespan=lifespan, telemetry=UNTOLD)
    answer_errors(app)
    _include_protocols(app, node)
    _include_rooms(app, node)

    @app.get("/healthz", include_in_schema=False)
    async def _health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", include_in_schema=False)
    def _metrics() -> PlainTextResponse:
        return PlainTextResponse(_metrics_text(node), media_type="text/plain; version=0.0.4")

    answer_elsewhere(app)
    index_routes(app)
    from gongshu.console import mount_console

    mount_console(app, node)
    return app


def _include_protocols(app: FastAPI, node: Node) -> None:
    """Included first: routes are tried in order, and partners' messages are the most frequent requests."""
    mount_dsp(app, node.share)
    claims = node.identities.find("dcp")
    if isinstance(claims, DcpIdentity):
        app.include_router(create_claims_router(claims))


def _include_rooms(app: FastAPI, node: Node) -> None:
    subject_of = subject_dependency(node.identity)
    app.include_router(create_secure_router(node.identity, node.gate, node.policies, node.audit, subject_of))
    judges = partial(node.gate.require_whole, purpose="quality")
    emptied = node.keeping.emptied
    app.include_router(create_govern_router(node.catalogue, node.quality, node.packs, subject_of, judges, emptied))
    app.include_router(create_gather_router(node.sources, subject_of))
    app.include_router(create_contracts_router(node.share, subject_of))
    app.include_router(create_clearances_router(node.share, subject_of))
    app.include_router(create_key_changes_router(node.share, subject_of))
    app.include_router(create_partner_contracts_router(node.share))
    app.include_router(create_share_router(node.share, subject_of))
    app.include_router(create_index_router(node.crawl, subject_of))
    app.include_router(create_stamp_router(node.crawl, node.identities))
    app.include_router(create_spaces_router(node.spaces, subject_of))
    app.include_router(create_spaces_peer_router(node.spaces, node.identities))
    app.include_router(create_parties_router(node.introductions, node.trust, subject_of))
    app.include_router(create_keeping_router(node.keeping, subject_of))
    app.include_router(create_told_router(node.share, node.keeping))
    app.include_router(create_evidence_router(node.evidence, node.exporter, node.ledger, subject_of))
    app.include_router(create_entries_router(node.share, node.evidence))
    app.include_router(create_apply_router(node.apps, subject_of))
    app.include_router(create_hub_router(node.hub, node.peers, subject_of))


def _metrics_text(node: Node) -> str:
    lake = node.lake.status()
    lines = [
        f"gongshu_log_end_offset {lake.log_end}",
        f"gongshu_committed_offset {lake.committed_offset}",
        f"gongshu_pending_rows {lake.pending_rows}",
        f"gongshu_rows_total {lake.rows_total}",
        f"gongshu_files {lake.files}",
        f"gongshu_size_bytes {lake.size_bytes}",
    ]
    return "\n".join(lines) + "\n"


def serve(home: Home, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Run the node until SIGINT or SIGTERM; children stop with it. `say` gets one line with the address.

    Raises: ConfigMissing, ConfigInvalid, AlreadyServed, PortTaken, ProcessorsUnknown.
    """
    without_pandas()
    stay_on(read_config(home).processors)
    node = open_node(home)
    with contextlib.ExitStack() as ending:
        ending.callback(node.close)
        ending.enter_context(_alone(home))
        listener = _listen(node, home)
        ending.callback((home.run / "address").unlink, missing_ok=True)
        say(f"{node.config.title}: {(home.run / 'address').read_text(encoding='utf-8')} (stop with Ctrl-C)")
        with asyncio.Runner(loop_factory=auto_loop_factory()) as loop:  # uvloop where uvicorn brings it
            loop.run(_serve(node, listener))


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hold the home folder for this process; the operating system lets go of it however the process ends."""
    home.run.mkdir(parents=True, exist_ok=True)
    with (home.run / "serve.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            answering = home.run / "address"
            address = answering.read_text(encoding="utf-8") if answering.is_file() else "no address yet"
            raise AlreadyServed(home=home.path, address=address) from cause
        yield


def _listen(node: Node, home: Home) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio asks, for TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((node.config.host, node.config.port))
        listener.listen(128)
    except OSError as cause:
        listener.close()
        raise PortTaken(
            host=node.config.host, port=node.config.port, reason=cause.strerror, file=home.config_file
        ) from cause
    home.run.mkdir(parents=True, exist_ok=True)
    scheme = "http" if node.tls.certificate is None else "https"
    _write_whole(home.run / "address", f"{scheme}://{node.config.host}:{listener.getsockname()[1]}")
    return listener


class _CertifiedProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """Hands each connection's client certificate to the application, as the ASGI TLS extension has it."""

    app: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert(binary_form=True)
        chain = [] if shown is None else [ssl.DER_cert_to_PEM_cert(shown)]
        application = self.app

        async def certified(scope: Any, receive: Any, send: Any) -> None:
            extensions = {**scope.get("extensions", {}), "tls": {"client_cert_chain": chain}}
            await application({**scope, "extensions": extensions}, receive, send)

        if tls is not None:
            self.app = certified


SHUTDOWN_S = 10
"""A node that stops waits so long for its answers; streams would last for days, and go on after the next start."""


def server_config(app: FastAPI, tls: TlsSettings, parties: PartyRegistry) -> uvicorn.Config:
    """Return how an application is served: in TLS if the node has a certificate, else in plain HTTP."""
    # Its warnings tell of requests that are no HTTP: whoever sends them could fill the log.
    quiet: dict[str, Any] = {"log_level": "error", "access_log": False, "timeout_graceful_shutdown": SHUTDOWN_S}
    if tls.certificate is not None:
        context = server_context(tls, parties.pinned_certificates)
        quiet |= {"http": _CertifiedProtocol, "ssl_context_factory": lambda _config, _default: context}
    return uvicorn.Config(app, lifespan="on", ws="websockets-sansio", **quiet)


async def _serve(node: Node, listener: socket.socket) -> None:
    server = uvicorn.Server(server_config(create_app(node), node.tls, node.parties))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    with Supervisor() as supervisor:
        supervisor.add("writer", [sys.executable, "-m", "gongshu.lake.writer", "--home", str(node.home.path)])
        fleet = Fleet(supervisor, node.sources, node.home)
        fleet.start()
        try:
            await server.serve(sockets=[listener])
        finally:
            await asyncio.to_thread(fleet.stop)


def _write_whole(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
