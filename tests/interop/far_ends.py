"""A small HTTP server that stands for the systems behind a connector: where its data come from, and where they go."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FarEnds:
    """Serves documents by path, and keeps what is posted or put to it."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[str, bytes]] = {}
        self.received: dict[str, list[tuple[str, bytes]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def bodies(self, path: str) -> list[tuple[str, bytes]]:
        """Return what came to a path: content type and bytes of each request."""
        return list(self.received.get(path, ()))

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


def _handler(ends: FarEnds) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, content = ends.documents.get(self.path.split("?")[0], ("", b""))
            self._answer(200 if kind else 404, kind or "text/plain", content)

        def do_POST(self) -> None:
            body = self._body()
            ends.received.setdefault(self.path, []).append((self.headers.get("content-type", ""), body))
            self._answer(200, "text/plain", b"")

        do_PUT = do_POST

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", "0")))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing: the run prints its own lines."""

    return Handler
