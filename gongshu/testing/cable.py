"""A TCP cable that a test can cut, hold, slow down or spoil; it lies between a connector and a real far end."""

import asyncio
from contextlib import suppress
from typing import Self


class Cable:
    """A proxy on 127.0.0.1. `async with Cable(host, port) as cable:` and connect to `cable.port`.

    All of it belongs to one event loop; the far end may live anywhere.
    """

    def __init__(self, host: str, port: int) -> None:
        self._far_end = (host, port)
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter | None]] = {}
        self._flow = asyncio.Event()
        self._flow.set()
        self._left_bytes: int | None = None
        self.port = 0
        self.delay_s = 0.0
        """Each piece from the far end is held back so long."""
        self.bytes_down = 0
        """From the far end to the connector."""
        self.connections = 0
        """Opened since the start."""

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    @property
    def links(self) -> int:
        """How many connections are open now."""
        return len(self._pairs)

    async def cut(self) -> None:
        """Break every connection at once (reset, not an orderly end) and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._break()

    async def restore(self) -> None:
        """Accept connections again on the same port, and let bytes flow unspoilt."""
        self._flow.set()
        self._left_bytes = None
        self.delay_s = 0.0
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def silence(self) -> None:
        """Keep connections, accept new ones, and let no byte through: a far end that never answers."""
        self._flow.clear()

    async def garble(self, spoilt: bytes) -> None:
        """Send these bytes to every connected connector, as if the far end had."""
        for near, _ in list(self._pairs.values()):
            with suppress(OSError):
                near.write(spoilt)
                await near.drain()

    def truncate_after(self, size_bytes: int) -> None:
        """Let so many more bytes of the far end through, then break the connection in the middle of a frame."""
        self._left_bytes = size_bytes

    async def _break(self) -> None:
        tasks = list(self._pairs)
        for near, far in list(self._pairs.values()):
            for writer in (near, far):
                if writer is not None:
                    writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs[task] = (writer, None)
        self.connections += 1
        far_writer: asyncio.StreamWriter | None = None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._far_end)
            self._pairs[task] = (writer, far_writer)
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer, down=False)),
                asyncio.create_task(self._pump(far_reader, writer, down=True)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the far end is gone, or the cable is cut: both ends are dropped below
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()
            self._pairs.pop(task, None)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                await self._flow.wait()
                if down:
                    if self.delay_s:
                        await asyncio.sleep(self.delay_s)
                    piece = self._shortened(piece)
                    self.bytes_down += len(piece)
                writer.write(piece)
                await writer.drain()
                if down and self._left_bytes == 0:
                    self._left_bytes = None
                    return

    def _shortened(self, piece: bytes) -> bytes:
        if self._left_bytes is None:
            return piece
        piece = piece[: self._left_bytes]
        self._left_bytes -= len(piece)
        return piece
