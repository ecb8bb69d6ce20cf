"""The toy device and its rig."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import SecretStr

from gongshu.gather.connector import ConnectorConfig, ConnectorSpec
from gongshu.model.reading import Quality, ValueType
from gongshu.testing.connector_contract import Native, TcpRig
from tests.contract.gather.toy import SPEC
from tests.contract.gather.toy.config import ToyConfig

NATIVES: dict[str, tuple[ValueType, Any]] = {
    "int": (ValueType.INT64, -(2**63)),
    "big": (ValueType.UINT64, 2**64 - 1),
    "float": (ValueType.FLOAT64, 5e-324),
    "nan": (ValueType.FLOAT64, float("nan")),
    "infinite": (ValueType.FLOAT64, float("inf")),
    "yes": (ValueType.BOOL, True),
    "text": (ValueType.TEXT, "主轴"),
    "array": (ValueType.ARRAY, [1, 2.5]),
}


class ToyRig(TcpRig):
    spec: ClassVar[ConnectorSpec] = SPEC
    known = Native("known", ValueType.FLOAT64, 0.0)
    secrets = ("t0ken-old", "t0ken-new", "t0ken-wrong")

    async def start(self) -> None:
        self.token = "t0ken-old"
        self.held: dict[str, dict[str, Any]] = {}
        self.links_open: dict[asyncio.Task[None], asyncio.Queue[dict[str, Any]]] = {}
        self._hold("known", ValueType.FLOAT64, 0.0)
        self._hold("spoilt", ValueType.FLOAT64, 1.0)
        for name, (kind, value) in NATIVES.items():
            self._hold(name, kind, value)
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        await self.lay_cable(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        await self.cable.cut()
        self.server.close()
        for task in list(self.links_open):
            task.cancel()
        await asyncio.gather(*self.links_open, return_exceptions=True)

    def config_at(self, host: str, port: int, **overrides: object) -> ConnectorConfig:
        token = SecretStr("t0ken-old")
        return ToyConfig.model_validate(
            {"host": host, "port": port, "token": token, "timeout_s": self.timeout_s} | overrides
        )

    async def change(self, step: int) -> Native:
        self._hold("known", ValueType.FLOAT64, step * 1.25)
        self._push({"values": [self.held["known"]]})
        return Native("known", ValueType.FLOAT64, double=step * 1.25)

    async def natives(self) -> Sequence[Native]:
        found = []
        for name, (kind, value) in NATIVES.items():
            match value:
                case float():
                    found.append(Native(name, kind, double=value))
                case int() if value < 2**63:
                    found.append(Native(name, kind, integer=int(value)))
                case _:
                    found.append(Native(name, kind, text="[1,2.5]" if name == "array" else str(value)))
        return found

    async def statuses(self) -> Sequence[tuple[str, Quality]]:
        await self.spoil_one()
        return [("known", Quality.GOOD), ("spoilt", Quality.BAD)]

    async def spoil_one(self) -> str:
        self.held["spoilt"]["quality"] = "strange"
        return "spoilt"

    async def tree(self) -> frozenset[str]:
        for number in range(250):
            self._hold(f"leaf-{number}", ValueType.INT64, number)
        return frozenset(self.held)

    async def overflow(self) -> None:
        self._push({"dropped": 5})

    async def fingerprint(self) -> object:
        return json.dumps(self.held)

    async def wrong_credentials(self) -> Sequence[ConnectorConfig]:
        return [self.config(token=SecretStr("t0ken-wrong"))]

    async def rotate(self) -> ConnectorConfig:
        self.token = "t0ken-new"
        return self.config(token=SecretStr("t0ken-new"))

    def _hold(self, address: str, kind: ValueType, value: object) -> None:
        at = datetime.now(UTC).isoformat()
        self.held[address] = {"address": address, "type": kind, "value": value, "quality": "ok", "at": at}

    def _push(self, message: dict[str, Any]) -> None:
        for waiting in self.links_open.values():
            waiting.put_nowait(json.loads(json.dumps(message)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.links_open[task] = waiting
        pushing: asyncio.Task[None] | None = None
        known = False
        try:
            while line := await reader.readline():
                question = json.loads(line)
                if question["op"] == "login":
                    known = question["token"] == self.token
                    answer: dict[str, Any] = {"ok": known}
                elif not known:
                    return
                elif question["op"] == "subscribe":
                    waiting.put_nowait({"values": list(self.held.values())})
                    pushing = asyncio.create_task(self._pushing(waiting, writer))
                    continue
                else:
                    answer = self._answer(question)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass
        finally:
            if pushing is not None:
                pushing.cancel()
                await asyncio.gather(pushing, return_exceptions=True)
            self.links_open.pop(task, None)
            writer.transport.abort()

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if question["op"] == "browse":
            tags = list(self.held.values())
            start = question["start"]
            return {"total": len(tags), "tags": tags[start : start + question["count"]]}
        none = {"type": ValueType.TEXT, "value": None, "quality": "unknown tag", "at": datetime.now(UTC).isoformat()}
        return {"values": [self.held.get(address, none) for address in question["addresses"]]}

    async def _pushing(self, waiting: "asyncio.Queue[dict[str, Any]]", writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(json.dumps(await waiting.get()).encode() + b"\n")
            await writer.drain()
