"""A partner that answers a byte at a time holds nobody longer than the bound of the whole exchange."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from gongshu.secure.hurry import HurriedTransport, all_within

SLOWLY_S = 0.02
BOUND_S = 0.3
END_S = 10.0
"""How long a partner goes on if nobody hangs up."""


def serve(listener: socket.socket, whole: bytes, again: bytes, over: threading.Event) -> None:
    """Answer each connection with the first bytes, then with the others again and again."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(whole)
            for _ in range(int(END_S / SLOWLY_S) if again else 0):
                connection.sendall(again)
                if over.wait(SLOWLY_S):
                    return


Partner = Callable[[bytes, bytes], str]


@pytest.fixture
def partner() -> Iterator[Partner]:
    """Starts a partner and returns its address."""
    over, started = threading.Event(), list[tuple[socket.socket, threading.Thread]]()

    def start(whole: bytes, again: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(listener, whole, again, over), daemon=True)
        thread.start()
        started.append((listener, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    over.set()
    for listener, thread in started:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    transport = HurriedTransport(ssl.create_default_context(), httpx.Limits())
    with httpx.Client(transport=transport, trust_env=False, timeout=END_S) as client:
        yield client


@pytest.mark.parametrize(
    ("whole", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"a"),
    ],
    ids=["header", "continue", "body"],
)
def test_an_answer_that_never_ends_is_given_up(
    partner: Partner, client: httpx.Client, whole: bytes, again: bytes
) -> None:
    with all_within(BOUND_S), pytest.raises(httpx.ReadTimeout):
        client.get(partner(whole, again))


def test_no_exchange_begins_when_the_time_is_up(partner: Partner, client: httpx.Client) -> None:
    with all_within(0), pytest.raises(httpx.ConnectTimeout):
        client.get(partner(b"HTTP/1.1 204 None\r\n\r\n", b""))


def test_outside_of_the_block_only_the_clients_own_bounds_hold(partner: Partner, client: httpx.Client) -> None:
    with all_within(0):
        pass
    assert client.get(partner(b"HTTP/1.1 204 None\r\n\r\n", b"")).status_code == 204
