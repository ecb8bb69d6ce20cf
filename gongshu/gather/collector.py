"""The collector process: `python -m gongshu.gather.collector --home HOME --source ID`. One far end, one process.

It stores into the log directly and shares nothing with the node's web process but files. SIGTERM stores what was taken
and ends it; SIGKILL loses nothing that was acknowledged to the far end.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from gongshu.config import Home, read_config
from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.garbage import search_rarely
from gongshu.gather.connector import Can, Context, TableSink, Tag, connector_named
from gongshu.gather.counters import State, read_counters, write_counters
from gongshu.gather.intake import Intake
from gongshu.gather.loop import Collection
from gongshu.gather.losses import LossBook
from gongshu.gather.model import SourceDefinition, read_config_of
from gongshu.gather.own_places import OwnPlaces
from gongshu.gather.service import SourceService, source_folder, status_file
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.pinyin import forget_when_idle
from gongshu.govern.store import DatasetStore
from gongshu.lake import Lake
from gongshu.lake.memory import release_memory, without_pandas
from gongshu.model.ids import SourceId
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.keys import KeyStore

TICK_S = 1.0
"""The counters are written so often."""


class Collector:
    """One source's process: what it needs, opened once; the loop beside its housekeeping."""

    def __init__(self, home: Home, source_id: SourceId, clock: Callable[[], datetime]) -> None:
        config = read_config(home)
        self._home = home
        self._clock = clock
        self._database = Database(home.database_url(config))
        audit = AuditLog(self._database, KeyStore(home.keys), clock)
        catalogue = CatalogueService(self._database, load_packs(), audit, clock)
        self._lake = Lake.open(log_file=home.log_file, warehouse=home.warehouse(config))
        sources = SourceService(self._database, catalogue, audit, clock, home)
        self._definition = sources.definition_with_secrets(source_id)
        self._intake = Intake(self._definition, catalogue, self._lake)
        self._tables = DatasetStore(self._lake, catalogue)
        self._losses = LossBook(self._database, source_id, clock)
        # One thread of its own for all that waits for the disk: the loop goes on taking values meanwhile.
        self._disk = ThreadPoolExecutor(1, "intake")

    def close(self) -> None:
        """Close what was opened."""
        self._disk.shutdown()
        self._lake.close()
        self._database.close()

    async def run(self) -> None:
        """Collect until cancelled."""
        definition = self._definition
        collection = self._collection(definition)
        before = read_counters(status_file(self._home, definition.source_id))
        if before is not None and before.state is not State.STOPPED:
            # The last collector of this source did not end in order: what passed since its last value is an outage.
            collection.resume(before.last_value_at or before.updated_at or self._clock())
        collecting = asyncio.create_task(collection.run())
        try:
            while not collecting.done():
                await self._keep_house(collection)
                await asyncio.wait({collecting}, timeout=TICK_S)
            collecting.result()
        finally:
            collecting.cancel()
            with suppress(asyncio.CancelledError):
                await collecting
            collection.counters.enter(State.STOPPED, self._clock())
            await self._keep_house(collection)

    def _collection(self, definition: SourceDefinition) -> Collection:
        spec = connector_named(definition.connector)
        config = read_config_of(spec, definition.config, f"source {definition.source_id!r} ({spec.name})")
        folder = source_folder(self._home, definition.source_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tables: TableSink | None = self._tables if Can.TABLES in spec.can else None
        return Collection(
            name=definition.source_id,
            spec=spec,
            config=config,
            connector=spec.connector(
                config, Context(definition.source_id, folder, self._clock, OwnPlaces.of(self._home))
            ),
            store=self._store,
            clock=self._clock,
            tables=tables,
            in_thread=self._on_disk,
        )

    def _store(self, fresh: dict[int, Tag], batch: pa.RecordBatch, once: tuple[str, int] | None) -> None:
        self._intake(fresh, batch, once)

    async def _on_disk(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._disk, work)

    async def _keep_house(self, collection: Collection) -> None:
        """Write down losses and counters; that must never stop the collecting."""
        if forget_when_idle():
            release_memory()  # what the first sight of the series took
        feed, counters = collection.feed, collection.counters
        losses, feed.losses = feed.losses, []
        recovered, feed.outage_recovered = feed.outage_recovered, False
        counters.updated_at, counters.pid = self._clock(), os.getpid()
        try:
            if losses or recovered:
                await self._on_disk(lambda: self._losses.write(losses, recovered=recovered))
            file = status_file(self._home, self._definition.source_id)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_counters(file, counters)
        except Exception as error:  # noqa: BLE001 - a full disk shall not end the collecting (E5)
            feed.losses = losses + feed.losses
            counters.last_error_code, counters.last_error = "gather.housekeeping", str(error)


def main() -> None:
    """Parse the arguments and collect until SIGTERM or SIGINT."""
    search_rarely()
    without_pandas()
    parser = argparse.ArgumentParser(prog="gongshu.gather.collector")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--source", required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        collector = Collector(Home(arguments.home.absolute()), SourceId(arguments.source), lambda: datetime.now(UTC))
    except GongshuError as error:
        logging.getLogger("gongshu.gather").error("%s: cannot start [%s] %s", arguments.source, error.code, error)
        sys.exit(1)
    try:
        asyncio.run(_until_signalled(collector))
    finally:
        collector.close()


async def _until_signalled(collector: Collector) -> None:
    task = asyncio.create_task(collector.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    main()
