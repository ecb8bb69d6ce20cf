"""asyncua as this folder uses it. It does not re-export its names for type checkers: `ua` is untyped."""

from typing import Any

from asyncua import ua as _ua
from asyncua.client.client import Client
from asyncua.ua.uatypes import NodeId

ua: Any = _ua

__all__ = ["Client", "NodeId", "ua"]
