"""How the application answers where no room does: the one form of its errors, and programs' paths where nothing is."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from gongshu.errors import GongshuError

PROBLEM = "application/problem+json"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def answer_errors(app: FastAPI) -> None:
    """Answer every error of ours, and every request that cannot be read, as problem details (RFC 9457)."""
    app.add_exception_handler(GongshuError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def answer_elsewhere(app: FastAPI) -> None:
    """Answer what no route takes under `/api` and `/dsp`; call it after these routes and before pages are mounted."""
    elsewhere = _Elsewhere(tuple(app.router.routes))
    for path in ("/api/{path:path}", "/dsp/{path:path}"):
        app.add_route(path, elsewhere, include_in_schema=False)  # type: ignore[arg-type]  # an ASGI application


class _Elsewhere:
    """Says that nothing is here, or which methods are taken; writes no log, for anybody may ask anything."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        asked = f"{scope['method'][:20]} {scope['path'][:200]}"
        taken = ", ".join(method for method in METHODS if self._takes(scope, method))
        if taken:
            detail = f"Nothing answers {asked}; this path takes {taken}. Use one of these."
            answer = _answer(scope, 405, "MethodNotTaken", "request.method_not_taken", detail, {"Allow": taken})
        else:
            detail = f"Nothing answers {asked}. See /docs for all that does."
            answer = _answer(scope, 404, "NothingHere", "request.nothing_here", detail, {})
        await answer(scope, receive, send)

    def _takes(self, scope: Scope, method: str) -> bool:
        return any(route.matches({**scope, "method": method})[0] is Match.FULL for route in self._routes)


def _answer(scope: Scope, status: int, title: str, code: str, detail: str, headers: dict[str, str]) -> Response:
    if scope["path"].startswith("/dsp/"):  # the protocol has forms for its own errors only
        return PlainTextResponse(f"{detail}\n", status, headers)
    return _problem(status, title, code, detail, "after_fix", headers)


async def _answer_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, GongshuError)
    return _problem(error.status, type(error).__name__, error.code, str(error), error.retry.value)


async def _answer_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)
    reasons = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    detail = f"The request cannot be used: {reasons}. Correct these fields and send it again."
    return _problem(422, "RequestInvalid", "request.invalid", detail, "after_fix")


def _problem(
    status: int, title: str, code: str, detail: str, retry: str, headers: dict[str, str] | None = None
) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:gongshu:error:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "retry": retry,
    }
    return JSONResponse(body, status, headers, media_type=PROBLEM)
