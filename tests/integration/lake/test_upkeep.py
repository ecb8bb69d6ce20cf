"""Upkeep changes files, never rows; a full disk is said clearly and loses nothing acknowledged."""

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from gongshu.lake import Lake, ReadingsRelation, TableRelation
from gongshu.lake.codec import encode_readings
from gongshu.lake.compaction import FILES_PER_DAY
from gongshu.lake.errors import LogFull, LogUnwritable, WarehouseUnwritable
from gongshu.lake.sqlite_log import SqliteLog
from gongshu.lake.warehouse import Warehouse
from tests.unit.lake.made import START, readings

pytestmark = pytest.mark.disk

ALL = {"readings": ReadingsRelation(None)}
SQL = "SELECT series_id, time, value_double FROM readings ORDER BY ALL"


def _rows(lake: Lake) -> pa.Table:
    return lake.query(SQL, ALL).read_all()


def _backdate(folder: Path, *, hours: float) -> None:
    then = time.time() - hours * 3600
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def test_small_files_are_merged_and_the_rows_stay(lake: Lake) -> None:
    for n in range(FILES_PER_DAY + 4):
        lake.append_readings(readings([3, 1, 2], start=START + timedelta(seconds=n)))
        lake.append_readings(readings([1], start=START - timedelta(days=2)))
        lake.commit()
    before = _rows(lake)
    offset = lake.status().committed_offset
    report = lake.compact(now=START)
    assert (report.days_compacted, report.files_after) == (2, 2)
    assert report.files_before == 2 * (FILES_PER_DAY + 4)
    status = lake.status()
    assert (status.files, status.committed_offset) == (2, offset)
    assert _rows(lake).equals(before)
    assert lake.compact(now=START).days_compacted == 0
    lake.append_readings(readings([9], start=START))
    lake.commit()
    assert _rows(lake).num_rows == before.num_rows + 1


def test_a_query_that_runs_is_not_disturbed_by_compaction(lake: Lake) -> None:
    for n in range(FILES_PER_DAY + 1):
        lake.append_readings(readings([1] * 10, start=START + timedelta(minutes=n)))
        lake.commit()
    result = lake.query("SELECT a.value_double FROM readings a, range(20000)", ALL)
    next(result.batches())
    lake.compact(now=datetime.now(UTC))
    assert sum(batch.num_rows for batch in result.batches()) > 0


def test_old_snapshots_go_and_with_them_files_that_nobody_names(lake: Lake, tmp_path: Path) -> None:
    for n in range(FILES_PER_DAY + 4):
        lake.append_readings(readings([1], start=START + timedelta(seconds=n)))
        lake.commit()
    before = _rows(lake)
    data = tmp_path / "lake" / "readings" / "data"
    first = list(data.rglob("*.parquet"))
    lake.compact(now=datetime.now(UTC))
    orphan = next(data.iterdir()) / "0123456789.parquet"
    orphan.write_bytes(b"left by a writer that was killed")
    assert lake.compact(now=datetime.now(UTC)).orphans_removed == 0, "it may be part of a commit on its way"
    _backdate(tmp_path / "lake", hours=2)
    report = lake.compact(now=datetime.now(UTC) + timedelta(hours=1))
    assert report.snapshots_expired > 0
    assert not orphan.exists()
    assert report.orphans_removed > 0
    assert _rows(lake).equals(before)
    for _ in range(6):
        lake.append_readings(readings([2], start=START))
        lake.commit()
    _backdate(tmp_path / "lake", hours=2)
    lake.compact(now=datetime.now(UTC) + timedelta(hours=1))
    assert not any(path.exists() for path in first)
    assert _rows(lake).num_rows == before.num_rows + 6


def test_versions_of_a_table_are_kept_for_a_month(lake: Lake, tmp_path: Path) -> None:
    snapshots = [lake.write_table("t", pa.table({"a": [n]}), mode="replace") for n in range(8)]
    _backdate(tmp_path / "lake", hours=40 * 24)
    lake.append_readings(readings([1]))
    lake.commit()
    lake.compact(now=datetime.now(UTC) + timedelta(days=1))
    old = {"t": TableRelation("t", snapshots[0])}
    assert lake.query("SELECT a FROM t", old).read_all().to_pylist() == [{"a": 0}]
    lake.compact(now=datetime.now(UTC) + timedelta(days=40))
    assert lake.query("SELECT a FROM t", {"t": TableRelation("t")}).read_all().to_pylist() == [{"a": 7}]
    assert len(Warehouse(tmp_path / "lake").table("t").snapshots()) == 5  # type: ignore[union-attr]


def test_a_full_log_is_said_and_what_was_acknowledged_is_committed(tmp_path: Path) -> None:
    log_file = tmp_path / "log.db"
    log = SqliteLog(log_file, size_max_bytes=200_000)
    batch = readings(list(range(1, 2_000)), values=[n / 7 for n in range(1_999)])
    payload = encode_readings(batch)
    stored = 0
    with suppress(LogFull):
        for _ in range(1_000):
            log.append(payload, rows=batch.num_rows)
            stored += 1
    assert 0 < stored < 1_000
    with pytest.raises(LogFull, match="Free some disk space"):
        log.append(payload, rows=batch.num_rows)
    lake = Lake.open(log_file=log_file, warehouse=tmp_path / "lake")
    report = lake.commit()
    assert report is not None
    assert report.rows == stored * batch.num_rows
    assert log.append(payload, rows=batch.num_rows) > 0
    log.close()
    lake.close()


_FULL_DISK = """
import resource, sys
from pathlib import Path
from gongshu.lake.errors import LogFull, LogUnwritable, WarehouseUnwritable
from gongshu.lake.sqlite_log import SqliteLog
log = SqliteLog(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
stored = 0
try:
    for sequence in range(1000):
        log.append(b"x" * 20_000, rows=1, producer="p", sequence=sequence)
        stored += 1
except (LogFull, LogUnwritable) as refusal:
    print(stored, type(refusal).__name__)
"""


def test_a_disk_that_refuses_to_grow_loses_nothing_acknowledged(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    told = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(file)], check=True, capture_output=True, text=True
    ).stdout.split()
    stored = int(told[0])
    assert 0 < stored < 1000
    assert told[1] in (LogFull.__name__, LogUnwritable.__name__)
    log = SqliteLog(file)
    assert [entry.sequence for entry in log.read(after=0).entries] == list(range(stored))
    assert log.last_sequence("p") == stored - 1
    log.close()


def test_a_commit_on_a_full_disk_leaves_the_log_and_no_file(open_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake = open_lake()
    lake.append_readings(readings([1]))
    lake.commit()
    rows, noise = 100_000, random.Random(1)
    lake.append_readings(
        readings([1])
        .take(pa.array([0] * rows))
        .set_column(4, "value_double", pa.array([noise.random() for _ in range(rows)]))
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(WarehouseUnwritable, match="large"):
            lake.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert lake.status().pending_rows == rows
    assert len(list((tmp_path / "lake").rglob("*.parquet*"))) == 1
    report = lake.commit()
    assert report is not None
    assert report.rows == rows
