"""The lake beside bare references: the log, log to Iceberg, size, the roll-up."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bench.data import SHAPES, batches, of_shape, readings_by_second
from bench.folder import folder as temporary
from bench.result import Result
from gongshu.lake import Lake, ReadingsRelation
from gongshu.lake.codec import encode_readings
from gongshu.lake.sqlite_log import SqliteLog

COMMIT_ROWS = 2_000_000
ROUNDS = 3
_ROLL_UP = """
    SELECT series_id, time_bucket(INTERVAL 1 HOUR, "time") AS hour, avg(value_double) AS mean,
           min(value_double) AS least, max(value_double) AS most, count(*) AS n
    FROM {} GROUP BY ALL"""
_ONE_SERIES = """
    SELECT time_bucket(INTERVAL 1 MINUTE, "time") AS minute, max(value_double) AS most
    FROM {} WHERE series_id = 77 GROUP BY minute"""


def bench_log(seconds: int) -> list[Result]:
    """Batches of 10,000 readings, each on disk before the next, beside a plain write and fsync of the same bytes."""
    payloads = [encode_readings(batch) for batch in batches(readings_by_second(min(seconds, 2_000)))]
    rows = 10_000
    raw_s = log_s = 0.0
    with temporary() as folder, (folder / "raw").open("wb", buffering=0) as file:
        log = SqliteLog(folder / "log.db")
        # In turn, batch by batch, so that both meet the same disk.
        for sequence, payload in enumerate(payloads * ROUNDS):
            raw_s += _timed(lambda payload=payload: _write_raw(file, payload))  # type: ignore[misc]
            log_s += _timed(
                lambda payload=payload, n=sequence: log.append(payload, rows=rows, producer="bench", sequence=n)  # type: ignore[misc]
            )
        log.close()
    ratio = raw_s / log_s
    rate = ROUNDS * len(payloads) * rows / log_s
    raw = f"write + fsync: {ROUNDS * len(payloads) * rows / raw_s:,.0f} readings/s"
    return [Result("batch of 10,000 to the durable log", rate, "readings/s", raw, ratio, "≥ 0.5", ratio >= 0.5)]


def bench_log_to_iceberg(seconds: int) -> list[Result]:
    """Log to queryable snapshots, two million readings a commit, beside one sort and Parquet write of the same."""
    table = readings_by_second(seconds)
    reference_s = lake_s = 0.0
    with temporary() as folder:
        lake = _filled(folder, table.slice(0, min(COMMIT_ROWS, table.num_rows)))
        _commit_all(lake)
        _sort_and_write(table.slice(0, COMMIT_ROWS), folder / "warm-up")
        warm_rows, warm_bytes = lake.status().rows_total, lake.status().size_bytes
        # Part by part in turn, so that both meet the same machine.
        for number, part in enumerate(batches(table, COMMIT_ROWS)):
            for batch in batches(part):
                lake.append_readings(batch)
            reference_s += _timed(lambda part=part, n=number: _sort_and_write(part, folder / f"{n}.parquet"))  # type: ignore[misc]
            lake_s += _timed(lambda: _commit_all(lake))
        reference_bytes = sum(path.stat().st_size for path in folder.glob("*.parquet")) / table.num_rows
        status = lake.status()
        lake.close()
    assert (status.rows_total - warm_rows, status.pending_rows) == (table.num_rows, 0)
    rate, ratio = table.num_rows / lake_s, reference_s / lake_s
    bytes_each = (status.size_bytes - warm_bytes) / table.num_rows
    reference = f"sort_by + write_table: {table.num_rows / reference_s:,.0f} readings/s"
    return [
        Result(
            f"log to queryable Iceberg, {table.num_rows:,} readings",
            rate,
            "readings/s",
            reference,
            ratio,
            "≥ 0.6 and ≥ 3,000,000/s",
            ratio >= 0.6 and rate >= 3e6,
        ),
        Result(
            "size on the seeded set",
            bytes_each,
            "bytes/reading",
            f"pyarrow's defaults with Zstandard: {reference_bytes:.2f}",
            bytes_each / reference_bytes,
            "≤ 2.2",
            bytes_each <= 2.2,
        ),
    ]


def bench_size_by_shape(seconds: int) -> list[Result]:
    """Bytes a reading of each of the four shapes alone, as one commit writes them."""
    table = readings_by_second(min(seconds, 2_000))
    results = []
    for shape in SHAPES:
        with temporary() as folder:
            lake = _filled(folder, of_shape(table, shape))
            lake.commit()
            status = lake.status()
            lake.close()
        results.append(Result(f"size, {shape}", status.size_bytes / status.rows_total, "bytes/reading"))
    return results


def bench_roll_up(seconds: int) -> list[Result]:
    """Hourly roll-up and one series by minute through the query worker, beside DuckDB on the same files."""
    table = readings_by_second(seconds)
    with temporary() as folder:
        lake = _filled(folder, table)
        _commit_all(lake)
        files = [str(path) for path in (folder / "lake" / "readings" / "data").rglob("*.parquet")]
        results = []
        for what, sql, aim in (("hourly roll-up", _ROLL_UP, 1.3), ("one series by minute", _ONE_SERIES, None)):
            bare_s, lake_s = _side_by_side(lake, files, sql)
            results.append(
                Result(
                    f"{what} of {table.num_rows:,} readings",
                    lake_s * 1000,
                    "ms",
                    f"DuckDB on the same files: {bare_s * 1000:.0f} ms",
                    lake_s / bare_s,
                    f"≤ {aim}" if aim else "",
                    lake_s / bare_s <= aim if aim else None,
                )
            )
        lake.close()
    return results


def _side_by_side(lake: Lake, files: list[str], sql: str) -> tuple[float, float]:
    """Return the best of some rounds, taken in turn so that both meet the same machine."""
    relations = {"readings": ReadingsRelation(None)}
    with duckdb.connect() as connection:
        bare = sql.format(f"read_parquet({files})")
        expected = connection.sql(bare).to_arrow_table()
        assert lake.query(sql.format("readings"), relations).read_all().num_rows == expected.num_rows
        bare_s, lake_s = [], []
        for _ in range(2 * ROUNDS):
            bare_s.append(_timed(lambda: connection.sql(bare).to_arrow_table()))
            lake_s.append(_timed(lambda: lake.query(sql.format("readings"), relations).read_all()))
    return min(bare_s), min(lake_s)


def _opened(folder: Path) -> Lake:
    """Open a lake whose libraries are loaded and whose writer has nothing to do, as one that runs."""
    lake = Lake.open(log_file=folder / "log.db", warehouse=folder / "lake", query_timeout_s=300.0)
    lake.commit()
    return lake


def _filled(folder: Path, table: pa.Table) -> Lake:
    lake = _opened(folder)
    for batch in batches(table):
        lake.append_readings(batch)
    return lake


def _commit_all(lake: Lake) -> None:
    while lake.commit(rows_max=COMMIT_ROWS) is not None:
        pass


def _sort_and_write(table: pa.Table, path: Path) -> None:
    pq.write_table(table.sort_by([("series_id", "ascending"), ("time", "ascending")]), path, compression="zstd")


def _write_raw(file: BinaryIO, payload: bytes) -> None:
    file.write(payload)
    os.fsync(file.fileno())


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
