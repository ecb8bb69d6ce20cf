"""The standard nodes of an OPC UA server, made once in this process and lent to each server.

Making them takes over a second of processor time for every server; a test looks at a few dozen of the six thousand.
"""

from collections.abc import Iterator, MutableMapping
from copy import deepcopy
from functools import cache
from typing import Any

from asyncua.server.address_space import AddressSpace, NodeManagementService
from asyncua.server.server import Server
from asyncua.server.standard_address_space import standard_address_space


@cache
def _standard_nodes() -> dict[Any, Any]:
    space = AddressSpace()
    standard_address_space.fill_address_space(NodeManagementService(space))  # type: ignore[no-untyped-call]
    nodes: dict[Any, Any] = space._nodes
    return nodes


class LentNodes(MutableMapping[Any, Any]):
    """One server's nodes: its own, and a copy of each standard one from the moment that it is asked for."""

    def __init__(self) -> None:
        self._own: dict[Any, Any] = {}
        self._lent = dict(_standard_nodes())

    def __getitem__(self, key: Any) -> Any:
        if key in self._lent:
            self._own[key] = deepcopy(self._lent.pop(key))
        return self._own[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._lent.pop(key, None)
        self._own[key] = value

    def __delitem__(self, key: Any) -> None:
        if self._lent.pop(key, None) is None:
            del self._own[key]

    def __contains__(self, key: object) -> bool:
        return key in self._own or key in self._lent

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._lent, *self._own])

    def __len__(self) -> int:
        return len(self._lent) + len(self._own)


def lend_standard_nodes(server: Server) -> None:
    """Have `server.init()` borrow the standard nodes instead of making them."""

    async def lend(shelf_file: Any = None) -> None:
        server.iserver.aspace._nodes = LentNodes()  # type: ignore[assignment]

    server.iserver.load_standard_address_space = lend  # type: ignore[method-assign]
