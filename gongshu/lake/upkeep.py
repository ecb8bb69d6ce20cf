"""Keep the tables healthy: merge small files of a day, expire old snapshots, remove files that nobody names.

Called by the writer when it is idle. Readers are never disturbed: what they may still be reading stays for a while.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table

from gongshu.lake.commit import LOG_FIRST, LOG_ID, LOG_LAST, write_readings
from gongshu.lake.compaction import plan_compaction
from gongshu.lake.model import READINGS_TABLE, UpkeepReport
from gongshu.lake.parquet import remove_data_file
from gongshu.lake.storage import local_path
from gongshu.lake.warehouse import StoredFile, Warehouse

READINGS_KEPT_S = 600.0
"""Old snapshots of the readings serve queries that run; their rows are in the newer ones too."""
TABLES_KEPT_S = 30 * 86_400.0
"""Old versions of a dataset's table can be asked for by snapshot for a month. Chosen here; no standard asks for it."""
SNAPSHOTS_KEPT = 5
"""So many of the newest snapshots of a table stay, however old."""

_logger = logging.getLogger(__name__)


def run_upkeep(warehouse: Warehouse, *, now: datetime, query_timeout_s: float, is_idle: bool) -> UpkeepReport:
    """Do one round; the caller holds the writer's lock. See `Lake.compact`.

    Cost: reads and writes each day that is worth it, one at a time, in memory.
    """
    # A query may hold files for as long as it may run; what it holds must outlive it.
    readings_kept = timedelta(seconds=max(READINGS_KEPT_S, 3 * query_timeout_s))
    days, before, after = _compact(warehouse, now=now, is_idle=is_idle)
    expired = _expire(warehouse, now=now, readings_kept=readings_kept)
    orphans = _remove_orphans(warehouse, older_than=now - readings_kept)
    return UpkeepReport(
        days_compacted=days, files_before=before, files_after=after, snapshots_expired=expired, orphans_removed=orphans
    )


def _compact(warehouse: Warehouse, *, now: datetime, is_idle: bool) -> tuple[int, int, int]:
    table = warehouse.table(READINGS_TABLE)
    if table is None:
        return 0, 0, 0
    today = int(now.timestamp() // 86_400)
    groups = plan_compaction(warehouse.files(table), today=today, is_idle=is_idle)
    files_after = 0
    for group in groups:
        files_after += _merge(warehouse, group)
    return len(groups), sum(len(group) for group in groups), files_after


def _merge(warehouse: Warehouse, group: Sequence[StoredFile]) -> int:
    """Replace the files of one day by few, in one snapshot that keeps the log's mark; return how many."""
    table = warehouse.readings()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    summary = snapshot.summary.additional_properties
    mark = {key: summary[key] for key in (LOG_ID, LOG_FIRST, LOG_LAST) if key in summary}
    readings = pa.concat_tables([pq.ParquetFile(file.path).read() for file in group])
    added = write_readings(table, readings)
    try:
        warehouse.commit_files(table, added=added, removed=[file.data_file for file in group], properties=mark)
    except Exception:
        for data_file in added:
            remove_data_file(data_file)
        raise
    return len(added)


def _expire(warehouse: Warehouse, *, now: datetime, readings_kept: timedelta) -> int:
    expired = 0
    for name in warehouse.names():
        table = warehouse.table(name)
        if table is None:
            continue
        kept = readings_kept if name == READINGS_TABLE else timedelta(seconds=TABLES_KEPT_S)
        limit_ms = int((now - kept).timestamp() * 1000)
        snapshots = sorted(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
        old = [snapshot.snapshot_id for snapshot in snapshots[:-SNAPSHOTS_KEPT] if snapshot.timestamp_ms < limit_ms]
        if old:
            with warehouse.locked(f"table-{name}"):
                table.maintenance.expire_snapshots().by_ids(old).commit()
            expired += len(old)
    return expired


def _remove_orphans(warehouse: Warehouse, *, older_than: datetime) -> int:
    """Delete files that no kept snapshot names and that are too old to be part of a commit on its way."""
    limit_s = older_than.timestamp()
    removed = 0
    for name in warehouse.names():
        folder = warehouse.folder / name
        candidates = [path for path in _files_below(folder) if path.stat().st_mtime < limit_s]
        if not candidates:
            continue
        # Named files are listed after the candidates: a commit in between can only add names.
        table = warehouse.table(name)
        if table is None:
            continue
        named = _named_files(table)
        for path in candidates:
            if path not in named:
                path.unlink(missing_ok=True)
                removed += 1
    removed += _remove_old_temp(warehouse.folder / "tmp", limit_s=limit_s)
    if removed:
        _logger.info("%d files that nothing names were removed from %s", removed, warehouse.folder)
    return removed


def _named_files(table: Table) -> set[Path]:
    named = {local_path(table.metadata_location)}
    named |= {local_path(entry.metadata_file) for entry in table.metadata.metadata_log}
    manifests: dict[str, object] = {}
    for snapshot in table.snapshots():
        named.add(local_path(snapshot.manifest_list))
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in manifests:
                continue
            manifests[manifest.manifest_path] = None
            named.add(local_path(manifest.manifest_path))
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            named |= {local_path(entry.data_file.file_path) for entry in entries}
    return named


def _files_below(folder: Path) -> Iterator[Path]:
    for part in ("data", "metadata"):
        yield from (path for path in (folder / part).rglob("*") if path.is_file())


def _remove_old_temp(folder: Path, *, limit_s: float) -> int:
    removed = 0
    # A day's grace on top: a worker that waits for work touches its folder only when it spills.
    for path in folder.glob("query-*"):
        if path.stat().st_mtime < min(limit_s, time.time() - 86_400):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed
