"""One bound for a whole exchange over HTTP, or for its answer.

The client's own bounds begin anew with each byte: who sends one every few seconds would keep it, and its thread, for
days.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_local = threading.local()


@contextmanager
def all_within(seconds: float) -> Iterator[None]:
    """Within the block, what this thread sends and receives through a `HurriedTransport` ends after that time."""
    with _bounds(time.monotonic() + seconds, None):
        yield


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """As `all_within`, but the time runs from when the answer is first waited for; what goes before may take long."""
    with _bounds(None, seconds):
        yield


@contextmanager
def _bounds(until: float | None, from_answer_s: float | None) -> Iterator[None]:
    before = getattr(_local, "bounds", (None, None))
    _local.bounds = until, from_answer_s
    try:
        yield
    finally:
        _local.bounds = before


class HurriedTransport(httpx.HTTPTransport):
    """The transport of a client whose exchanges the blocks above bound; asks no environment for a proxy."""

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, backend: httpcore.NetworkBackend | None = None
    ) -> None:
        super().__init__(verify=verify, limits=limits, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_HurriedBackend(backend or httpcore.SyncBackend()),
        )


class _HurriedBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        bound = _bound(timeout, httpcore.ConnectTimeout)
        return _Hurried(self._backend.connect_tcp(host, port, bound, local_address, socket_options))


class _Hurried(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _, from_answer_s = getattr(_local, "bounds", (None, None))
        if from_answer_s is not None:
            _local.bounds = time.monotonic() + from_answer_s, None
        return self._stream.read(max_bytes, _bound(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _bound(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        bound = _bound(timeout, httpcore.ConnectTimeout)
        return _Hurried(self._stream.start_tls(ssl_context, server_hostname, bound))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _bound(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    until: float | None = getattr(_local, "bounds", (None, None))[0]
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise late("it takes too long as a whole")
    return left if timeout is None else min(timeout, left)
