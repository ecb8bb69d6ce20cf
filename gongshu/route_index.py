"""Finds the route of a request in one step, instead of asking each router and each of its routes in turn.

The framework asks them one after the other, and each included router twice; with a few hundred routes that took
longer than all else it does for a small request. This module must not know what any route does.
"""

import re
from collections.abc import Iterable

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_NAME = re.compile(r"\(\?P<\w+>")


class RouteIndex(BaseRoute):
    """Stands for other routes, which stay where they are declared: the interface's description is made from them.

    What it does not find (a wrong method, an unknown path) is left to them. Of two that fit, the first one is taken.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        by_method: dict[str, list[APIRoute]] = {}
        for context in iter_route_contexts(list(routes)):
            route = context.original_route
            if isinstance(route, APIRoute) and context.path == route.path:
                for method in route.methods or ():
                    by_method.setdefault(method, []).append(route)
        self._by_method = {method: (_any_of(found), found) for method, found in by_method.items()}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the route's own answer, which names it."""
        pattern, routes = self._by_method.get(scope.get("method", ""), (None, ()))
        found = pattern.match(scope["path"]) if pattern is not None and scope["type"] == "http" else None
        if found is None or found.lastindex is None:
            return Match.NONE, {}
        return routes[found.lastindex - 1].matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route that was found answer."""
        await scope["route"].handle(scope, receive, send)


def _any_of(routes: Iterable[APIRoute]) -> re.Pattern[str]:
    """Return one pattern for all; the number of its group is that of the route."""
    return re.compile("|".join(f"({_NAME.sub('(?:', route.path_regex.pattern)})" for route in routes))
