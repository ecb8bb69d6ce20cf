"""The queue between connector and store: its bound, its policies, its order, its acknowledgements."""

import asyncio
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from gongshu.gather.batch import native_batch
from gongshu.gather.connector import QueueFull, Tag
from gongshu.gather.counters import Counters
from gongshu.gather.feed import FeedQueue
from gongshu.model.reading import ValueType


def queue(rows_max: int = 10, policy: QueueFull = QueueFull.BLOCK) -> FeedQueue:
    return FeedQueue(rows_max=rows_max, policy=policy, counters=Counters(), clock=lambda: datetime.now(UTC))


def batch(*values: int) -> pa.RecordBatch:
    return native_batch([0] * len(values), arrival_us=1, value_int=list(values))


async def taken(feed: FeedQueue, rows_max: int = 100) -> list[int]:
    deliveries = await feed.take(rows_max=rows_max, wait_s=0.0)
    feed.stored(len(deliveries))
    return [value for one in deliveries for value in one.batch.column("value_int").to_pylist()]


async def test_it_keeps_the_order() -> None:
    feed = queue()
    await feed.put(batch(1, 2))
    await feed.put(batch(3))
    assert await taken(feed) == [1, 2, 3]


async def test_it_waits_a_moment_for_others() -> None:
    feed = queue(rows_max=1_000)
    await feed.put(batch(1))
    taking = asyncio.create_task(feed.take(rows_max=100, wait_s=0.2))
    await asyncio.sleep(0.02)
    await feed.put(batch(2))
    assert sum(one.batch.num_rows for one in await taking) == 2


async def test_blocking_waits_for_room_and_never_passes_the_bound() -> None:
    feed = queue(rows_max=3)
    putting = asyncio.create_task(feed.put(batch(*range(10))))
    found: list[int] = []
    while len(found) < 10:
        await asyncio.sleep(0)
        assert feed._counters.queued <= 3
        found += await taken(feed, rows_max=2)
    await putting
    assert found == list(range(10))


async def test_dropping_keeps_the_newest_and_counts_the_rest() -> None:
    feed = queue(rows_max=3, policy=QueueFull.DROP_OLDEST)
    acknowledged: list[int] = []
    for number in range(5):
        await feed.put(batch(number), acknowledge=lambda number=number: acknowledged.append(number))  # type: ignore[misc]
    await feed.put(batch(5, 6, 7, 8))
    assert await taken(feed) == [6, 7, 8]
    assert feed._counters.lost == 6
    assert acknowledged == [0, 1, 2, 3, 4]
    assert {loss.reason for loss in feed.losses} == {"queue full"}


async def test_an_empty_batch_is_acknowledged_at_once() -> None:
    feed = queue()
    acknowledged = asyncio.Event()
    await feed.put(batch(), acknowledge=acknowledged.set)
    assert acknowledged.is_set()


async def test_drained_waits_for_what_is_in_flight() -> None:
    feed = queue()
    await feed.put(batch(1))
    deliveries = await feed.take(rows_max=10, wait_s=0.0)
    draining = asyncio.create_task(feed.drained())
    await asyncio.sleep(0.01)
    assert not draining.done()
    feed.stored(len(deliveries))
    await asyncio.wait_for(draining, 1)


async def test_a_tag_keeps_its_number_and_says_when_it_changed() -> None:
    feed = queue()
    first = Tag("a", "load", ValueType.INT64)
    assert (feed.tag(first), feed.tag(Tag("b", "x", ValueType.TEXT)), feed.tag(first)) == (0, 1, 0)
    assert set(feed.fresh_tags()) == {0, 1}
    assert feed.fresh_tags() == {}
    changed = Tag("a", "load", ValueType.INT64, unit="%")
    assert feed.tag(changed) == 0
    assert feed.fresh_tags() == {0: changed}


async def test_a_foreign_schema_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="NATIVE_SCHEMA"):
        await queue().put(pa.record_batch({"x": [1]}))


async def test_a_cancellation_is_not_forgotten_when_plenty_comes_in_the_same_moment() -> None:
    feed = queue()
    await feed.put(batch(1))
    taking = asyncio.create_task(feed.take(rows_max=100, wait_s=60.0))
    await asyncio.sleep(0.02)
    await feed.put(batch(*range(9)))
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert feed._counters.queued == 10, "what was not taken still waits"
