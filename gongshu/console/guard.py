"""What browsers are told with every answer: run only our own scripts, show us in no frame, guess no types.

Pages are made by a library that writes scripts into them. Each such script is allowed by its hash; a script or handler
that data bring into a page later has none and does not run. See docs/decisions/0093-content-security-policy.md.
"""

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
POLICY = "content-security-policy"
COMMON = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin", "x-frame-options": "DENY"}
OTHER = {**COMMON, POLICY: "default-src 'none'; frame-ancestors 'none'"}
"""For answers that are no pages: opened as one, they can do nothing."""


def guard(app: FastAPI) -> None:
    """Add the headers to every answer of an application, also where it fails: that is answered outside of all else."""
    app.add_middleware(BrowserGuard)
    app.add_exception_handler(Exception, _answer_failure)


class BrowserGuard:
    """Adds the headers to every HTTP answer of the application that it guards."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun: list[Message] = []
        pieces: list[bytes] = []

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if _is_page(message):
                    begun.append(message)  # its headers wait for its scripts
                    return
                message = _with(message, OTHER)
            elif begun:
                pieces.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                start, body = begun.pop(), b"".join(pieces)
                host = Headers(scope=scope).get("host", "")
                await send(_with(start, {**COMMON, POLICY: page_policy(scripts_of(start, body), host)}))
                message = {**message, "body": body}
            await send(message)

        await self._app(scope, receive, guarded)


async def _answer_failure(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return PlainTextResponse("Internal Server Error", 500, OTHER)


def page_policy(scripts: Iterable[bytes], host: str) -> str:
    """Return the policy of a page with these inline scripts.

    `unsafe-eval` stays: the pages' library makes its components from templates in the browser.
    Source: Content Security Policy Level 3, §2.3.1 (hash-source), §6.7 (matching).
    """
    hashes = dict.fromkeys(base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(["script-src 'self' 'unsafe-eval'", *(f"'sha256-{each}'" for each in hashes)]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            f"connect-src 'self'{sockets}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def scripts_of(start: Message, body: bytes) -> list[bytes]:
    """Return the inline scripts of a page that is being answered."""
    packed = Headers(raw=start["headers"]).get("content-encoding", "") == "gzip"
    return _SCRIPT.findall(gzip.decompress(body) if packed else body)


def _is_page(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith("text/html")


def _with(start: Message, headers: dict[str, str]) -> Message:
    """Return the beginning of an answer with these headers, whatever it said of them itself."""
    ours = [(name.encode(), value.encode()) for name, value in headers.items()]
    names = {name for name, _ in ours}
    return {**start, "headers": [*(each for each in start["headers"] if each[0].lower() not in names), *ours]}
