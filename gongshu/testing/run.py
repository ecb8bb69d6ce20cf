"""One collection under the eyes of a test: the real loop and queue, and what reached the store, as plain lists."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from gongshu.gather.connector import Connector, ConnectorConfig, ConnectorSpec, Tag
from gongshu.gather.counters import Counters
from gongshu.gather.loop import Collection
from gongshu.model.ids import DatasetId
from gongshu.testing.rig import Native


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading as it reached the store."""

    address: str
    source_time: datetime | None
    arrival_time: datetime
    columns: tuple[float | None, int | None, str | None]
    status: int


@dataclass
class Run:
    """What a running collection has delivered so far."""

    collection: Collection
    seen: list[Seen] = field(default_factory=list)
    tags: dict[str, Tag] = field(default_factory=dict)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is cleared the store takes nothing, as a full disk would."""
    tables: dict[str, pa.Table] = field(default_factory=dict)
    """Whole tables that were delivered, by name."""
    _addresses: dict[int, str] = field(default_factory=dict)

    @property
    def counters(self) -> Counters:
        """The collection's counters."""
        return self.collection.counters

    def of(self, address: str) -> list[Seen]:
        """Return the readings of one address, in order of arrival."""
        return [seen for seen in self.seen if seen.address == address]

    def store(self, fresh: dict[int, Tag], batch: pa.RecordBatch, once: tuple[str, int] | None) -> None:
        """Keep the batch (`gongshu.gather.loop.Store`)."""
        for number, tag in fresh.items():
            self._addresses[number] = tag.address
            self.tags[tag.address] = tag
        self.seen += [Seen(self._addresses[row["tag"]], *_row(row)) for row in batch.to_pylist()]

    def write(
        self,
        name: str,
        data: pa.Table,
        *,
        title: str,
        origin: str,
        mode: str = "replace",
        parents: Sequence[DatasetId] = (),
        asset: object = None,
    ) -> DatasetId:
        """Keep a table (`gongshu.gather.connector.TableSink`)."""
        self.tables[name] = data
        return DatasetId(name)

    async def until(self, holds: Callable[["Run"], object], within_s: float) -> None:
        """Return as soon as it holds. Raises: AssertionError when it does not within the time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not holds(self):
            if loop.time() > deadline:
                raise AssertionError(
                    f"not within {within_s} s; {len(self.seen)} readings, {self.counters.state}, "
                    f"{self.counters.last_error or 'no error'}"
                )
            await asyncio.sleep(0.01)


@asynccontextmanager
async def collecting(spec: ConnectorSpec, config: ConnectorConfig, connector: Connector) -> AsyncIterator[Run]:
    """Run the connector in the platform's own loop for as long as the block lasts."""
    run: Run

    async def here(store: Callable[[], None]) -> None:
        await run.held.wait()
        store()

    def store(fresh: dict[int, Tag], batch: pa.RecordBatch, once: tuple[str, int] | None) -> None:
        run.store(fresh, batch, once)

    class Tables:
        """Named late, for the run needs the collection first."""

        def write(self, name: str, data: pa.Table, **about: Any) -> DatasetId:
            return run.write(name, data, **about)

    collection = Collection(
        name="rig",
        spec=spec,
        config=config,
        connector=connector,
        store=store,
        clock=lambda: datetime.now(UTC),
        tables=Tables(),
        in_thread=here,
    )
    run = Run(collection)
    run.held.set()
    task = asyncio.create_task(collection.run())
    try:
        yield run
    finally:
        run.held.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    columns = row["value_double"], row["value_int"], row["value_text"]
    return row["source_time"], row["arrival_time"], columns, row["status"]


def heard(address: str) -> Callable[[Run], bool]:
    """Return the condition that any reading of the address has come."""
    return lambda run: bool(run.of(address))


def arrived(expected: Native) -> Callable[[Run], bool]:
    """Return the condition that this value has come."""
    return lambda run: any(one.columns == expected.columns for one in run.of(expected.address))


def arrived_last(expected: Native) -> Callable[[Run], bool]:
    """Return the condition that this value is the newest of its address."""
    return lambda run: [one.columns for one in run.of(expected.address)[-1:]] == [expected.columns]
