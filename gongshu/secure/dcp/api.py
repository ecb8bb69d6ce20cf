"""Our DID document and our credential service over HTTP. Bodies are bounded in size and time."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from gongshu.secure.dcp.scheme import PATH, DcpIdentity
from gongshu.secure.errors import ClaimsMessageInvalid
from gongshu.secure.jws import JwsInvalid, read_object

BODY_BYTES_MAX = 512 * 1024
BODY_S = 10.0

Json = dict[str, Any]


def create_claims_router(claims: DcpIdentity) -> APIRouter:
    """Return the routes by which other parties learn who we are and what others say of us."""
    router = APIRouter(tags=["claims"])

    @router.get(claims.document_path)
    def document() -> Json:
        """The DID document of this organisation."""
        return claims.document()

    @router.post(PATH + "/presentations/query")
    async def query(request: Request) -> Response:
        """Our credentials, to whom our access token names."""
        return JSONResponse(await _answered(request, claims.holder.present))

    @router.post(PATH + "/credentials")
    async def take(request: Request) -> Response:
        """Credentials about us, from an issuer that is registered here."""
        await _answered(request, claims.holder.take)
        return Response(status_code=200)

    @router.post(PATH + "/offers")
    async def offer(request: Request) -> Response:
        """Note that an issuer offers us credentials."""
        await _answered(request, claims.holder.note_offer)
        return Response(status_code=200)

    return router


async def _answered(request: Request, work: Callable[[str, Json], Json | None]) -> Json | None:
    body = await _read(request)
    shown = request.headers.getlist("authorization")

    def whole() -> Json | None:
        try:
            message = read_object(body)
        except JwsInvalid as cause:
            raise ClaimsMessageInvalid(what="message", reason="it is no JSON object") from cause
        return work(shown[0] if len(shown) == 1 else "", message)

    return await run_in_threadpool(whole)


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise ClaimsMessageInvalid(what="message", reason=f"it has over {BODY_BYTES_MAX} bytes")
                parts.append(part)
    except TimeoutError as cause:
        raise ClaimsMessageInvalid(what="message", reason=f"it took over {BODY_S:.0f} s") from cause
    return b"".join(parts)
