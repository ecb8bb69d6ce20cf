"""The connector: it polls blocks, hands on batches, and never lets one bad address or unit spoil the others.

The library (pymodbus) is used for one request at a time. It accepts an answer whose transaction id is 0 and does not
compare function codes or lengths, so every answer is checked here; after any doubt the connection is dropped, for a
late answer could otherwise be taken for the next one. Source: decision 0012.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gongshu.gather.batch import micros, native_batch
from gongshu.gather.connector import ConnectorBase, Context, Feed, Finding, Loss, ProbeReport, Tag
from gongshu.gather.connectors.modbus.addresses import parse_address
from gongshu.gather.connectors.modbus.config import ModbusConfig, ModbusTag, Space
from gongshu.gather.connectors.modbus.layout import Columns, Deadbands, Layout
from gongshu.gather.connectors.modbus.plan import Block, plan_blocks, split_block
from gongshu.gather.connectors.modbus.registers import Words
from gongshu.gather.errors import EndpointSilent, EndpointUnreachable, LinkLost
from gongshu.model.reading import (
    STATUS_BAD,
    STATUS_BAD_NO_COMMUNICATION,
    STATUS_BAD_NODE_ID_UNKNOWN,
    STATUS_BAD_OUT_OF_RANGE,
    STATUS_GOOD,
)

STATUS_OF_EXCEPTION = {
    2: STATUS_BAD_NODE_ID_UNKNOWN,
    3: STATUS_BAD_OUT_OF_RANGE,
    10: STATUS_BAD_NO_COMMUNICATION,
    11: STATUS_BAD_NO_COMMUNICATION,
}
"""Exception codes to ours; any other is plainly bad. Source: MODBUS Application Protocol V1.1b3 §7."""
SPLITTING = (2, 3)
"""Exceptions that a single address of a merged read can cause: it is halved until the culprit is alone."""
REQUESTS: dict[Space, type[ModbusPDU]] = {
    Space.COIL: ReadCoilsRequest,
    Space.DISCRETE: ReadDiscreteInputsRequest,
    Space.INPUT: ReadInputRegistersRequest,
    Space.HOLDING: ReadHoldingRegistersRequest,
}
HEADER_BYTES = 9
"""Header of seven bytes, function code, byte count or exception code."""


@dataclass(slots=True)
class _Answer:
    """What came of one block."""

    words: Words
    status: int
    arrival_us: int


class ModbusConnector(ConnectorBase):
    """See `gongshu.gather.connector.Connector`, `Reads` and `Polls`."""

    def __init__(self, config: ModbusConfig, context: Context) -> None:
        self._config = config
        self._clock = context.clock
        self._client: AsyncModbusTcpClient | None = None
        self._gone = asyncio.Event()
        self._received_bytes = 0
        self._units = {config.unit_id if tag.unit_id is None else tag.unit_id for tag in config.tags}
        self._learned: dict[Block, tuple[Block, ...]] = {}

    async def open(self) -> None:
        """See `Connector.open`; Modbus has no login, so a TCP connection is all that can be refused here."""
        if self._client is not None:
            return
        await self._connect()
        try:
            await self._first_answer()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Connector.close`."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            await asyncio.sleep(0)

    async def probe(self) -> ProbeReport:
        """See `Connector.probe`."""
        async with self:
            tags = self._config.tags
            columns, _ = await self._sample(tags, self._plan(tags))
        bad = [tag.name for tag, status in zip(tags, columns.status.tolist(), strict=True) if status >= STATUS_BAD]
        return ProbeReport(
            (
                Finding("reachable", True, self._config.endpoint),
                Finding("protocol", True, "answers Modbus requests"),
                Finding("login", None, "Modbus has no login: whoever reaches the port may read and write"),
                Finding("least_privilege", None, "not judged: only the network can keep writers away"),
                Finding("tags", not bad, f"{len(tags) - len(bad)} of {len(tags)} answer; not: {', '.join(bad[:20])}"),
            )
        )

    async def read(self, addresses: Sequence[str]) -> pa.RecordBatch:
        """See `Reads.read`; an address is that of a configured tag, or one like `1/holding/40:float32`."""
        configured = {tag.key(self._config.unit_id): tag for tag in self._config.tags}
        found = {address: configured.get(address) or parse_address(address) for address in dict.fromkeys(addresses)}
        tags = [tag for tag in found.values() if tag is not None]
        columns, arrival_us = await self._sample(tags, self._plan(tags))
        row_of = {address: i for i, address in enumerate(a for a, tag in found.items() if tag is not None)}
        rows = np.array([row_of.get(address, len(tags)) for address in addresses], np.int64)
        padded = _padded(columns, STATUS_BAD_NODE_ID_UNKNOWN)
        times_us = np.append(arrival_us, micros(self._clock()))
        return _batch(np.arange(len(addresses)), padded, times_us, rows)

    async def poll(self, feed: Feed) -> None:
        """See `Polls.poll`: each interval has a cycle of its own; a cycle that could not be kept is a counted loss."""
        groups: dict[float, list[ModbusTag]] = {}
        for tag in self._config.tags:
            groups.setdefault(tag.interval_s or self._config.interval_s, []).append(tag)
        cycles = [_Cycle(interval_s, tuple(tags), self._config, feed) for interval_s, tags in groups.items()]
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for cycle in cycles:
            cycle.due_s = start_s
        while True:
            cycle = min(cycles, key=lambda one: one.due_s)
            await asyncio.sleep(max(0.0, cycle.due_s - loop.time()))
            await self._run_cycle(cycle, feed)
            missed = int((loop.time() - cycle.due_s) / cycle.interval_s)
            if missed:
                feed.lose(Loss(f"{missed} poll cycles missed", end=self._clock()))
            cycle.due_s += (missed + 1) * cycle.interval_s

    async def _run_cycle(self, cycle: "_Cycle", feed: Feed) -> None:
        columns, arrival_us = await self._sample(cycle.tags, self._plan(cycle.tags))
        feed.received(self._received_bytes)
        self._received_bytes = 0
        feed.alive()
        rows = np.flatnonzero(cycle.deadbands.worth(columns, arrival_us))
        await feed.put(_batch(cycle.numbers[rows], columns, arrival_us, rows))

    def _plan(self, tags: Sequence[ModbusTag]) -> list[Block]:
        """The blocks for these tags, with those already known to be refused in the pieces that are answered."""
        config = self._config
        blocks = plan_blocks(tags, config.unit_id, gap_max=config.gap_max, registers_max=config.registers_max)
        return [piece for block in blocks for piece in self._pieces(block)]

    def _pieces(self, block: Block) -> list[Block]:
        halves = self._learned.get(block)
        return [block] if halves is None else [piece for half in halves for piece in self._pieces(half)]

    async def _sample(self, tags: Sequence[ModbusTag], blocks: list[Block]) -> tuple[Columns, np.ndarray]:
        """Read all blocks and decode them.

        Raises: LinkLost if no unit answers at all.
        """
        asked: list[Block] = []
        answers: list[_Answer] = []
        silent: set[int] = set()
        waiting = list(reversed(blocks))
        while waiting:
            block = waiting.pop()
            answer = await self._ask(block, silent)
            if isinstance(answer, int):
                halves = split_block(block, tags)
                if answer in SPLITTING and len(halves) > 1:
                    self._learned[block] = halves
                    waiting += reversed(halves)
                    continue
                code = STATUS_OF_EXCEPTION.get(answer, STATUS_BAD)
                answer = _Answer(np.zeros(block.count, np.uint16), code, micros(self._clock()))
            asked.append(block)
            answers.append(answer)
        status = np.full(len(tags), STATUS_BAD, np.uint32)
        arrival_us = np.full(len(tags), micros(self._clock()), np.int64)
        for block, answer in zip(asked, answers, strict=True):
            rows = list(block.tags)
            status[rows], arrival_us[rows] = answer.status, answer.arrival_us
        words = np.concatenate([answer.words for answer in answers]) if answers else np.zeros(0, np.uint16)
        return Layout(tags, asked).decode(words, status), arrival_us

    async def _ask(self, block: Block, silent: set[int]) -> "_Answer | int":
        """Return the words of one block, or the exception code the device gave.

        A unit that stays silent behind a gateway is bad for this round, and the connection is made anew because of the
        answers that may still come. A device that is the only unit is lost instead.
        """
        if block.unit_id in silent:
            return 11
        try:
            return await self._request(block)
        except EndpointSilent as error:
            if silent | {block.unit_id} >= self._units:
                raise LinkLost(endpoint=self._config.endpoint, reason=str(error)) from error
            silent.add(block.unit_id)
            await self.close()
            await self._connect()
            return 11

    async def _request(self, block: Block) -> "_Answer | int":
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
            self._received_bytes += HEADER_BYTES
            return reply.exception_code
        words = reply.bits[: block.count] if block.space.is_bits else reply.registers
        payload_bytes = (block.count + 7) // 8 if block.space.is_bits else 2 * block.count
        if (
            reply.transaction_id != request.transaction_id
            or reply.function_code != request.function_code
            or len(words) != block.count
        ):
            await self.close()
            raise LinkLost(endpoint=self._config.endpoint, reason="an answer came that fits no question")
        self._received_bytes += HEADER_BYTES + payload_bytes
        return _Answer(np.array(words, np.uint16), STATUS_GOOD, micros(self._clock()))

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
            with suppress(asyncio.CancelledError, ModbusException):
                await asyncio.gather(asking, breaking, return_exceptions=True)

    async def _connect(self) -> None:
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
        except BaseException:
            client.close()
            raise
        if not connected:
            client.close()
            raise EndpointUnreachable(endpoint=config.endpoint, reason="the connection was refused or not made in time")
        self._client = client

    def _on_connection(self, up: bool) -> None:
        if not up:
            self._gone.set()

    async def _first_answer(self) -> None:
        """Ask one tag of each unit until one answers, for a port that accepts may be anything.

        An exception is an answer too. Raises: EndpointSilent if no unit answers.
        """
        config = self._config
        first = {config.unit_id if tag.unit_id is None else tag.unit_id: tag for tag in reversed(config.tags)}
        for left, tag in enumerate(first.values(), 1 - len(first)):
            (block,) = plan_blocks([tag], config.unit_id, gap_max=0, registers_max=config.registers_max)
            try:
                await self._request(block)
                return
            except EndpointSilent:
                if not left:
                    raise
                await self._connect()


class _Cycle:
    """Tags that are polled together, with what is remembered of them from poll to poll."""

    def __init__(self, interval_s: float, tags: tuple[ModbusTag, ...], config: ModbusConfig, feed: Feed) -> None:
        self.interval_s = interval_s
        self.tags = tags
        self.due_s = 0.0
        self.deadbands = Deadbands(tags, repeat_after_us=int(config.repeat_after_s * 1e6))
        self.numbers = np.array([feed.tag(_tag(tag, config.unit_id)) for tag in tags], np.int32)


def _tag(tag: ModbusTag, unit_id: int) -> Tag:
    """A holding register or coil is writable by the protocol; whether the device honours it, Modbus cannot say."""
    writable = tag.space in (Space.HOLDING, Space.COIL)
    return Tag(tag.key(unit_id), tag.name, tag.value_type, tag.asset, tag.unit, tag.title, writable)


def _batch(numbers: np.ndarray, columns: Columns, arrival_us: np.ndarray, rows: np.ndarray) -> pa.RecordBatch:
    return native_batch(
        numbers.astype(np.int32),
        arrival_us=arrival_us[rows],
        value_double=columns.double[rows],
        value_int=columns.integer[rows],
        value_text=columns.text[rows],
        status=columns.status[rows],
    )


def _padded(columns: Columns, status: int) -> Columns:
    """The columns with one more row, for addresses that cannot be."""
    empty = np.array([None], object)
    return Columns(
        np.append(columns.double, empty),
        np.append(columns.integer, empty),
        np.append(columns.text, empty),
        np.append(columns.status, np.uint32(status)),
    )
