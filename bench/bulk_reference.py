"""One file over HTTPS from bare uvicorn: `python -m bench.bulk_reference FILE CERTIFICATE KEY`; prints its address."""

import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

PIECE_BYTES = 1024 * 1024


def main(file: Path, certificate: str, key: str) -> None:
    """Serve until the process is ended."""
    FileResponse.chunk_size = PIECE_BYTES
    app = Starlette(routes=[Route("/", lambda _: FileResponse(file))])
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False, ssl_certfile=certificate, ssl_keyfile=key)
    print(f"https://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
