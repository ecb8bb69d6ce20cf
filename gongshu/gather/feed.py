"""The bounded queue between a connector and the store: the `Feed` of a connector, and what the loop takes from it.

All of it belongs to one event loop. It counts; it does not log, store or know the network.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from gongshu.gather.batch import NATIVE_SCHEMA
from gongshu.gather.connector import Loss, QueueFull, Tag
from gongshu.gather.counters import Counters


@dataclass(frozen=True, slots=True)
class Delivery:
    """One batch as it waits."""

    batch: pa.RecordBatch
    acknowledge: Callable[[], None] | None
    once: tuple[str, int] | None
    """(producer, sequence): stored alone, and only if this pair is not stored yet."""


class FeedQueue:
    """See `gongshu.gather.connector.Feed` for what a connector calls. Its bound is in rows and is never passed."""

    def __init__(self, *, rows_max: int, policy: QueueFull, counters: Counters, clock: Callable[[], datetime]) -> None:
        self._rows_max = rows_max
        self._policy = policy
        self._counters = counters
        self._clock = clock
        self._waiting: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._plenty = asyncio.Event()
        self._plenty_rows = rows_max
        self._space = asyncio.Event()
        self._idle = asyncio.Event()
        self._in_flight = 0
        self._numbers: dict[str, int] = {}
        self._fresh: dict[int, Tag] = {}
        self.tags: list[Tag] = []
        """By tag number."""
        self.losses: list[Loss] = []
        """Not yet written down; the collector empties it."""
        self.outage_recovered = False
        self.last_sign_at: datetime | None = None
        """When a value or a sign of life last came."""
        self.on_sign: Callable[[], None] | None = None

    # what the connector calls

    def tag(self, tag: Tag) -> int:
        """See `Feed.tag`."""
        number = self._numbers.get(tag.address)
        if number is None:
            number = self._numbers[tag.address] = len(self.tags)
            self.tags.append(tag)
            self._fresh[number] = tag
        elif self.tags[number] != tag:
            self.tags[number] = self._fresh[number] = tag
        return number

    async def put(
        self,
        batch: pa.RecordBatch,
        *,
        acknowledge: Callable[[], None] | None = None,
        once: tuple[str, int] | None = None,
    ) -> None:
        """See `Feed.put`."""
        assert batch.schema == NATIVE_SCHEMA, "a connector puts batches of NATIVE_SCHEMA"
        self.alive()
        if not batch.num_rows:
            if acknowledge:
                acknowledge()
            return
        if self._policy is QueueFull.DROP_OLDEST:
            self._drop_for(batch.num_rows)
            batch = batch.slice(max(0, batch.num_rows - self._rows_max))
            self._append(Delivery(batch, acknowledge, once))
            return
        assert once is None or batch.num_rows <= self._rows_max, "a batch that is stored once is not split"
        for start in range(0, batch.num_rows, self._rows_max):
            part = batch.slice(start, self._rows_max)
            await self._room_for(part.num_rows)
            last = start + self._rows_max >= batch.num_rows
            self._append(Delivery(part, acknowledge if last else None, once))

    def wrote_table(self, rows: int) -> None:
        """See `Feed.wrote_table`."""
        self._counters.tables += 1
        self._counters.read += rows
        self._counters.last_value_at = self._clock()
        self.alive()

    def lose(self, loss: Loss) -> None:
        """See `Feed.lose`."""
        self._counters.losses += 1
        self._counters.lost += loss.readings or 0
        self.losses.append(loss)

    def bad_input(self, count: int = 1) -> None:
        """See `Feed.bad_input`."""
        self._counters.undecodable += count

    def received(self, size_bytes: int) -> None:
        """See `Feed.received`."""
        self._counters.bytes += size_bytes

    def recovered(self) -> None:
        """See `Feed.recovered`."""
        self.outage_recovered = True

    def alive(self) -> None:
        """See `Feed.alive`."""
        self.last_sign_at = self._clock()
        if self.on_sign is not None:
            self.on_sign()

    # what the loop calls

    async def take(self, *, rows_max: int, wait_s: float) -> list[Delivery]:
        """Return what waits, once there is something: at the latest `wait_s` after the first of it was seen.

        Shape: at least one delivery; about `rows_max` rows at most, or one delivery that is larger. They count as
        in flight until `stored` is called.
        """
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        self._plenty_rows = min(rows_max, self._rows_max // 2 + 1)
        # A batch that is stored alone gains nothing from waiting for others.
        if self._counters.queued < self._plenty_rows and self._waiting[-1].once is None:
            self._plenty.clear()
            # Not `wait_for`: before Python 3.12 it forgets a cancellation that comes together with what it waits for.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._plenty.wait()
        taken: list[Delivery] = []
        rows = 0
        while self._waiting and (not taken or rows + self._waiting[0].batch.num_rows <= rows_max):
            taken.append(self._pop())
            rows += taken[-1].batch.num_rows
        self._in_flight += len(taken)
        return taken

    def stored(self, deliveries: int) -> None:
        """Say that so many of the deliveries taken are on disk."""
        self._in_flight -= deliveries
        if not self._in_flight and not self._waiting:
            self._idle.set()

    async def drained(self) -> None:
        """Return when nothing waits and nothing is in flight."""
        while self._in_flight or self._waiting:
            self._plenty.set()
            self._idle.clear()
            await self._idle.wait()

    def fresh_tags(self) -> dict[int, Tag]:
        """Return the tags that came or changed since the last call, by number."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def _append(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._counters.queued += delivery.batch.num_rows
        self._arrived.set()
        if self._counters.queued >= self._plenty_rows or delivery.once is not None:
            self._plenty.set()

    def _pop(self) -> Delivery:
        delivery = self._waiting.popleft()
        self._counters.queued -= delivery.batch.num_rows
        self._space.set()
        return delivery

    async def _room_for(self, rows: int) -> None:
        while self._waiting and self._counters.queued + rows > self._rows_max:
            self._plenty.set()
            self._space.clear()
            await self._space.wait()

    def _drop_for(self, rows: int) -> None:
        """Drop the oldest until there is room; what is dropped is acknowledged, so that the far end goes on."""
        dropped = max(0, rows - self._rows_max)
        while self._waiting and self._counters.queued + min(rows, self._rows_max) > self._rows_max:
            oldest = self._pop()
            dropped += oldest.batch.num_rows
            if oldest.acknowledge:
                oldest.acknowledge()
        if dropped:
            self.lose(Loss("queue full", dropped, end=self._clock()))
