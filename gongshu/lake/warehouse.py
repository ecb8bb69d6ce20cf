"""The Iceberg tables of one warehouse folder: find, make, list files, commit one snapshot.

The only module that speaks to the catalogue. It must not know what is in the log.
"""

import fcntl
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform

from gongshu.lake.columns import READINGS_FIELDS
from gongshu.lake.errors import SnapshotUnknown, TableNameInvalid, WriterRunning
from gongshu.lake.model import READINGS_TABLE
from gongshu.lake.storage import local_path

NAMESPACE = "gongshu"
SERIES_FIELD, TIME_FIELD = 1, 2
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PROPERTIES = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "write.parquet.compression-codec": "zstd",
    "history.expire.min-snapshots-to-keep": "2",
}
# A retried append would repeat readings whose offsets another writer already committed.
_READINGS_PROPERTIES = _PROPERTIES | {"commit.retry.num-retries": "0"}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A data file of a snapshot, with what is needed to leave it out of a query."""

    path: Path
    rows: int
    size_bytes: int
    day: int | None
    series_range: tuple[int, int] | None
    time_range_us: tuple[int, int] | None
    data_file: DataFile


class Warehouse:
    """One folder of tables with their catalogue. Threads and processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        """Open the warehouse, making folder and catalogue if they are not there."""
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._tables: dict[str, Table] = {}
        self._files: dict[tuple[str, int], tuple[StoredFile, ...]] = {}
        with self.locked("catalog"):
            self._catalog = SqlCatalog(
                "gongshu",
                **{
                    "uri": f"sqlite:///{self.folder / 'catalog.db'}?timeout=30",
                    "warehouse": self.folder.as_uri(),
                    "py-io-impl": "gongshu.lake.storage.LocalFileIO",
                },
            )
            with suppress(NamespaceAlreadyExistsError):
                self._catalog.create_namespace(NAMESPACE)

    def close(self) -> None:
        """Close the catalogue's connections."""
        self._catalog.engine.dispose()

    def names(self) -> list[str]:
        """Return the names of all tables, sorted."""
        return sorted(identifier[-1] for identifier in self._catalog.list_tables(NAMESPACE))

    def table(self, name: str) -> Table | None:
        """Return the table as it is now, or None; metadata are parsed again only when they changed."""
        location = self._metadata_location(name)
        if location is None:
            return None
        with self._lock:
            known = self._tables.get(name)
        if known is not None and known.metadata_location == location:
            return known
        try:
            table = self._catalog.load_table((NAMESPACE, name))
        except NoSuchTableError:
            return None
        with self._lock:
            self._tables[name] = table
        return table

    def readings(self) -> Table:
        """Return the readings table, making it at first use."""
        table = self.table(READINGS_TABLE)
        if table is not None:
            return table
        partitions = PartitionSpec(PartitionField(TIME_FIELD, 1000, DayTransform(), "time_day"))
        order = SortOrder(SortField(SERIES_FIELD, IdentityTransform()), SortField(TIME_FIELD, IdentityTransform()))
        return self.create(
            READINGS_TABLE,
            Schema(*READINGS_FIELDS),
            partitions=partitions,
            order=order,
            properties=_READINGS_PROPERTIES,
        )

    def create(
        self,
        name: str,
        schema: Schema,
        *,
        partitions: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        order: SortOrder = UNSORTED_SORT_ORDER,
        properties: Mapping[str, str] = _PROPERTIES,
    ) -> Table:
        """Make a table, or return the one that another process made meanwhile.

        Raises: TableNameInvalid.
        """
        require_table_name(name)
        try:
            return self._catalog.create_table(
                (NAMESPACE, name),
                schema,
                location=f"{self.folder.as_uri()}/{name}",
                partition_spec=partitions,
                sort_order=order,
                properties=dict(properties),
            )
        except TableAlreadyExistsError:
            return self._catalog.load_table((NAMESPACE, name))

    def files(self, table: Table, snapshot_id: int | None = None) -> tuple[StoredFile, ...]:
        """Return the data files of a snapshot, the current one by default; read once a snapshot.

        Raises: SnapshotUnknown.
        """
        name = table.name()[-1]
        snapshot = _snapshot(table, name, snapshot_id)
        if snapshot is None:
            return ()
        key = (name, snapshot.snapshot_id)
        with self._lock:
            known = self._files.get(key)
        if known is not None:
            return known
        found = tuple(_stored_files(table, snapshot))
        with self._lock:
            for old in [k for k in self._files if k[0] == name][:-3]:
                del self._files[old]
            self._files[key] = found
        return found

    def commit_files(
        self,
        table: Table,
        *,
        added: Sequence[DataFile],
        removed: Sequence[DataFile] = (),
        properties: Mapping[str, str],
    ) -> int:
        """Add and remove data files in one snapshot that carries `properties`; return its id.

        Raises: pyiceberg's CommitFailedException when another process committed first; nothing changed then.
        """
        with table.transaction() as transaction:
            return stage_files(transaction, added=added, removed=removed, properties=properties)

    @contextmanager
    def locked(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Hold a lock of the warehouse against other processes; it goes with the process, however that ends.

        Raises: WriterRunning if `wait` is false and another holds it.
        """
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as cause:
                file.seek(0)
                owner = file.read().strip() or "unknown"
                raise WriterRunning(warehouse=self.folder, owner=owner) from cause
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def _metadata_location(self, name: str) -> str | None:
        query = sa.select(IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == self._catalog.name,
            IcebergTables.table_namespace == NAMESPACE,
            IcebergTables.table_name == name,
        )
        with self._catalog.engine.connect() as connection:
            location: str | None = connection.execute(query).scalar()
        return location


def stage_files(
    transaction: Transaction, *, added: Sequence[DataFile], removed: Sequence[DataFile], properties: Mapping[str, str]
) -> int:
    """Add a snapshot to a transaction that its owner commits; return the snapshot's id."""
    update = transaction.update_snapshot(snapshot_properties=dict(properties))
    with update.overwrite() if removed else update.merge_append() as producer:
        for data_file in added:
            producer.append_data_file(data_file)
        for data_file in removed:
            producer.delete_data_file(data_file)
    return int(producer.snapshot_id)


def require_table_name(name: str) -> None:
    """Raise TableNameInvalid unless the name can be a folder and an SQL name."""
    if not _NAME.fullmatch(name):
        raise TableNameInvalid(table=name)


def _snapshot(table: Table, name: str, snapshot_id: int | None) -> Snapshot | None:
    if snapshot_id is None:
        return table.current_snapshot()
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise SnapshotUnknown(table=name, snapshot_id=snapshot_id)
    return snapshot


def _stored_files(table: Table, snapshot: Snapshot) -> Iterator[StoredFile]:
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            assert entry.status != ManifestEntryStatus.DELETED
            data_file = entry.data_file
            yield StoredFile(
                path=local_path(data_file.file_path),
                rows=data_file.record_count,
                size_bytes=data_file.file_size_in_bytes,
                day=data_file.partition[0] if len(data_file.partition) else None,
                series_range=_range(data_file, SERIES_FIELD),
                time_range_us=_range(data_file, TIME_FIELD),
                data_file=data_file,
            )


def _range(data_file: DataFile, field_id: int) -> tuple[int, int] | None:
    lower = (data_file.lower_bounds or {}).get(field_id)
    upper = (data_file.upper_bounds or {}).get(field_id)
    if lower is None or upper is None:
        return None
    return _integer(lower), _integer(upper)


def _integer(encoded: bytes) -> int:
    # Ints have four bytes, longs and times eight; both little-endian (Iceberg spec, appendix D).
    return int.from_bytes(encoded, "little", signed=True)
