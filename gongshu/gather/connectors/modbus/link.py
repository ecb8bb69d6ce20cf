"""One TCP connection to a Modbus device: one question at a time, and a doubt ends it.

The library (pymodbus) accepts an answer whose transaction id is 0 and does not compare function codes or lengths, so
every answer is checked here; after any doubt the connection is dropped, for a late answer could otherwise be taken for
the next one. Source: decision 0012.
"""

import asyncio
import logging
from dataclasses import dataclass

import numpy as np
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gongshu.gather.connectors.modbus.config import ModbusConfig, Space
from gongshu.gather.connectors.modbus.plan import Block
from gongshu.gather.connectors.modbus.registers import Words
from gongshu.gather.errors import EndpointSilent, EndpointUnreachable, LinkLost

REQUESTS: dict[Space, type[ModbusPDU]] = {
    Space.COIL: ReadCoilsRequest,
    Space.DISCRETE: ReadDiscreteInputsRequest,
    Space.INPUT: ReadInputRegistersRequest,
    Space.HOLDING: ReadHoldingRegistersRequest,
}
HEADER_BYTES = 9
"""Header of seven bytes, function code, byte count or exception code."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device answered with an exception. Source: MODBUS Application Protocol V1.1b3 §7."""

    code: int


class ModbusLink:
    """The connection; `connect` and `close` may be called again and again."""

    def __init__(self, config: ModbusConfig) -> None:
        self._config = config
        self._client: AsyncModbusTcpClient | None = None
        self._gone = asyncio.Event()
        self.received_bytes = 0
        """From the device, frames with headers; whoever reads it sets it back."""

    @property
    def is_open(self) -> bool:
        """True between `connect` and `close`."""
        return self._client is not None

    async def connect(self) -> None:
        """Make the connection. Raises: EndpointUnreachable."""
        config = self._config
        self._gone.clear()
        # The library logs each failure; the collector says once that the link is lost.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        client = AsyncModbusTcpClient(
            config.host,
            port=config.port,
            timeout=config.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_connection,
        )
        try:
            connected = await client.connect()
            if (task := asyncio.current_task()) is not None and task.cancelling():
                # Before Python 3.12 a wait with a time limit may swallow a cancellation that comes with its answer.
                raise asyncio.CancelledError
        except BaseException:
            client.close()
            raise
        if not connected:
            client.close()
            raise EndpointUnreachable(endpoint=config.endpoint, reason="the connection was refused or not made in time")
        self._client = client

    async def close(self) -> None:
        """End the connection; without one it does nothing."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            await asyncio.sleep(0)

    async def read(self, block: Block) -> Words | Refusal:
        """Return the words (or bits) of one block, or the device's refusal.

        Raises: EndpointSilent, LinkLost; the connection is closed then.
        """
        client = self._client
        if client is None:
            raise LinkLost(endpoint=self._config.endpoint, reason="it is closed")
        request = REQUESTS[block.space](dev_id=block.unit_id, address=block.start, count=block.count)
        try:
            reply = await self._reply(client, request)
        except BaseException:
            # Cancelled or failed in the middle of a request: what may still come must not meet the next one.
            await self.close()
            raise
        if isinstance(reply, ExceptionResponse):
            self.received_bytes += HEADER_BYTES
            return Refusal(reply.exception_code)
        words = reply.bits[: block.count] if block.space.is_bits else reply.registers
        payload_bytes = (block.count + 7) // 8 if block.space.is_bits else 2 * block.count
        if (
            reply.transaction_id != request.transaction_id
            or reply.function_code != request.function_code
            or len(words) != block.count
        ):
            await self.close()
            raise LinkLost(endpoint=self._config.endpoint, reason="an answer came that fits no question")
        self.received_bytes += HEADER_BYTES + payload_bytes
        return np.array(words, np.uint16)

    async def _reply(self, client: AsyncModbusTcpClient, request: ModbusPDU) -> ModbusPDU:
        """Wait for the answer or for the connection to break, whichever comes first."""
        asking = asyncio.ensure_future(client.execute(False, request))
        breaking = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({asking, breaking}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise LinkLost(endpoint=self._config.endpoint, reason="the far end closed the connection")
            reply: ModbusPDU = asking.result()
            return reply
        except ModbusException as cause:
            if self._gone.is_set():
                raise LinkLost(endpoint=self._config.endpoint, reason="the far end closed the connection") from cause
            raise EndpointSilent(
                endpoint=self._config.endpoint,
                what=f"a read of unit {request.dev_id}",
                timeout_s=self._config.timeout_s,
                protocol="Modbus TCP",
            ) from cause
        finally:
            for task in (asking, breaking):
                task.cancel()
            # Their ends are results here; only our own cancellation comes out of this line, and it must.
            await asyncio.gather(asking, breaking, return_exceptions=True)

    def _on_connection(self, up: bool) -> None:
        if not up:
            self._gone.set()
