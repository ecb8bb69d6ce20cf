"""The interfaces of all rooms as one application: how it finds a route, and how it answers where no room does."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from gongshu.errors import GongshuError

PROBLEM = "application/problem+json"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_NAME = re.compile(r"\(\?P<\w+>")


def index_routes(app: FastAPI) -> None:
    """Find all routes that the application has so far in one step; those added later are tried after them."""
    app.router.routes.insert(0, RouteIndex(app.router.routes))


def answer_errors(app: FastAPI) -> None:
    """Answer every error of ours, and every request that cannot be read, as problem details (RFC 9457)."""
    app.add_exception_handler(GongshuError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def answer_elsewhere(app: FastAPI) -> None:
    """Answer what no route takes where programs ask; call it after their routes and before pages are mounted.

    Programs ask where the routes so far begin: `/api`, `/dsp`, `/share`, …; nothing is under `/healthz`.
    """
    elsewhere, contexts = _Elsewhere(tuple(app.router.routes)), iter_route_contexts(app.router.routes)
    paths = [context.path or "" for context in contexts if isinstance(context.original_route, APIRoute)]
    for beginning in sorted({path.split("/")[1] for path in paths if path.count("/") > 1}):
        path = f"/{beginning}/{{path:path}}"
        app.add_route(path, elsewhere, include_in_schema=False)  # type: ignore[arg-type]  # an ASGI application


class RouteIndex(BaseRoute):
    """Finds the route of a request in one step; it stays where it is declared, for the interface's description.

    The framework asks routers and routes one after the other, and each included router twice: with a few hundred routes
    that takes longer than all else it does for a small request.
    What it does not find (a wrong method, an unknown path, what is changed where a router is included) is left to them.
    Of two that fit, the first one is taken.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        by_method: dict[str, list[APIRoute]] = {}
        for context in iter_route_contexts(list(routes)):
            route = context.original_route
            if isinstance(route, APIRoute) and _is_alone(context, route):
                for method in route.methods or ():
                    by_method.setdefault(method, []).append(route)
        self._by_method = {method: (_any_of(found), found) for method, found in by_method.items()}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the route's own answer, which names it."""
        pattern, routes = self._by_method.get(scope.get("method", ""), (None, ()))
        found = pattern.match(scope["path"]) if pattern is not None and scope["type"] == "http" else None
        if found is None or found.lastgroup is None:
            return Match.NONE, {}
        return routes[int(found.lastgroup[1:])].matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route that was found answer."""
        await scope["route"].handle(scope, receive, send)


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


def _is_alone(context: RouteContext, route: APIRoute) -> bool:
    """True if nothing was added where the route's router was included: the index asks the route alone."""
    added = (context.dependencies, context.max_body_size)
    return context.path == route.path and added == (route.dependencies, route.max_body_size)


def _any_of(routes: Iterable[APIRoute]) -> re.Pattern[str]:
    """Return one pattern for all; the name of its last group ends with the number of the route."""
    named = (f"(?P<r{at}>{_NAME.sub('(?:', route.path_regex.pattern)})" for at, route in enumerate(routes))
    return re.compile("|".join(named))
