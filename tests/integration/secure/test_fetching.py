"""Fetching from a host that means ill: what leads elsewhere, never ends, crawls or swells is refused in time."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache

import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.dcp import fetching
from gongshu.secure.dcp.fetching import HttpFetch
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.parties import Party
from gongshu.secure.peer_tls import TlsSettings


@cache
def bomb() -> bytes:
    """64 MiB in 64 KB."""
    return gzip.compress(b"0" * (64 * 1024 * 1024), 9)


class Host:
    """Answers each path with an evil of its own, and remembers what it was asked."""

    def __init__(self) -> None:
        self._bomb = bomb()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                path = connection.recv(65_536).split(b" ")[1].decode()
                self.asked.append(path)
                for part in self._parts(path):
                    connection.sendall(part)
            except (OSError, IndexError):  # who asked has gone
                return

    def _parts(self, path: str) -> Iterator[bytes]:
        ok = b"HTTP/1.1 200 OK\r\n"
        if path == "/redirect":
            yield b"HTTP/1.1 302 Found\r\nLocation: " + self.address.encode() + b"/secret\r\nContent-Length: 0\r\n\r\n"
        elif path == "/endless":
            yield ok + b"\r\n"
            while True:
                yield b"0" * 65_536
        elif path == "/slow":
            yield ok + b"\r\n"
            while True:
                yield b"0"
                time.sleep(0.05)
        elif path == "/crawl":
            yield ok + b"X: "
            for _ in range(650):  # over a minute, and each byte of the header is a sign of life
                yield b"0"
                time.sleep(0.1)
        elif path == "/silent":
            time.sleep(3)
        elif path == "/bomb":
            yield ok + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(self._bomb) + self._bomb
        elif path == "/cut":
            yield ok + b"Content-Length: 1000\r\n\r\nhalf"
        elif path == "/noise":
            yield b"\x00\xff\xfe no protocol\r\n\r\n"
        elif path == "/headers":
            yield ok + b"X-Long: " + b"a" * 10_000_000 + b"\r\n\r\n"
        else:
            yield ok + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\n{}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


@pytest.mark.parametrize("evil", ["redirect", "endless", "slow", "crawl", "silent", "bomb", "cut", "noise", "headers"])
def test_an_evil_answer_is_refused_in_bounded_time(host: Host, evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ANSWER_S", 1.0)
    fetch, begun = HttpFetch(TlsSettings()), time.monotonic()
    with pytest.raises(PeerTokenRejected):
        fetch(Party(PartyId("did:web:evil.example"), "", "", host.address), f"{host.address}/{evil}")
    assert time.monotonic() - begun < 60
    assert "/secret" not in host.asked


def test_a_wrong_content_type_is_judged_by_what_it_holds(host: Host) -> None:
    """Hosts of did:web serve files as they come; what is no JSON object is refused by whoever reads it."""
    assert HttpFetch(TlsSettings())(Party(PartyId("x"), "", "", host.address), f"{host.address}/plain") == b"{}"


def test_a_packed_answer_never_lies_unpacked_in_memory(host: Host) -> None:
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(PeerTokenRejected):
        HttpFetch(TlsSettings())(Party(PartyId("x"), "", "", host.address), f"{host.address}/bomb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * fetching.ANSWER_BYTES_MAX
