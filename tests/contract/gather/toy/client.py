"""A sound connector for the toy protocol, small enough to be read whole; faults are planted by inheriting from it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from gongshu.gather.batch import BatchBuilder, micros
from gongshu.gather.connector import BrowseNode, ConnectorBase, Context, Feed, Finding, Loss, ProbeReport, Tag
from gongshu.gather.errors import DecodeError, EndpointSilent, EndpointUnreachable, LinkLost, LoginRefused
from gongshu.model.reading import STATUS_BAD, STATUS_GOOD, ValueType
from tests.contract.gather.toy.config import ToyConfig

PAGE = 100


class ToyConnector(ConnectorBase):
    def __init__(self, config: ToyConfig, context: Context) -> None:
        self._config = config
        self._clock = context.clock
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        if self._streams is not None:
            return
        config = self._config
        try:
            async with asyncio.timeout(config.timeout_s):
                self._streams = await asyncio.open_connection(config.host, config.port)
        except OSError as cause:
            raise EndpointUnreachable(endpoint=config.endpoint, reason=type(cause).__name__) from cause
        try:
            answer = await self._ask({"op": "login", "token": config.token.get_secret_value()})
            if answer.get("ok") is not True:
                raise LoginRefused(endpoint=config.endpoint, user="token", reason="the token is refused")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()
            await asyncio.sleep(0)

    async def probe(self) -> ProbeReport:
        async with self:
            return ProbeReport(
                (Finding("reachable", True), Finding("login", True), Finding("least_privilege", None, "a toy"))
            )

    async def browse(self, under: str = "") -> AsyncIterator[BrowseNode]:
        start = 0
        while True:
            answer = await self._ask({"op": "browse", "start": start, "count": PAGE})
            for one in answer["tags"]:
                yield BrowseNode(one["address"], one["address"], self._tag(one))
            start += PAGE
            if start >= answer["total"]:
                return

    async def read(self, addresses: Sequence[str]) -> pa.RecordBatch:
        answer = await self._ask({"op": "read", "addresses": list(addresses)})
        builder = BatchBuilder()
        for number, one in enumerate(answer["values"]):
            self._add(builder, number, one)
        return builder.finish()

    async def subscribe(self, feed: Feed) -> None:
        await self._send({"op": "subscribe"})
        while True:
            message, size_bytes = await self._receive(None)
            feed.received(size_bytes)
            feed.alive()
            if message.get("dropped"):
                feed.lose(Loss("device overflow", message["dropped"]))
            builder = BatchBuilder()
            for one in message.get("values", []):
                self._add(builder, feed.tag(self._tag(one)), one)
            await feed.put(builder.finish())

    def _tag(self, one: dict[str, Any]) -> Tag:
        return Tag(one["address"], one["address"], ValueType(one["type"]))

    def _add(self, builder: BatchBuilder, number: int, one: dict[str, Any]) -> None:
        at = datetime.fromisoformat(one["at"])
        good = one["quality"] == "ok"
        builder.add(
            number,
            one["value"] if good else None,
            arrival_us=micros(self._clock()),
            source_us=micros(at),
            status=STATUS_GOOD if good else STATUS_BAD,
        )

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            await self._send(question)
            answer, _ = await self._receive(self._config.timeout_s)
        except BaseException:
            await self.close()
            raise
        return answer

    async def _send(self, message: dict[str, Any]) -> None:
        if self._streams is None:
            raise LinkLost(endpoint=self._config.endpoint, reason="it is closed")
        try:
            self._streams[1].write(json.dumps(message).encode() + b"\n")
            await self._streams[1].drain()
        except OSError as cause:
            raise LinkLost(endpoint=self._config.endpoint, reason=type(cause).__name__) from cause

    async def _receive(self, timeout_s: float | None) -> tuple[dict[str, Any], int]:
        if self._streams is None:
            raise LinkLost(endpoint=self._config.endpoint, reason="it is closed")
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._streams[0].readline()
        except TimeoutError as cause:
            raise EndpointSilent(
                endpoint=self._config.endpoint, what="a question", timeout_s=timeout_s, protocol="toy"
            ) from cause
        except (OSError, ValueError) as cause:
            raise LinkLost(endpoint=self._config.endpoint, reason=type(cause).__name__) from cause
        if not line.endswith(b"\n"):
            raise LinkLost(endpoint=self._config.endpoint, reason="the far end hung up")
        try:
            found = json.loads(line)
        except ValueError as cause:
            raise DecodeError(what="a toy message", seen=f"{len(line)} bytes", reason="no JSON") from cause
        if not isinstance(found, dict):
            raise DecodeError(what="a toy message", seen=f"{len(line)} bytes", reason="no object")
        return found, len(line)
