"""What a connector's author supplies so that the contract suite can run: a far end, and ways to trouble it."""

import asyncio
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Self

from gongshu.gather.connector import Connector, ConnectorConfig, ConnectorSpec, Context
from gongshu.model.ids import SourceId
from gongshu.model.reading import Quality, ValueType
from gongshu.testing.cable import Cable


@dataclass(frozen=True, slots=True)
class Native:
    """A tag of the far end, and the columns in which its value must arrive: unrounded, at most one of them set."""

    address: str
    value_type: ValueType
    double: float | None = None
    integer: int | None = None
    text: str | None = None

    @property
    def columns(self) -> tuple[float | None, int | None, str | None]:
        """(value_double, value_int, value_text)."""
        return self.double, self.integer, self.text


class Rig(ABC):
    """One far end. `async with rig:` starts and stops it. A method that a connector cannot offer stays as it is: it
    raises NotImplementedError, and the contract class declares the gap."""

    spec: ClassVar[ConnectorSpec]
    timeout_s: ClassVar[float] = 2.0
    """Goes into the config; every clause that speaks of time is measured by it."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """Texts that no message and no log may contain."""
    known: Native
    """A tag that the far end holds, of good quality; `change` gives it another value."""
    missing: str = "no-such-tag"
    """An address that the far end does not have."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """A folder of this rig's own; the connector's context uses it too."""
        return Path(self._folder.name)

    @abstractmethod
    async def start(self) -> None:
        """Start the far end."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop the far end."""

    @abstractmethod
    def config(self, **overrides: object) -> ConnectorConfig:
        """Return a config that reaches the far end (through the cable if there is one) and collects `known` and all
        of `natives`, with `timeout_s`, and as quickly as the protocol allows; `overrides` win."""

    @abstractmethod
    async def change(self, step: int) -> Native:
        """Give `known` at the far end a value that differs for each step (0, 1, 2, …); return what must arrive."""

    @abstractmethod
    async def cut(self) -> None:
        """Make the far end unreachable, at once."""

    @abstractmethod
    async def restore(self) -> None:
        """Make it reachable again."""

    def connector(self, config: ConnectorConfig | None = None, **overrides: object) -> Connector:
        """Return a connector that is not yet open."""
        context = Context(SourceId("rig"), self.folder, lambda: datetime.now(UTC))
        return self.spec.connector(config or self.config(**overrides), context)

    async def natives(self) -> Sequence[Native]:
        """Make the far end hold at least one value of each native type, extremes included, and return them. (C06)"""
        raise NotImplementedError

    async def statuses(self) -> Sequence[tuple[str, Quality]]:
        """Make the far end hold tags of each native quality, and return what ours must be. (C07)"""
        raise NotImplementedError

    async def spoil_one(self) -> str:
        """Make one collected tag fail while `known` stays well; return its address. (C05)"""
        raise NotImplementedError

    async def tree(self) -> frozenset[str]:
        """Return the addresses of all tags of a tree larger than one page. (C08)"""
        raise NotImplementedError

    async def overflow(self) -> None:
        """Make the far end drop values of `known` that it could not deliver. (C09)"""
        raise NotImplementedError

    async def fingerprint(self) -> object:
        """Return all that a probe could have changed at the far end. (C03)"""
        raise NotImplementedError

    async def wrong_credentials(self) -> Sequence[ConnectorConfig]:
        """Return configs whose account, password or certificate the far end refuses. (C02)"""
        raise NotImplementedError

    @asynccontextmanager
    async def wrong_endpoints(self) -> AsyncIterator[Sequence[ConnectorConfig]]:
        """Yield configs that lead nowhere, or to something that does not speak the protocol. (C02)"""
        raise NotImplementedError
        yield ()

    async def rotate(self) -> ConnectorConfig:
        """Make the far end refuse the present credential; return a config with the new one. (C15)"""
        raise NotImplementedError

    async def spoil(self, spoilt: bytes) -> None:
        """Let the connector meet these bytes in place of the protocol. (C13)"""
        raise NotImplementedError

    async def truncate(self, size_bytes: int) -> None:
        """Let the connector get so many bytes of what comes next, and then the end. (C13)"""
        raise NotImplementedError

    def links(self) -> int:
        """Return how many connections the connector holds open now. (C14)"""
        raise NotImplementedError


class TcpRig(Rig):
    """A rig whose far end listens on TCP. The author's `start` calls `lay_cable(port)`; `config` uses `config_at`."""

    cable: Cable

    @abstractmethod
    def config_at(self, host: str, port: int, **overrides: object) -> ConnectorConfig:
        """Return `config`, but for this address."""

    def config(self, **overrides: object) -> ConnectorConfig:
        """See `Rig.config`."""
        return self.config_at("127.0.0.1", self.cable.port, **overrides)

    async def lay_cable(self, port: int, host: str = "127.0.0.1") -> None:
        """Put a cable before the far end at this address."""
        self.cable = Cable(host, port)
        await self.cable.restore()

    async def cut(self) -> None:
        """See `Rig.cut`."""
        await self.cable.cut()

    async def restore(self) -> None:
        """See `Rig.restore`."""
        await self.cable.restore()

    async def spoil(self, spoilt: bytes) -> None:
        """See `Rig.spoil`."""
        await self.cable.garble(spoilt)

    async def truncate(self, size_bytes: int) -> None:
        """See `Rig.truncate`."""
        self.cable.truncate_after(size_bytes)

    def links(self) -> int:
        """See `Rig.links`."""
        return self.cable.links

    @asynccontextmanager
    async def wrong_endpoints(self) -> AsyncIterator[Sequence[ConnectorConfig]]:
        """A port that refuses, one that accepts and never answers, one that answers nonsense, one that hangs up."""
        with _refusing_port() as refused:
            async with _server(_say_nothing) as silent, _server(_say_nonsense) as nonsense, _server(_hang_up) as rude:
                yield [self.config_at("127.0.0.1", port) for port in (refused, silent, nonsense, rude)]


class _refusing_port:
    """A port that is bound and does not listen, so nobody else takes it and connecting is refused."""

    def __enter__(self) -> int:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        port: int = self._socket.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._socket.close()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def _say_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)) * 4)
        await writer.drain()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


@asynccontextmanager
async def _server(handle: Handler) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the connector hung up, or the test is over
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
