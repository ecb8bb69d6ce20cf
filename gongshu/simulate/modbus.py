"""The compressor and the energy meter as one Modbus TCP server with two unit ids."""

import asyncio
import logging

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gongshu.simulate.errors import PlantNotStarted
from gongshu.simulate.registers import COMPRESSOR_UNIT, METER_UNIT, REGISTERS, Area, Register, encode_register
from gongshu.simulate.utilities import UtilityState

_BITS = (Area.COIL, Area.DISCRETE)


class PlantModbus:
    """The running server."""

    def __init__(self, *, port: int) -> None:
        self._wanted = port
        self._server: ModbusTcpServer | None = None
        self._memory = {unit: _Memory(unit) for unit in (COMPRESSOR_UNIT, METER_UNIT)}
        self.port = 0

    async def start(self, first: UtilityState) -> None:
        """Begin to listen.

        Raises: PlantNotStarted.
        """
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
        self.show(first)
        server = ModbusTcpServer([m.device() for m in self._memory.values()], address=("127.0.0.1", self._wanted))
        try:
            await server.serve_forever(background=True)
        except (OSError, RuntimeError) as cause:
            address = f"127.0.0.1:{self._wanted}"
            raise PlantNotStarted(server="Modbus TCP", address=address, reason=cause) from cause
        listening = server.transport
        assert isinstance(listening, asyncio.Server)
        self.port = listening.sockets[0].getsockname()[1]
        self._server = server

    def show(self, now: UtilityState) -> None:
        """Let the registers hold the utilities' present values; a read sees all of one moment or all of the next."""
        for register in REGISTERS:
            words = encode_register(
                register.read(now), register.kind, scale=register.scale, low_word_first=register.low_word_first
            )
            self._memory[register.unit_id].put(register, words)

    async def stop(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None


class _Memory:
    """The four areas of one unit; the server asks for them at every request."""

    def __init__(self, unit_id: int) -> None:
        self._unit_id = unit_id
        mine = [r for r in REGISTERS if r.unit_id == unit_id]
        self._words: dict[Area, dict[int, int]] = {
            area: {r.address + i: 0 for r in mine if r.area is area for i in range(r.count)} for area in Area
        }

    def put(self, register: Register, words: list[int]) -> None:
        for offset, word in enumerate(words):
            self._words[register.area][register.address + offset] = word

    def device(self) -> SimDevice:
        """Return the unit as pymodbus declares one: undefined addresses answer with 'illegal address'."""
        blocks = tuple(self._block(area) for area in (Area.COIL, Area.DISCRETE, Area.HOLDING, Area.INPUT))
        return SimDevice(self._unit_id, simdata=blocks, action=self._answer)  # type: ignore[arg-type]

    def _block(self, area: Area) -> list[SimData]:
        words = self._words[area]
        if area in _BITS:
            return [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        if not words:
            return [SimData(65_000, values=[0], datatype=DataType.REGISTERS)]
        return [SimData(address, values=[0], datatype=DataType.REGISTERS) for address in sorted(words)]

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,  # noqa: ARG002
        count: int,  # noqa: ARG002
        registers: list[int],
        written: object,  # noqa: ARG002
    ) -> None:
        """Refresh the server's registers before they are read; what a client writes is not kept."""
        area = {1: Area.COIL, 5: Area.COIL, 15: Area.COIL, 2: Area.DISCRETE, 4: Area.INPUT}.get(function, Area.HOLDING)
        if area in _BITS:
            registers[0] = sum(bit << place for place, bit in self._words[area].items())
            return
        for offset in range(len(registers)):
            if (word := self._words[area].get(start + offset)) is not None:
                registers[offset] = word
