"""Waiting for something that another process does, and free ports."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(what: str, look: Callable[[], Found | None], *, timeout_s: float = 60.0, pause_s: float = 0.05) -> Found:
    """Return the first answer of `look` that is not None. Raises: AssertionError after the time, naming `what`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(pause_s)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what}")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in taken]
    for each in taken:
        each.close()
    return ports
