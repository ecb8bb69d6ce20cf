"""The connector: it polls blocks, hands on batches, and never lets one bad address or unit spoil the others."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gongshu.gather.batch import micros, native_batch
from gongshu.gather.connector import ConnectorBase, Context, Feed, Finding, Loss, ProbeReport, Tag
from gongshu.gather.connectors.modbus.addresses import parse_address
from gongshu.gather.connectors.modbus.config import ModbusConfig, ModbusTag, Space
from gongshu.gather.connectors.modbus.layout import Columns, Deadbands, Layout
from gongshu.gather.connectors.modbus.link import ModbusLink, Refusal
from gongshu.gather.connectors.modbus.plan import Block, plan_blocks, split_block
from gongshu.gather.connectors.modbus.registers import Words
from gongshu.gather.errors import EndpointSilent, LinkLost
from gongshu.model.reading import (
    STATUS_BAD,
    STATUS_BAD_NO_COMMUNICATION,
    STATUS_BAD_NODE_ID_UNKNOWN,
    STATUS_BAD_OUT_OF_RANGE,
    STATUS_GOOD,
)

GATEWAY_SILENT = 11
"""The exception by which a gateway says that a unit does not answer; ours for a unit that says nothing at all."""
STATUS_OF_EXCEPTION = {
    2: STATUS_BAD_NODE_ID_UNKNOWN,
    3: STATUS_BAD_OUT_OF_RANGE,
    10: STATUS_BAD_NO_COMMUNICATION,
    11: STATUS_BAD_NO_COMMUNICATION,
}
"""Exception codes to ours; any other is plainly bad. Source: MODBUS Application Protocol V1.1b3 §7."""
SPLITTING = (2, 3)
"""Exceptions that a single address of a merged read can cause: it is halved until the culprit is alone."""


@dataclass(frozen=True, slots=True)
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
        self._link = ModbusLink(config)
        self._units = {config.unit_id if tag.unit_id is None else tag.unit_id for tag in config.tags}
        self._learned: dict[Block, tuple[Block, ...]] = {}

    async def open(self) -> None:
        """See `Connector.open`; Modbus has no login, so a TCP connection is all that can be refused here."""
        if self._link.is_open:
            return
        await self._link.connect()
        try:
            await self._first_answer()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Connector.close`."""
        await self._link.close()

    async def probe(self) -> ProbeReport:
        """See `Connector.probe`."""
        async with self:
            tags = self._config.tags
            columns, _ = await self._sample(tags, self._plan(tags), {})
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
        columns, arrival_us = await self._sample(tags, self._plan(tags), {})
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
                feed.lose(Loss("poll cycles missed", end=self._clock()))
            cycle.due_s += (missed + 1) * cycle.interval_s

    async def _run_cycle(self, cycle: "_Cycle", feed: Feed) -> None:
        if cycle.planned_for != len(self._learned):
            cycle.plan, cycle.planned_for = self._plan(cycle.tags), len(self._learned)
        columns, arrival_us = await self._sample(cycle.tags, cycle.plan, cycle.layouts)
        feed.received(self._link.received_bytes)
        self._link.received_bytes = 0
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

    async def _sample(
        self, tags: Sequence[ModbusTag], blocks: Sequence[Block], layouts: dict[tuple[Block, ...], Layout]
    ) -> tuple[Columns, np.ndarray]:
        """Read all blocks and decode them; `layouts` keeps what was worked out for these tags.

        Raises: LinkLost if no unit answers at all.
        """
        answers: dict[Block, _Answer] = {}
        silent: set[int] = set()
        waiting = list(reversed(blocks))
        while waiting:
            block = waiting.pop()
            answer = await self._ask(block, silent)
            halves = split_block(block, tags)
            if isinstance(answer, Refusal) and answer.code in SPLITTING and len(halves) > 1:
                self._learned[block] = halves
                waiting += reversed(halves)
                continue
            now_us = micros(self._clock())
            if isinstance(answer, Refusal):
                status = STATUS_OF_EXCEPTION.get(answer.code, STATUS_BAD)
                answers[block] = _Answer(np.zeros(block.count, np.uint16), status, now_us)
            else:
                answers[block] = _Answer(answer, STATUS_GOOD, now_us)
        asked = tuple(answers)
        layout = layouts.get(asked)
        if layout is None:
            layout = layouts[asked] = Layout(tags, asked)
        words, status_of = layout.joined([(one.words, one.status) for one in answers.values()])
        arrival_us = layout.per_tag([one.arrival_us for one in answers.values()], np.int64)
        return layout.decode(words, status_of), arrival_us

    async def _ask(self, block: Block, silent: set[int]) -> Words | Refusal:
        """Return the words of one block, or the device's refusal.

        A unit that stays silent behind a gateway is bad for this round, and the connection is made anew because of the
        answers that may still come. A device that is the only unit is lost instead.
        """
        if block.unit_id in silent:
            return Refusal(GATEWAY_SILENT)
        try:
            return await self._link.read(block)
        except EndpointSilent as error:
            if silent | {block.unit_id} >= self._units:
                raise LinkLost(endpoint=self._config.endpoint, reason=str(error)) from error
            silent.add(block.unit_id)
            await self._link.connect()
            return Refusal(GATEWAY_SILENT)

    async def _first_answer(self) -> None:
        """Ask one tag of each unit until one answers, for a port that accepts may be anything.

        An exception is an answer too. Raises: EndpointSilent if no unit answers.
        """
        config = self._config
        first = {config.unit_id if tag.unit_id is None else tag.unit_id: tag for tag in reversed(config.tags)}
        for left, tag in enumerate(first.values(), 1 - len(first)):
            (block,) = plan_blocks([tag], config.unit_id, gap_max=0, registers_max=config.registers_max)
            try:
                await self._link.read(block)
                return
            except EndpointSilent:
                if not left:
                    raise
                await self._link.connect()


class _Cycle:
    """Tags that are polled together, with what is remembered of them from poll to poll."""

    def __init__(self, interval_s: float, tags: tuple[ModbusTag, ...], config: ModbusConfig, feed: Feed) -> None:
        self.interval_s = interval_s
        self.tags = tags
        self.due_s = 0.0
        self.plan: list[Block] = []
        self.planned_for = -1
        """How much was learned of the device when the plan was made."""
        self.layouts: dict[tuple[Block, ...], Layout] = {}
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
