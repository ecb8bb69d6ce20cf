"""Our holder and verifier as the kit wants to find them: `with served(folder, own_port, kit_port) as address`.

The kit asks for two things that the product has no address for: a token service that hands out ID tokens of the holder,
and an address that takes any message if its sender proves to be a member. Both are made here, of the product's parts.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Form, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.node import utc_now
from gongshu.secure.dcp.api import create_claims_router
from gongshu.secure.dcp.fetching import Fetch, HttpFetch
from gongshu.secure.dcp.scheme import DcpIdentity
from gongshu.secure.parties import Party
from gongshu.secure.peer_identity import Proof, SchemeParts
from gongshu.secure.peer_tls import TlsSettings
from tests.contract.identity.rigs import End, NoAudit

ROLES = ("holder", "verifier", "issuer", "thirdparty")
START_S = 60.0


class Bridged:
    """Adds what DID documents of the kit leave out: it is older than the specification's rule of capabilityInvocation.

    The rule itself is tested in tests/unit/secure/dcp, where nothing is added.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def __call__(self, party: Party, address: str, *, body: bytes | None = None, authorization: str = "") -> bytes:
        answer = self._fetch(party, address, body=body, authorization=authorization)
        if not address.endswith("/did.json"):
            return answer
        document = json.loads(answer)
        named = [method["id"] for method in document["verificationMethod"]]
        return json.dumps({"capabilityInvocation": named, **document}).encode()


def kit_did(port: int, role: str) -> PartyId:
    """Return the DID of one of the kit's parties."""
    return PartyId(f"did:web:localhost%3A{port}:{role}")


@contextmanager
def served(folder: Path, own_port: int, kit_port: int) -> Iterator[str]:
    """Serve our side on this machine; yield its address."""
    own = PartyId(f"did:web:localhost%3A{own_port}")
    address = f"http://localhost:{own_port}"
    end = End(folder, own, utc_now)
    for role in ROLES:
        roles = ("issuer",) if role == "issuer" else ("partner",)
        end.parties.add(Party(kit_did(kit_port, role), role, "", f"http://localhost:{kit_port}", roles, "dcp"))
    parts = SchemeParts(
        own, end.keys, end.parties, end.tokens, end.database, NoAudit(), utc_now, lambda: address, TlsSettings()
    )
    claims = DcpIdentity(parts, Bridged(HttpFetch(TlsSettings())))
    config = uvicorn.Config(_app(end, claims), host="localhost", port=own_port, log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join()
        end.database.close()


def _app(end: End, claims: DcpIdentity) -> FastAPI:
    app = FastAPI()
    app.include_router(create_claims_router(claims))
    door = end.door([claims])

    @app.exception_handler(GongshuError)
    async def _answer(_request: Request, error: GongshuError) -> Response:
        return JSONResponse({"code": error.code, "detail": str(error)}, status_code=error.status)

    @app.post("/trigger")
    async def _trigger(request: Request) -> dict[str, str]:
        proof = Proof(request.headers.get("authorization", ""), await request.body())
        return {"party": await run_in_threadpool(door.party_of, proof)}

    @app.post("/sts/token")
    def _token(audience: Annotated[str, Form()], bearer_access_scope: Annotated[str, Form()]) -> dict[str, str]:
        bearer = PartyId(audience)
        access = claims.access.issue(bearer, bearer_access_scope.split(), utc_now())
        return {"access_token": claims.tokens.issue(bearer, access=access)}

    return app
