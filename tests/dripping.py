"""Partners that answer a byte at a time, for as long as nobody hangs up."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SLOWLY_S = 0.02
BOUND_S = 0.3
END_S = 10.0
"""How long a partner goes on if nobody hangs up."""

HEADER = b"HTTP/1.1 200 OK\r\nX: "
"""What begins an answer whose head does not end."""

Partner = Callable[[bytes, bytes], str]


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


@contextmanager
def partners() -> Iterator[Partner]:
    """Yield what starts a partner, which says the first bytes and then the others again and again, and its address."""
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
