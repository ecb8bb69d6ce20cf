"""One source from start to stop: connect, deliver, store, acknowledge; and when the link is gone, say so and come back.

A supervisor (E5): it catches whatever a connector raises, logs once when lost and once when back, and decides by
`retry` how long to wait. It knows no protocol and no database; `store` is given.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Protocol

import pyarrow as pa

from gongshu.errors import GongshuError, Retry
from gongshu.gather.connector import (
    Can,
    Connector,
    ConnectorConfig,
    ConnectorSpec,
    DeliversTables,
    Loss,
    Polls,
    Subscribes,
    TableSink,
    Tag,
)
from gongshu.gather.counters import Counters, State
from gongshu.gather.errors import EndpointSilent
from gongshu.gather.feed import Delivery, FeedQueue

log = logging.getLogger("gongshu.gather")

FLUSH_S = 0.25
"""So long may a value wait for others; with the log's fsync it is visible well within the second that is promised."""
FLUSH_ROWS = 50_000
"""The log is fastest from some ten thousand rows a batch on (decision 0011)."""


class Store(Protocol):
    """Makes readings durable; called in one thread, never twice at a time."""

    def __call__(self, fresh: dict[int, Tag], batch: pa.RecordBatch, once: tuple[str, int] | None) -> None:
        """Register the fresh tags, then store the batch; it is on disk when the call returns."""
        ...


class Collection:
    """Keeps one connector delivering until `run` is cancelled."""

    def __init__(
        self,
        *,
        name: str,
        spec: ConnectorSpec,
        config: ConnectorConfig,
        connector: Connector,
        store: Store,
        clock: Callable[[], datetime],
        tables: TableSink | None = None,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]] = asyncio.to_thread,
    ) -> None:
        self._name = name
        self._spec = spec
        self._config = config
        self._connector = connector
        self._store = store
        self._clock = clock
        self._tables = tables
        self._in_thread = in_thread
        self.counters = Counters(started_at=clock())
        self.feed = FeedQueue(
            rows_max=config.queue_rows_max, policy=config.queue_full, counters=self.counters, clock=clock
        )
        self.feed.on_sign = self._sign
        self._lost_at: datetime | None = None
        self._failures = 0
        self._fresh: dict[int, Tag] = {}

    def resume(self, lost_at: datetime) -> None:
        """Say since when nothing was collected, though it should have been: the end of that is noted as an outage."""
        self._lost_at = lost_at

    async def run(self) -> None:
        """Collect until cancelled; then what was put already is stored and the connector closed."""
        storing = asyncio.create_task(self._keep_storing())
        try:
            await self._keep_linked()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.timeout_s):
                    await self.feed.drained()
            storing.cancel()
            with suppress(asyncio.CancelledError):
                await storing
            self.counters.enter(State.STOPPED, self._clock())

    async def _keep_linked(self) -> None:
        while True:
            self.counters.enter(State.CONNECTING if self._lost_at is None else State.LOST, self._clock())
            self.feed.last_sign_at = None
            try:
                try:
                    self.counters.attempts += 1
                    await self._connector.open()
                    self.counters.connects += 1
                    await self._deliver()
                finally:
                    await self._connector.close()
            except GongshuError as error:
                self._lost(error, error.code, fatal=error.retry is not Retry.LATER)
            except Exception as error:  # noqa: BLE001 - the supervisor of a stranger's code (E5)
                self._lost(error, "gather.connector_broken", fatal=True)
            await asyncio.sleep(self._delay_s())

    async def _deliver(self) -> None:
        """Run what the connector can, with the watch for silence beside it, until either ends."""
        delivering = asyncio.create_task(self._delivery())
        watching = asyncio.create_task(self._watch_silence())
        try:
            done, _ = await asyncio.wait({delivering, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (delivering, watching):
                task.cancel()
            await asyncio.gather(delivering, watching, return_exceptions=True)

    async def _delivery(self) -> None:
        connector, can = self._connector, self._spec.can
        if Can.TABLES in can:
            assert isinstance(connector, DeliversTables)
            assert self._tables is not None
            await connector.deliver(self.feed, self._tables)
        elif Can.SUBSCRIBE in can:
            assert isinstance(connector, Subscribes)
            await connector.subscribe(self.feed)
        else:
            assert isinstance(connector, Polls)
            await connector.poll(self.feed)

    async def _watch_silence(self) -> None:
        limit_s = self._config.silent_after_s
        opened_at = self._clock()
        while True:
            await asyncio.sleep(min(limit_s / 4, 1.0) if limit_s else 3600.0)
            silent_s = (self._clock() - (self.feed.last_sign_at or opened_at)).total_seconds()
            # A queue that is full blocks the connector: it is we who are silent then.
            if limit_s and silent_s > limit_s and not self.counters.queued:
                raise EndpointSilent(
                    endpoint=self._config.endpoint, what="with any value", timeout_s=limit_s, protocol=self._spec.name
                )

    def _sign(self) -> None:
        """A value or a sign of life came: the link works."""
        if self.counters.state is State.RUNNING:
            return
        now = self._clock()
        if self._lost_at is not None:
            outage_s = (now - self._lost_at).total_seconds()
            log.warning("%s: back after %.1f s at %s", self._name, outage_s, self._config.endpoint)
            self.feed.outage_recovered = False
            self.feed.lose(Loss("outage", None, self._lost_at, now))
            self._lost_at = None
        self._failures = 0
        self.counters.last_error = self.counters.last_error_code = ""
        self.counters.enter(State.RUNNING, now)

    def _lost(self, error: Exception, code: str, *, fatal: bool) -> None:
        if self._lost_at is None:
            self._lost_at = self._clock()
            log.warning("%s: lost [%s] %s", self._name, code, error)
        self.counters.last_error_code, self.counters.last_error = code, str(error)
        self.counters.enter(State.FAILED if fatal else State.LOST, self._clock())
        self._failures = self._failures + 1 if not fatal else 1_000

    def _delay_s(self) -> float:
        """Doubling from the shortest to the longest wait, and up to a half less, so that many do not come at once."""
        config = self._config
        doubled_s = config.reconnect_min_s * 2.0 ** min(self._failures - 1, 20)
        return min(doubled_s, config.reconnect_max_s) * random.uniform(0.5, 1.0)  # noqa: S311

    async def _keep_storing(self) -> None:
        while True:
            deliveries = await self.feed.take(rows_max=FLUSH_ROWS, wait_s=FLUSH_S)
            for group in _joined(deliveries):
                await self._store_until_stored(group)

    async def _store_until_stored(self, group: list[Delivery]) -> None:
        """Store one batch, trying again until it is on disk; only then acknowledge it."""
        batch = group[0].batch if len(group) == 1 else pa.concat_batches([delivery.batch for delivery in group])
        failures = 0
        while True:
            self._fresh |= self.feed.fresh_tags()
            fresh = dict(self._fresh)
            try:
                await self._in_thread(partial(self._store, fresh, batch, group[0].once))
            except Exception as error:  # noqa: BLE001 - whatever the disk or database says, the values stay ours (E5)
                code = error.code if isinstance(error, GongshuError) else "gather.store_failed"
                if not failures:
                    log.error("%s: values cannot be stored and wait [%s] %s", self._name, code, error)
                self.counters.last_error_code, self.counters.last_error = code, str(error)
                failures += 1
                await asyncio.sleep(min(0.1 * 2.0 ** min(failures, 10), 10.0))
                continue
            break
        if failures:
            log.warning("%s: values are stored again", self._name)
        self._fresh = {number: tag for number, tag in self._fresh.items() if fresh.get(number) is not tag}
        self._count(batch)
        self.feed.stored(len(group))
        for delivery in group:
            if delivery.acknowledge:
                delivery.acknowledge()

    def _count(self, batch: pa.RecordBatch) -> None:
        statuses = batch.column("status").to_numpy()
        self.counters.read += batch.num_rows
        self.counters.bad += int((statuses >= 0x80000000).sum())
        self.counters.batches += 1
        self.counters.last_value_at = self._clock()


def _joined(deliveries: list[Delivery]) -> list[list[Delivery]]:
    """Return groups that are stored together: all that follow each other, but each `once` alone."""
    groups: list[list[Delivery]] = []
    for delivery in deliveries:
        if delivery.once is None and groups and groups[-1][0].once is None:
            groups[-1].append(delivery)
        else:
            groups.append([delivery])
    return groups
