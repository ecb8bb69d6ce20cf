"""Modbus against devices that misbehave: foreign and late answers, silent units, holes in the register map."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gongshu.errors import GongshuError
from gongshu.gather.connector import Context
from gongshu.gather.connectors.modbus.client import ModbusConnector
from gongshu.gather.connectors.modbus.config import ModbusConfig
from gongshu.model.ids import SourceId
from gongshu.model.reading import STATUS_BAD_NO_COMMUNICATION, STATUS_BAD_NODE_ID_UNKNOWN

Answer = Callable[[int, int, int, int, int], "bytes | None"]


def frame(tid: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu


def registers(count: int, value: int = 7) -> bytes:
    return struct.pack(">BB", 3, 2 * count) + struct.pack(">H", value) * count


@asynccontextmanager
async def device(answer: Answer) -> AsyncIterator[tuple[int, list[tuple[int, int]]]]:
    """A server that answers as the test says; yields its port and the (start, count) of all reads."""
    asked: list[tuple[int, int]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                tid, _, _, unit, function, start, count = struct.unpack(">HHHBBHH", await reader.readexactly(12))
                asked.append((start, count))
                if (sent := answer(tid, unit, function, start, count)) is not None:
                    writer.write(sent)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def connector(port: int, tags: list[dict[str, object]], **config: object) -> ModbusConnector:
    fields = {"host": "127.0.0.1", "port": port, "timeout_s": 0.5, "tags": tags} | config
    context = Context(SourceId("s"), Path("/nonexistent"), lambda: datetime.now(UTC))
    return ModbusConnector(ModbusConfig.model_validate(fields), context)


TAGS: list[dict[str, object]] = [{"name": f"t{i}", "address": i} for i in range(10)]


@pytest.mark.parametrize(
    "answer",
    [
        lambda tid, unit, function, start, count: frame(0, unit, registers(count)),
        lambda tid, unit, function, start, count: frame(tid - 1, unit, registers(count)),
        lambda tid, unit, function, start, count: frame(tid, unit + 1, registers(count)),
        lambda tid, unit, function, start, count: frame(tid, unit, b"\x04" + registers(count)[1:]),
        lambda tid, unit, function, start, count: frame(tid, unit, registers(count + 1)),
        lambda tid, unit, function, start, count: frame(tid, unit, registers(count)[:-1]),
        lambda tid, unit, function, start, count: frame(tid, unit, b"\x03"),
        lambda tid, unit, function, start, count: frame(tid, unit, b""),
        lambda tid, unit, function, start, count: b"\xff" * 300,
        lambda tid, unit, function, start, count: None,
    ],
    ids=[
        "tid-0",
        "late-tid",
        "other-unit",
        "other-function",
        "too-long",
        "too-short",
        "no-count",
        "no-function",
        "garbage",
        "silence",
    ],
)
async def test_an_answer_that_fits_no_question_is_never_a_value(answer: Answer) -> None:
    async with device(answer) as (port, _):
        one = connector(port, TAGS[:1])
        with pytest.raises(GongshuError):
            async with asyncio.timeout(3), one:
                await one.read(["1/holding/0:uint16"])
        await one.close()


async def test_a_hole_in_the_map_costs_only_its_own_tag() -> None:
    def answer(tid: int, unit: int, function: int, start: int, count: int) -> bytes:
        if start <= 4 < start + count:
            return frame(tid, unit, b"\x83\x02")
        return frame(tid, unit, registers(count))

    addresses = [f"1/holding/{i}:uint16" for i in range(10)]
    async with device(answer) as (port, asked):
        one = connector(port, TAGS)
        async with one:
            found = (await one.read(addresses)).to_pylist()
            assert [row["value_int"] for row in found] == [7] * 4 + [None] + [7] * 5
            assert found[4]["status"] == STATUS_BAD_NODE_ID_UNKNOWN
            first = len(asked)
            await one.read(addresses)
            assert len(asked) - first < first, "what was learned is used"


async def test_a_silent_unit_behind_a_gateway_does_not_stop_the_others() -> None:
    def answer(tid: int, unit: int, function: int, start: int, count: int) -> bytes | None:
        return frame(tid, unit, registers(count)) if unit == 1 else None

    tags = [{"name": "a", "address": 0}, {"name": "b", "address": 0, "unit_id": 2}]
    async with device(answer) as (port, _):
        one = connector(port, tags)
        async with one:
            found = (await one.read(["1/holding/0:uint16", "2/holding/0:uint16"])).to_pylist()
    assert found[0]["value_int"] == 7
    assert (found[1]["value_int"], found[1]["status"]) == (None, STATUS_BAD_NO_COMMUNICATION)


async def test_neighbours_are_read_as_one() -> None:
    async with device(lambda tid, unit, function, start, count: frame(tid, unit, registers(count))) as (port, asked):
        one = connector(port, [{"name": f"t{i}", "address": 3 * i} for i in range(100)])
        async with one:
            asked.clear()
            await one.read([f"1/holding/{3 * i}:uint16" for i in range(100)])
    assert asked == [(0, 124), (126, 124), (252, 46)]


async def test_text_that_is_no_address_is_a_bad_reading() -> None:
    async with device(lambda tid, unit, function, start, count: frame(tid, unit, registers(count))) as (port, _):
        one = connector(port, TAGS)
        async with one:
            assert (await one.read([])).num_rows == 0
            found = (await one.read(["nonsense", "1/holding/3:uint16", "; DROP"])).to_pylist()
    assert [row["status"] == STATUS_BAD_NODE_ID_UNKNOWN for row in found] == [True, False, True]
