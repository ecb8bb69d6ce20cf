"""The protocol's endpoints over HTTP, both roles under one base, and the data endpoint beside them.

Bodies are bounded in size, time and depth before anything reads them. Who cannot prove who it is gets a 404, as the
specification has it, the same one for everything; see decision 0044.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

import anyio
import anyio.to_thread
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from gongshu.errors import GongshuError, NotAuthenticated
from gongshu.model.ids import PartyId
from gongshu.share.data_wire import QUIET_S
from gongshu.share.delivery import DataRequest
from gongshu.share.dsp.messages import CONTEXT, PATH, build_catalog_error, build_process_error, build_versions, encode
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.routes import FIRST, NEXT, route_of, status_of
from gongshu.share.dsp.states import Kind
from gongshu.share.encoding import PIECE_BYTES, accepts_packed, encoding_of
from gongshu.share.errors import MessageInvalid, MessageTooLarge, MessageTooSlow
from gongshu.share.links import write_links
from gongshu.share.pushing import KEY_HEADER
from gongshu.share.service import ShareService
from gongshu.share.streaming import StreamRequest

Json = dict[str, Any]


def mount_dsp(app: FastAPI, share: ShareService) -> None:
    """Add what other parties use: version, catalogue, negotiation, transfer, data."""
    app.include_router(_create_router(share))
    app.add_middleware(ShortWay, share=share)


class ShortWay:
    """Answers the messages of processes before the framework looks for their route.

    Finding it, and preparing what other routes need, took longer than all else that is not the message's own work. The
    routes stay declared: the interface's description is made from them.
    """

    def __init__(self, app: ASGIApp, share: ShareService) -> None:
        self._app = app
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        found = None
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(PATH):
            with suppress(KeyError):
                found = route_of(scope["path"].removeprefix(PATH))
        if found is None:
            await self._app(scope, receive, send)
        else:
            response = await _receive(self._share, Request(scope, receive), *found)
            await response(scope, receive, send)


def _create_router(share: ShareService) -> APIRouter:
    router = APIRouter(tags=["data space"])
    _add_catalogue(router, share)
    for path, message_type in FIRST.items():
        router.add_api_route(PATH + path, _first_route(share, message_type), methods=["POST"], status_code=201)
    for path, message_type in NEXT.items():
        router.add_api_route(PATH + path, _next_route(share, message_type), methods=["POST"])
    for path, kind in (("/negotiations/{pid}", Kind.NEGOTIATION), ("/transfers/{pid}", Kind.TRANSFER)):
        router.add_api_route(PATH + path, _state_route(share, kind), methods=["GET"])
    _add_data(router, share)
    _add_inbox(router, share)
    return router


def _add_catalogue(router: APIRouter, share: ShareService) -> None:
    @router.get("/.well-known/dspace-version")
    def versions() -> Response:
        """Which versions of the protocol this node speaks, and where."""
        return _json(200, build_versions(service_id=f"{share.own_party_id}:connector"))

    @router.post(PATH + "/catalog/request")
    async def catalogue(request: Request, after: Annotated[str, Query(max_length=400)] = "") -> Response:
        """What this node offers to the party that asks, a page at a time."""

        def work(party: PartyId, body: bytes) -> Response:
            document, pages = share.intake.catalogue(party, body, after=after, address=share.address + PATH)
            headers = {"Content-Location": _page("request", after)}
            first = f"{share.address}{PATH}/catalog/request"
            if pages:
                headers["Link"] = write_links({name: _page(first, begin) for name, begin in pages.items()})
            return _json(200, document, headers)

        return await _answer(share, request, work, _catalogue_error)

    @router.get(PATH + "/catalog/datasets/{dataset_id:path}")
    async def dataset(request: Request, dataset_id: str) -> Response:
        """One dataset with the offers the party may see."""

        def work(party: PartyId, body: bytes) -> Response:  # noqa: ARG001
            found = share.intake.dataset(party, dataset_id, address=share.address + PATH)
            return _json(200, {"@context": [CONTEXT], **found})

        return await _answer(share, request, work, _catalogue_error)


def _page(address: str, after: str) -> str:
    return f"{address}?after={quote(after, safe='')}" if after else address


def _add_data(router: APIRouter, share: ShareService) -> None:
    @router.get("/share/data/{transfer_id}")
    async def data(
        request: Request,
        transfer_id: str,
        purpose: Annotated[str, Query(max_length=200)] = "",
        column: Annotated[list[str] | None, Query(max_length=1000)] = None,
    ) -> Response:
        """The rows of a transfer: Arrow IPC, CSV or Parquet as Accept asks, under the contract's terms."""
        asked = DataRequest(
            transfer_id,
            request.headers.get("authorization", ""),
            purpose,
            tuple(column or ()),
            encoding_of(request.headers.get("accept", "")),
            packed=accepts_packed(request.headers.get("accept", "")),
            request_key=request.headers.get(KEY_HEADER, ""),
        )
        stream = await run_in_threadpool(share.delivery.open, asked)
        return StreamingResponse(_closing(stream.pieces), media_type=stream.media_type)

    @router.get("/share/stream/{transfer_id}")
    async def stream(
        request: Request,
        transfer_id: str,
        purpose: Annotated[str, Query(max_length=200)] = "",
        column: Annotated[list[str] | None, Query(max_length=1000)] = None,
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        """The rows of a stream as they come, from a position on: Arrow IPC, with a mark after each window."""
        asked = StreamRequest(
            transfer_id, request.headers.get("authorization", ""), purpose, tuple(column or ()), after
        )
        opened = await run_in_threadpool(share.flows.streams.open, asked)
        return StreamingResponse(_in_own_thread(opened.pieces), media_type=opened.media_type)

    @router.post("/share/stream/{transfer_id}/token")
    @router.post("/share/data/{transfer_id}/token")
    async def renew(request: Request, transfer_id: str) -> Response:
        """A new data address for the transfer's own consumer."""
        body = await _read_body(request, share)

        def work() -> Json:
            party = share.intake.authenticate(request.scope, body)
            return share.delivery.renew(party, transfer_id)

        return _json(200, await run_in_threadpool(work))


def _add_inbox(router: APIRouter, share: ShareService) -> None:
    @router.api_route("/share/inbox/{transfer_id}", methods=["POST", "PUT"])
    async def receive(request: Request, transfer_id: str) -> Response:
        """Take the one delivery of a push to us: Arrow IPC, CSV, Parquet or JSON as the Content-Type says."""
        arrival = await run_in_threadpool(
            share.flows.inboxes.admit,
            transfer_id,
            request.headers.get("authorization", ""),
            push_key=request.headers.get(KEY_HEADER, ""),
            media_type=request.headers.get("content-type", ""),
        )
        try:
            async for part in _parts(request):
                await run_in_threadpool(arrival.write, part)
            taken = await run_in_threadpool(arrival.finish)
        finally:
            await run_in_threadpool(arrival.close)
        return _json(200, {"transferId": taken.transfer_id, "rows": taken.rows})


def _first_route(share: ShareService, message_type: str) -> Callable[..., Any]:
    async def receive(request: Request) -> Response:
        return await _receive(share, request, message_type, None)

    receive.__name__ = f"begin_by_{message_type}"
    receive.__doc__ = f"Begin a process by a {message_type}."
    return receive


def _next_route(share: ShareService, message_type: str) -> Callable[..., Any]:
    async def receive(request: Request, pid: str) -> Response:
        return await _receive(share, request, message_type, pid)

    receive.__name__ = f"receive_{message_type}"
    receive.__doc__ = f"Apply a {message_type} to a process."
    return receive


async def _receive(share: ShareService, request: Request, message_type: str, pid: str | None) -> Response:
    def work(party: PartyId, body: bytes) -> Response:
        inbound = share.intake.read(body, message_type)
        answer = share.intake.begin(party, inbound) if pid is None else share.intake.go_on(party, inbound, pid)
        return _json(answer.status_code, answer.document)

    return await _answer(share, request, work, error_builder(message_type, pid))


def _state_route(share: ShareService, kind: Kind) -> Callable[..., Any]:
    async def show(request: Request, pid: str) -> Response:
        def work(party: PartyId, body: bytes) -> Response:  # noqa: ARG001
            return _json(200, share.intake.state(party, pid, kind))

        return await _answer(share, request, work, error_builder(kind.value, pid))

    show.__name__ = f"show_{kind}"
    show.__doc__ = f"The state of a {kind}, to its other side."
    return show


async def _answer(
    share: ShareService,
    request: Request,
    work: Callable[[PartyId, bytes], Response],
    error_body: Callable[[bytes, str, str], Json],
) -> Response:
    """Authenticate, do the work off the event loop, and put any error into the protocol's form.

    What follows from the work is begun when the answer has left.
    """
    body, later = b"", share.intake.answer()
    try:
        body = await _read_body(request, share)
        is_post = request.method == "POST"

        def whole() -> Response:
            with share.intake.one_request(later):
                return work(share.intake.authenticate(request.scope, body if is_post else None), body)

        response = await run_in_threadpool(whole)
    except GongshuError as error:
        status, code, reason = status_of(error), error.code, str(error)
        if isinstance(error, NotAuthenticated):
            code, reason = "share.not_authorised", "nothing here for who did not prove who it is"
        response = _json(status, error_body(body, code, reason))
    except BaseException:
        await later.answered()
        raise
    response.background = BackgroundTask(later.answered)
    return response


async def read_proven(request: Request, share: ShareService) -> tuple[PartyId, bytes]:
    """Return who sent a request beside the protocol, and its bounded body.

    Raises: PeerTokenRejected, MessageTooLarge, MessageTooSlow, MessageInvalid.
    """
    body = await _read_body(request, share)
    return await run_in_threadpool(share.intake.authenticate, request.scope, body), body


async def _read_body(request: Request, share: ShareService) -> bytes:
    """Return the body, bounded in size and time. Raises: MessageTooLarge, MessageTooSlow, MessageInvalid (cut off)."""
    limit, timeout_s = share.settings.body_bytes_max, share.settings.body_timeout_s
    with suppress(ValueError):
        if int(request.headers.get("content-length", "0")) > limit:
            raise MessageTooLarge(limit_bytes=limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise MessageTooLarge(limit_bytes=limit)
                parts.append(part)
    except TimeoutError as cause:
        raise MessageTooSlow(timeout_s=timeout_s) from cause
    except ClientDisconnect:  # nobody is there to be told, and nothing of ours failed
        raise MessageInvalid(what="message", reason="it was cut off") from None
    return b"".join(parts)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """Yield a long body in parts of about 1 MiB. Raises: MessageTooSlow if nothing comes for a while."""
    parts, size = [], 0
    coming = request.stream()
    while True:
        try:
            async with asyncio.timeout(QUIET_S):
                part = await anext(coming, None)
        except TimeoutError as cause:
            raise MessageTooSlow(timeout_s=QUIET_S) from cause
        except ClientDisconnect:  # nobody is there to be told
            raise MessageInvalid(what="delivery", reason="it was cut off") from None
        if part is None:
            break
        parts.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


async def _in_own_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a response that may last for days, without keeping a place of the pool for short work."""
    places = anyio.CapacityLimiter(1)
    try:
        while (piece := await anyio.to_thread.run_sync(next, pieces, None, limiter=places)) is not None:
            yield piece
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_close, pieces, limiter=places)


def _close(pieces: Iterator[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


async def _closing(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces from a worker thread, and close their source when the receiver goes away."""
    try:
        async for piece in iterate_in_threadpool(pieces):
            yield piece
    finally:
        with anyio.CancelScope(shield=True):  # else it is closed here, where nothing may wait for rows read ahead
            await run_in_threadpool(_close, pieces)


def _catalogue_error(body: bytes, code: str, reason: str) -> Json:  # noqa: ARG001
    return build_catalog_error(code=code, reason=reason)


def error_builder(message_type: str, pid: str | None) -> Callable[[bytes, str, str], Json]:
    """Return what makes the error body for a path: with the pids of the message, as far as it could be read."""
    kind = Kind.TRANSFER if message_type.lower().startswith("transfer") else Kind.NEGOTIATION

    def build(body: bytes, code: str, reason: str) -> Json:
        sent: Json = {}
        with suppress(MessageInvalid):
            sent = read_document(body) if body else {}
        pids = {name: str(sent.get(name) or pid or "unknown")[:400] for name in ("providerPid", "consumerPid")}
        return build_process_error(
            kind, provider_pid=pids["providerPid"], consumer_pid=pids["consumerPid"], code=code, reason=reason
        )

    return build


def _json(status_code: int, document: Json, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(document), status_code, headers, media_type="application/json")
