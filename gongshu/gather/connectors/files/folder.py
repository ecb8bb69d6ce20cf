"""The connector: it looks at the folder, takes each file once it is still, and goes on whatever one file holds."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from gongshu.errors import GongshuError
from gongshu.gather.batch import micros
from gongshu.gather.connector import ConnectorBase, Context, Feed, Finding, Loss, ProbeReport, TableSink
from gongshu.gather.connectors.files.config import FilesConfig
from gongshu.gather.connectors.files.reading import read_file
from gongshu.gather.connectors.files.series import series_batches, series_tags
from gongshu.gather.connectors.files.taken import FileTable, TakenBook, TakenFile, write_side_file
from gongshu.gather.errors import EndpointUnreachable, LinkLost
from gongshu.model.reading import ValueType

BATCH_ROWS = 50_000


class FilesConnector(ConnectorBase):
    """See `gongshu.gather.connector.Connector` and `DeliversTables`."""

    def __init__(self, config: FilesConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._book = TakenBook.read(context.folder / "taken.json")
        self._still_since: dict[str, tuple[int, int, float]] = {}

    async def open(self) -> None:
        """See `Connector.open`; the folder must be there and readable."""
        await asyncio.to_thread(self._require_folder)

    async def close(self) -> None:
        """See `Connector.close`; between two files nothing is open."""

    async def probe(self) -> ProbeReport:
        """See `Connector.probe`; reads names only."""
        await self.open()
        files = await asyncio.to_thread(lambda: list(self._candidates()))
        return ProbeReport(
            (
                Finding("reachable", True, str(self._config.folder)),
                Finding("login", None, "a folder has no login"),
                Finding("least_privilege", None, "not judged: this connector only reads, whatever it may do"),
                Finding("tags", None, f"{len(files)} files match"),
            )
        )

    async def deliver(self, feed: Feed, tables: TableSink) -> None:
        """See `DeliversTables.deliver`."""
        caught_up = False
        while True:
            try:
                due = await asyncio.to_thread(self._due)
            except OSError as cause:
                raise LinkLost(endpoint=self._config.endpoint, reason=cause.strerror or "it cannot be read") from cause
            feed.alive()
            for path in due:
                await self._take(path, feed, tables)
            if not caught_up and not self._still_since:
                feed.recovered()  # the files waited: whatever was missed has now been taken
                caught_up = True
            await asyncio.sleep(self._config.scan_every_s)

    async def _take(self, path: Path, feed: Feed, tables: TableSink) -> None:
        """Take one file; if it cannot be taken, that is noted, and it is tried again when it has changed."""
        place = path.relative_to(self._config.folder).as_posix()
        seen = await asyncio.to_thread(self._look, path)
        if seen is None:
            return
        note = partial(TakenFile, seen.size_bytes, seen.modified_ns)
        known = self._book.files.get(place)
        try:
            if isinstance(seen.found, GongshuError):
                raise seen.found
            if known is not None and known.digest and known.digest == seen.digest:
                taken = replace(known, size_bytes=seen.size_bytes, modified_ns=seen.modified_ns)
            else:
                feed.received(seen.size_bytes)
                taken = await self._store(place, seen, feed, tables)
        except GongshuError as error:
            feed.bad_input()
            feed.lose(Loss(f"file refused: {error}", address=place))
            taken = note("", str(error))
        await asyncio.to_thread(self._book.note, place, taken)

    def _look(self, path: Path) -> "_Seen | None":
        """Read one file; None if it is gone or changes meanwhile, for then it is not still yet."""
        config = self._config
        found: list[FileTable] | GongshuError
        try:
            before = path.stat()
            try:
                found = read_file(path, config.csv, size_max_bytes=config.size_max_bytes, series=config.series)
            except GongshuError as error:
                found = error
            after = path.stat()
        except FileNotFoundError:
            return None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return None
        return _Seen(after.st_size, after.st_mtime_ns, found)

    async def _store(self, place: str, seen: "_Seen", feed: Feed, tables: TableSink) -> TakenFile:
        names: list[str] = []
        types: dict[str, str] = {}
        rows = rows_set_aside = 0
        assert not isinstance(seen.found, GongshuError)
        for table in seen.found:
            name = "-".join(filter(None, (self._context.source_id, place.rsplit(".", 1)[0], table.part)))
            if self._config.series is not None:
                types |= await self._put_series(place, table, feed)
            else:
                title = " · ".join(filter(None, (place, table.part)))
                origin = f"source:{self._context.source_id}"
                await asyncio.to_thread(partial(tables.write, name, table.table, title=title, origin=origin))
                feed.wrote_table(table.table.num_rows)
            names.append(name)
            rows += table.table.num_rows
            rows_set_aside += len(table.bad_rows)
            await asyncio.to_thread(self._write_side_file, name, table)
        feed.bad_input(rows_set_aside)
        return TakenFile(seen.size_bytes, seen.modified_ns, seen.digest, "", tuple(names), rows, rows_set_aside, types)

    async def _put_series(self, place: str, found: FileTable, feed: Feed) -> dict[str, str]:
        """Put the readings of one table; each batch is stored once, however often the file is read."""
        options = self._config.series
        assert options is not None
        known = {address: ValueType(kind) for one in self._book.files.values() for address, kind in one.types.items()}
        folder, _, _ = place.rpartition("/")
        tags = series_tags(found.table, options, folder, known)
        numbers = [feed.tag(tag) for tag in tags]
        arrival_us = micros(self._context.clock())
        rows_max = min(BATCH_ROWS, self._config.queue_rows_max)
        batches = series_batches(found.table, options, tags, numbers, arrival_us=arrival_us, rows_max=rows_max)
        stored = asyncio.Event()
        producer = f"file:{self._context.source_id}:{place}:{found.part}:{found.digest}"
        put = 0
        for put, batch in enumerate(batches, 1):
            stored.clear()
            await feed.put(batch, acknowledge=stored.set, once=(producer, put))
        if put:
            await stored.wait()
        return {tag.address: tag.value_type.value for tag in tags}

    def _write_side_file(self, name: str, table: FileTable) -> None:
        safe = "".join(letter if letter.isalnum() else "_" for letter in name)
        write_side_file(self._context.folder / "set-aside", safe, table.digest, table.bad_rows)

    def _require_folder(self) -> None:
        try:
            next(self._config.folder.iterdir(), None)
        except OSError as cause:
            reason = cause.strerror or "it cannot be read"
            raise EndpointUnreachable(endpoint=self._config.endpoint, reason=reason) from cause

    def _candidates(self) -> Iterator[Path]:
        """Regular files inside the folder that match; a link that leads out, or to the node's own files, is passed."""
        root = self._config.folder.resolve()
        for path in sorted(self._config.folder.rglob("*") if self._config.recursive else self._config.folder.iterdir()):
            hidden = any(part.startswith((".", "~$")) for part in path.relative_to(self._config.folder).parts)
            if hidden or not path.is_file() or not path.resolve().is_relative_to(root):
                continue
            if self._context.own.hold(path):
                continue
            if any(fnmatch(path.name.lower(), pattern.lower()) for pattern in self._config.patterns):
                yield path

    def _due(self) -> list[Path]:
        """Files that are new or changed, and have been still for long enough."""
        next(self._config.folder.iterdir(), None)
        now_s = self._context.clock().timestamp()
        due: list[Path] = []
        for path in self._candidates():
            stat = path.stat()
            place = path.relative_to(self._config.folder).as_posix()
            known = self._book.files.get(place)
            if known is not None and (known.size_bytes, known.modified_ns) == (stat.st_size, stat.st_mtime_ns):
                continue
            seen = self._still_since.get(place)
            if seen is None or seen[:2] != (stat.st_size, stat.st_mtime_ns):
                seen = self._still_since[place] = (stat.st_size, stat.st_mtime_ns, now_s)
            if now_s - seen[2] >= self._config.settle_s:
                due.append(path)
                del self._still_since[place]
        return due


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was read, or why it could not be."""

    size_bytes: int
    modified_ns: int
    found: list[FileTable] | GongshuError

    @property
    def digest(self) -> str:
        """The file's hash; empty where nothing could be read or no sheet has rows."""
        return "" if isinstance(self.found, GongshuError) or not self.found else self.found[0].digest
