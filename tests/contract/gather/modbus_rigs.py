"""Two Modbus servers of different makers behind the cable: pymodbus's own, and pyModbusTCP."""

import asyncio
import json
import socket
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pyModbusTCP.server import DataBank, ModbusServer

from gongshu.gather.connector import ConnectorConfig
from gongshu.gather.connectors.modbus import SPEC
from gongshu.gather.connectors.modbus.config import ModbusConfig, ModbusTag
from gongshu.gather.connectors.modbus.registers import (
    ByteOrder,
    RegisterType,
    WordOrder,
    arrange_words,
    encode_numbers,
    encode_text,
)
from gongshu.model.reading import Quality
from gongshu.testing.connector_contract import Native, TcpRig

SIZE = 400
MISSING = "1/holding/60000:uint16"
NUMBERS: list[tuple[str, float | int]] = [
    ("int16", -32768),
    ("int16", 32767),
    ("uint16", 65535),
    ("int32", -(2**31)),
    ("uint32", 2**32 - 1),
    ("int64", -(2**63)),
    ("int64", 2**63 - 1),
    ("uint64", 2**64 - 1),
    ("uint64", 2**63 - 1),
    ("float32", 0.10000000149011612),
    ("float32", float("inf")),
    ("float32", float("nan")),
    ("float64", 0.1),
    ("float64", -5e-324),
    ("float64", float("-inf")),
]
ORDERS = [(word, byte) for word in WordOrder for byte in ByteOrder]


def register_map() -> tuple[list[dict[str, Any]], list[Native], dict[int, list[int]]]:
    """Every type, in every order of words and bytes in turn: the tags, what must arrive, the words by address."""
    tags: list[dict[str, Any]] = []
    natives: list[Native] = []
    words: dict[int, list[int]] = {}
    address = 20
    for number, (kind, value) in enumerate(NUMBERS):
        word_order, byte_order = ORDERS[number % 4]
        tag = {
            "name": f"n{number}",
            "address": address,
            "type": kind,
            "word_order": word_order,
            "byte_order": byte_order,
        }
        encoded = encode_numbers(np.array([value], "f8" if kind.startswith("float") else object), RegisterType(kind))
        words[address] = arrange_words(encoded, word_order, byte_order)[0].tolist()
        model = ModbusTag.model_validate(tag)
        if kind.startswith("float"):
            native = Native(model.key(1), model.value_type, double=float(value))
        elif value > 2**63 - 1:
            native = Native(model.key(1), model.value_type, text=str(value))
        else:
            native = Native(model.key(1), model.value_type, integer=int(value))
        tags.append(tag)
        natives.append(native)
        address += model.width + number % 3
    text = {"name": "text", "address": address, "type": "string", "words": 8, "encoding": "gb18030"}
    words[address] = encode_text("主轴 5号", "gb18030", 8).tolist()
    bit = {"name": "bit", "address": address + 8, "type": "bool", "bit": 3}
    words[address + 8] = [0b1000]
    for tag, columns in ((text, {"text": "主轴 5号"}), (bit, {"integer": 1})):
        model = ModbusTag.model_validate(tag)
        tags.append(tag)
        natives.append(Native(model.key(1), model.value_type, **columns))
    for space in ("coil", "discrete"):
        for at, held in ((5, True), (6, False)):
            tag = {"name": f"{space}{at}", "space": space, "address": at}
            model = ModbusTag.model_validate(tag)
            tags.append(tag)
            natives.append(Native(model.key(1), model.value_type, integer=int(held)))
    return tags, natives, words


class ModbusRig(TcpRig):
    """What both servers share."""

    spec = SPEC
    missing = MISSING
    known = Native("1/holding/0:float32", ModbusTag(name="x", address=0, type=RegisterType.FLOAT32).value_type, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.tags, self._natives, self.words = register_map()
        self.tags.insert(0, {"name": "known", "address": 0, "type": "float32", "unit": "%"})

    def config_at(self, host: str, port: int, **overrides: object) -> ConnectorConfig:
        fields = {"host": host, "port": port, "timeout_s": self.timeout_s, "interval_s": 0.1, "tags": self.tags}
        return ModbusConfig.model_validate(fields | overrides)

    async def natives(self) -> Sequence[Native]:
        return self._natives

    async def change(self, step: int) -> Native:
        value = float(np.float32(step * 1.25 + 0.1))
        words = encode_numbers(np.array([value]), RegisterType.FLOAT32)[0].tolist()
        await self.hold(0, words)
        return Native(self.known.address, self.known.value_type, double=value)

    async def statuses(self) -> Sequence[tuple[str, Quality]]:
        return [(self.known.address, Quality.GOOD), (MISSING, Quality.BAD)]

    async def spoil_one(self) -> str:
        self.tags.append({"name": "spoilt", "address": 60000})
        return MISSING

    async def fingerprint(self) -> object:
        return json.dumps(await self.held())

    @abstractmethod
    async def hold(self, address: int, words: list[int]) -> None:
        """Set holding registers."""

    @abstractmethod
    async def held(self) -> list[int]:
        """All holding registers."""


class PymodbusRig(ModbusRig):
    """The library's own server."""

    async def start(self) -> None:
        registers = [0] * SIZE
        for address, words in self.words.items():
            registers[address : address + len(words)] = words
        bits = [False] * 5 + [True] + [False] * 58

        def block() -> list[SimData]:
            return [SimData(0, values=bits, datatype=DataType.BITS)]

        holding = [SimData(0, values=registers, datatype=DataType.REGISTERS)]
        device = SimDevice(1, simdata=(block(), block(), holding, holding))
        self._server = ModbusTcpServer(device, address=("127.0.0.1", 0))
        await self._server.serve_forever(background=True)
        transport: Any = self._server.transport
        await self.lay_cable(transport.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        await self.cable.cut()
        server: Any = self._server
        await server.shutdown()

    async def hold(self, address: int, words: list[int]) -> None:
        await self._server.async_setValues(1, 16, address, words)

    async def held(self) -> list[int]:
        return [int(word) for word in await self._server.async_getValues(1, 3, 0, SIZE)]


class PyModbusTcpRig(ModbusRig):
    """An independent server, in threads of its own."""

    async def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        bank = DataBank(coils_size=64, d_inputs_size=64, h_regs_size=SIZE, i_regs_size=SIZE)
        bank.set_coils(5, [True])
        bank.set_discrete_inputs(5, [True])
        for address, words in self.words.items():
            bank.set_holding_registers(address, words)
        self._bank = bank
        self._server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
        self._server.start()
        await self.lay_cable(port)

    async def stop(self) -> None:
        await self.cable.cut()
        await asyncio.to_thread(self._server.stop)

    async def hold(self, address: int, words: list[int]) -> None:
        self._bank.set_holding_registers(address, words)

    async def held(self) -> list[int]:
        return list(self._bank.get_holding_registers(0, SIZE))
