"""From the log into the table: exactly once, each reading in its own day."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gongshu.lake import Lake, ReadingsRelation
from gongshu.lake.codec import encode_readings
from gongshu.lake.commit import LOG_LAST, commit_log
from gongshu.lake.errors import LogBehind, LogDamaged, WriterRunning
from gongshu.lake.sqlite_log import SqliteLog
from gongshu.lake.warehouse import Warehouse
from gongshu.model.reading import READING_SCHEMA
from tests.unit.lake.made import START, readings

ALL = {"readings": ReadingsRelation(None)}


def _values(lake: Lake) -> list[float]:
    table = lake.query("SELECT value_double FROM readings", ALL).read_all()
    return sorted(table.column("value_double").to_pylist())


def test_a_step_moves_what_waits_and_the_snapshot_says_how_far(lake: Lake, tmp_path: Path) -> None:
    for n in range(5):
        lake.append_readings(readings([1, 2, 3], values=[n, n, n]))
    report = lake.commit(rows_max=7)
    assert report is not None
    assert (report.rows, report.first_offset, report.last_offset) == (9, 1, 3)
    rest = lake.commit()
    assert rest is not None
    assert (rest.rows, rest.first_offset, rest.last_offset) == (6, 4, 5)
    assert lake.commit() is None
    table = Warehouse(tmp_path / "lake").readings()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.additional_properties[LOG_LAST] == "5"
    status = lake.status()
    assert (status.rows_total, status.pending_rows, status.committed_offset) == (15, 0, 5)


def test_files_are_by_day_sorted_and_described_for_other_readers(lake: Lake, tmp_path: Path) -> None:
    late = START - timedelta(days=3)
    lake.append_readings(readings([3, 1, 2, 1]))
    lake.append_readings(pa.concat_tables([readings([9, 8], start=late), readings([5])]))
    lake.commit()
    warehouse = Warehouse(tmp_path / "lake")
    table = warehouse.readings()
    files = {file.path.parent.name: file for file in warehouse.files(table)}
    assert set(files) == {"time_day=2026-11-02", "time_day=2026-10-30"}
    rows = pq.ParquetFile(files["time_day=2026-11-02"].path).read()
    keys = list(zip(rows.column("series_id").to_pylist(), rows.column("time").to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert files["time_day=2026-10-30"].series_range == (8, 9)
    assert files["time_day=2026-11-02"].data_file.sort_order_id == table.metadata.default_sort_order_id


def test_another_reader_of_the_format_finds_the_same_rows(lake: Lake, tmp_path: Path) -> None:
    table = readings([1, 2, 3], values=[0.1, None, float("inf")], status=0x80310000)
    lake.append_readings(table)
    lake.commit()
    # pyiceberg's own scan shares no code with ours: it filters by the bounds that we wrote, and reads by field id.
    scanned = Warehouse(tmp_path / "lake").readings().scan(row_filter="series_id >= 2").to_arrow()
    assert scanned.column("value_double").to_pylist() == [None, float("inf")]
    assert scanned.column("status").to_pylist() == [0x80310000] * 2
    assert scanned.column("time").to_pylist() == table.column("time").to_pylist()[1:]


def test_wrong_clocks_keep_their_readings_in_their_own_days(lake: Lake) -> None:
    moments = [datetime(1970, 1, 1, tzinfo=UTC), START, datetime(2100, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]
    for n, moment in enumerate(moments):
        lake.append_readings(readings([1], start=moment, values=[float(n)]))
    lake.commit()
    assert lake.status().files == 4
    assert _values(lake) == [0, 1, 2, 3]
    before = lake.query("SELECT * FROM readings", {"readings": ReadingsRelation((1,), end=START)}).read_all()
    assert before.column("time").to_pylist() == [moments[0], moments[3]] or before.num_rows == 2


def test_all_value_types_survive_unrounded(lake: Lake) -> None:
    times = pa.timestamp("us", tz="UTC")
    table = pa.table(
        [
            pa.array([1, 2, 3, 4], pa.int32()),
            pa.array([START] * 4, times),
            pa.array([True, False, True, True]),
            pa.array([START] * 4, times),
            pa.array([0.1 + 0.2, None, None, None], pa.float64()),
            pa.array([None, 2**63 - 1, -(2**63), None], pa.int64()),
            pa.array([None, None, None, '{"a": 18446744073709551615, "字": "母"}']),
            pa.array([0, 0x40900000, 0xFFFFFFFF, 0x80000000], pa.uint32()),
        ],
        schema=READING_SCHEMA,
    )
    lake.append_readings(table)
    hot = lake.query("SELECT * FROM readings ORDER BY series_id", ALL).read_all()
    lake.commit()
    cold = lake.query("SELECT * FROM readings ORDER BY series_id", ALL).read_all()
    assert hot.to_pylist() == cold.to_pylist() == table.to_pylist()
    assert cold.schema.types == READING_SCHEMA.types


def test_a_commit_whose_end_was_not_seen_is_not_repeated(open_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """Killed between the snapshot and the trimming of the log: the entries are still there, and must not come again."""
    lake = open_lake()
    lake.append_readings(readings([1, 2]))
    copy = tmp_path / "copy.db"
    with sqlite3.connect(tmp_path / "log.db") as log, sqlite3.connect(copy) as target:
        log.backup(target)
    log.close()
    target.close()
    lake.commit()
    lake.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"log.db{suffix}").unlink(missing_ok=True)
    copy.rename(tmp_path / "log.db")
    again = open_lake()
    assert again.status().pending_rows == 0
    assert _values(again) == [0, 1]
    assert again.commit() is None
    assert _values(again) == [0, 1]


def test_a_new_log_starts_over_and_an_old_copy_is_noticed(open_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake = open_lake()
    lake.append_readings(readings([1]))
    with sqlite3.connect(tmp_path / "log.db") as log, sqlite3.connect(tmp_path / "old.db") as target:
        log.backup(target)
    log.close()
    target.close()
    lake.append_readings(readings([1]))
    lake.commit()
    lake.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"log.db{suffix}").unlink(missing_ok=True)
    fresh = open_lake()
    fresh.append_readings(readings([7], values=[7.0]))
    assert _values(fresh) == [0, 0, 7]
    fresh.commit()
    assert _values(fresh) == [0, 0, 7]
    warehouse = Warehouse(tmp_path / "lake2")
    newer = SqliteLog(tmp_path / "newer.db")
    newer.append(encode_readings(readings([1])), rows=1)
    with sqlite3.connect(tmp_path / "newer.db") as source, sqlite3.connect(tmp_path / "older.db") as target:
        source.backup(target)
    source.close()
    target.close()
    newer.append(encode_readings(readings([1])), rows=1)
    commit_log(newer, warehouse, rows_max=100)
    older = SqliteLog(tmp_path / "older.db")
    with pytest.raises(LogBehind):
        commit_log(older, warehouse, rows_max=100)
    newer.close()
    older.close()
    warehouse.close()


def test_one_writer_at_a_time(open_lake: Callable[..., Lake]) -> None:
    one, two = open_lake(), open_lake()
    one.commit()
    with pytest.raises(WriterRunning):
        two.commit()
    one.close()
    assert two.commit() is None


def test_a_damaged_batch_is_set_aside_and_told_and_the_others_arrive(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3):
        lake.append_readings(readings([1], values=[float(n)]), producer="mill", sequence=n)
    with sqlite3.connect(tmp_path / "log.db") as log:
        log.execute("UPDATE entry SET payload = zeroblob(100) WHERE offset = 2")
    log.close()
    assert _values(lake) == [0, 2]
    report = lake.commit()
    assert report is not None
    assert (report.rows, report.set_aside) == (2, 1)
    assert "Entry 2" in caplog.text
    assert "'mill'" in caplog.text
    assert _values(lake) == [0, 2]
    assert lake.status().set_aside == 1
    assert lake.append_readings(readings([1], values=[1.0]), producer="mill", sequence=1) == 4
    assert _values(lake) == [0, 1, 2]


def test_a_torn_end_of_the_wal_loses_no_batch_before_it(tmp_path: Path) -> None:
    """A power cut in the middle of an append: the file ends somewhere in the unacknowledged frames."""
    log = SqliteLog(tmp_path / "log.db")
    acknowledged = [log.append(b"a" * 5_000, rows=1) for _ in range(5)]
    wal = tmp_path / "log.db-wal"
    safe_bytes = wal.stat().st_size
    log.append(b"b" * 50_000, rows=1)
    torn = tmp_path / "torn"
    torn.mkdir()
    for cut in (safe_bytes, safe_bytes + 1, safe_bytes + 20_000, wal.stat().st_size - 1):
        (torn / "log.db").write_bytes((tmp_path / "log.db").read_bytes())
        (torn / "log.db-wal").write_bytes(wal.read_bytes()[:cut])
        (torn / "log.db-shm").unlink(missing_ok=True)
        again = SqliteLog(torn / "log.db")
        tail = again.read(after=0)
        assert [entry.offset for entry in tail.entries] == acknowledged
        assert not tail.damaged
        assert again.append(b"c", rows=1) > acknowledged[-1]
        again.close()
    log.close()


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database at all " * 500)
    with pytest.raises(LogDamaged, match=r"log\.db"):
        Lake.open(log_file=tmp_path / "log.db", warehouse=tmp_path / "lake")
