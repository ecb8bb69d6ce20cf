"""Queries: hot and cold as one, in a process that can be killed, starved and lied to."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from gongshu.lake import Lake, ReadingsRelation, Relation, TableRelation
from gongshu.lake.errors import (
    QueryForbidden,
    QueryInvalid,
    QueryMemoryExceeded,
    QueryTimeout,
    QueryWorkerLost,
    SnapshotUnknown,
    TableUnknown,
)
from tests.unit.lake.made import START, readings

ALL = {"readings": ReadingsRelation(None)}


def _count(lake: Lake) -> int:
    return int(lake.query("SELECT count(*) n FROM readings", ALL).read_all().column("n")[0].as_py())


def test_an_acknowledged_reading_is_in_the_very_next_query(lake: Lake) -> None:
    assert _count(lake) == 0
    lake.append_readings(readings([1]))
    assert _count(lake) == 1


def test_a_relation_is_bounded_by_series_and_a_half_open_span(lake: Lake) -> None:
    lake.append_readings(readings([1, 2, 3, 1, 2, 3]))
    bounded = {
        "r": ReadingsRelation((1, 3), start=START + timedelta(seconds=2), end=START + timedelta(seconds=5)),
        "none": ReadingsRelation(()),
        "many": ReadingsRelation(tuple(range(3, 500))),
    }
    for _ in range(2):
        found = lake.query("SELECT value_double v FROM r ORDER BY v", bounded).read_all()
        assert found.column("v").to_pylist() == [2, 3]
        assert lake.query("SELECT count(*) n FROM none", bounded).read_all().to_pylist() == [{"n": 0}]
        assert lake.query("SELECT count(*) n FROM many", bounded).read_all().to_pylist() == [{"n": 2}]
        lake.commit()


def test_hot_and_cold_are_never_double_and_never_missing_while_the_writer_works(open_lake: Callable[..., Lake]) -> None:
    lake, writer = open_lake(), open_lake()
    stop, appended, problems = threading.Event(), [0], []

    def append() -> None:
        while not stop.is_set():
            lake.append_readings(readings([1] * 50))
            appended[0] += 50

    def commit() -> None:
        while not stop.is_set():
            writer.commit(rows_max=200)

    threads = [threading.Thread(target=append), threading.Thread(target=commit)]
    for thread in threads:
        thread.start()
    reader = open_lake()
    try:
        for _ in range(25):
            before = appended[0]
            seen = _count(reader)
            # The batch on its way may be in the log before it is counted here.
            if not before <= seen <= appended[0] + 50:
                problems.append((before, seen, appended[0]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems
    assert _count(reader) == appended[0]


def test_a_killed_worker_is_one_clear_error_and_the_next_query_works(lake: Lake) -> None:
    lake.append_readings(readings([1]))
    assert _count(lake) == 1
    slow = lake.query("SELECT * FROM range(100000000)", {})
    next(slow.batches())
    pid = slow.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(QueryWorkerLost, match="signal 9"):
        slow.read_all()
    assert _count(lake) == 1
    for idle in lake.worker_pids():
        os.kill(idle, signal.SIGKILL)
    assert _count(lake) == 1


def test_too_long_and_too_large_end_with_what_to_do(open_lake: Callable[..., Lake]) -> None:
    lake = open_lake(query_memory_mb=128)
    lake.append_readings(readings([1]))
    started = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"0\.7 s"):
        lake.query("SELECT count(*) FROM range(10000000000) a, range(1000) b", {}, timeout_s=0.7).read_all()
    assert time.monotonic() - started < 60, "the query itself would take hours"
    with pytest.raises(QueryMemoryExceeded, match="128 MB"):
        lake.query("SELECT list(range) FROM range(300000000)", {}).read_all()
    with pytest.raises(QueryMemoryExceeded):
        lake.query("SELECT repeat(repeat('x', 900000000), 4)", {}).read_all()
    assert _count(lake) == 1


def test_a_worker_whose_memory_ran_out_serves_no_other_query(open_lake: Callable[..., Lake]) -> None:
    lake = open_lake(query_memory_mb=128)
    lake.query("SELECT 1 AS n", {}).read_all()
    (spent,) = lake.worker_pids()
    with pytest.raises(QueryMemoryExceeded):
        lake.query("SELECT list(range) FROM range(300000000)", {}).read_all()
    assert spent not in lake.worker_pids()
    assert lake.query("SELECT 1 AS n", {}).read_all().to_pylist() == [{"n": 1}]


def test_rows_are_streamed_and_cut_off_at_the_bound(lake: Lake) -> None:
    result = lake.query("SELECT range AS n FROM range(1000000)", {}, rows_max=100_000)
    assert result.schema == pa.schema([("n", pa.int64())])
    batches = list(result.batches())
    assert len(batches) > 1
    assert sum(batch.num_rows for batch in batches) == 100_000
    assert result.truncated
    exact = lake.query("SELECT range AS n FROM range(10)", {}, rows_max=10)
    assert exact.read_all().num_rows == 10
    assert not exact.truncated
    # Nobody could hold this: it is computed as it is read.
    with lake.query("SELECT range AS n FROM range(100000000000)", {}) as endless:
        assert next(endless.batches()).num_rows > 0


def test_queries_can_run_while_another_is_being_read(lake: Lake) -> None:
    with lake.query("SELECT * FROM range(1000000)", {}) as outer:
        for batch in outer.batches():
            assert batch.num_rows
            assert _count(lake) == 0
            break


HOSTILE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM read_blob('{log}')",
    "SELECT * FROM readings WHERE EXISTS (SELECT * FROM read_text('/proc/self/environ'))",
    "SELECT * FROM sqlite_scan('{log}', 'entry')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM query('SELECT * FROM ''{file}''')",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_settings()",
    "SELECT current_setting('allowed_paths')",
    "SELECT * FROM __tail",
    "SELECT * FROM main.readings",
    "COPY readings TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/x.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET threads",
    "PRAGMA database_list",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW readings AS SELECT 1",
    "DROP VIEW readings",
    "SELECT 1; COPY readings TO '{folder}/out.csv'",
    "lake",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_reaches_nothing_but_its_relations(hostile_lake: tuple[Lake, dict[str, str]], sql: str) -> None:
    lake, places = hostile_lake
    with pytest.raises((QueryForbidden, QueryInvalid)):
        lake.query(sql.format(**places), {"readings": ReadingsRelation((1,))}).read_all()
    assert not list(Path(places["folder"]).glob("out*"))


@pytest.fixture(scope="module")
def hostile_lake(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("hostile")
    lake = Lake.open(log_file=folder / "log.db", warehouse=folder / "lake")
    lake.append_readings(readings([1, 2]))
    lake.commit()
    file = next((folder / "lake" / "readings" / "data").rglob("*.parquet"))
    yield lake, {"file": str(file), "log": str(folder / "log.db"), "folder": str(folder)}
    lake.close()


def test_engine_alone_refuses_files_that_are_not_in_the_plan(tmp_path: Path) -> None:
    """The second wall: even without our look at the SQL, DuckDB opens the plan's files alone."""
    import duckdb
    import pyarrow.parquet as pq

    from gongshu.lake.query.engine import locked_engine, open_engine
    from gongshu.lake.query.plan import RelationPlan
    from gongshu.model.reading import READING_SCHEMA

    for name in ("mine", "other"):
        pq.write_table(
            pa.table(
                {"a": pa.array([1])}, schema=pa.schema([pa.field("a", pa.int64(), metadata={"PARQUET:field_id": "1"})])
            ),
            tmp_path / f"{name}.parquet",
        )
    plan = RelationPlan("mine", (str(tmp_path / "mine.parquet"),), ((1, "a", "BIGINT"),))
    python_variable = pa.table({"secret": [1]})
    fresh = open_engine(memory_mb=128, threads=1, temp=tmp_path / "t")
    with locked_engine(fresh, [plan], READING_SCHEMA.empty_table()) as engine:
        assert engine.execute("SELECT a FROM mine").fetchall() == [(1,)]
        for sql in (
            f"SELECT * FROM '{tmp_path}/other.parquet'",
            "SELECT * FROM read_csv('/etc/passwd')",
            f"COPY mine TO '{tmp_path}/out.csv'",
            f"COPY mine TO '{tmp_path}/mine.parquet'",
            f"ATTACH '{tmp_path}/x.db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET threads = 4",
            "SET enable_external_access = true",
            "SELECT * FROM python_variable",
            f"SELECT * FROM glob('{tmp_path}/*')",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(sql).fetchall()
    assert python_variable.num_rows == 1
    assert not (tmp_path / "out.csv").exists()


def test_errors_do_not_quote_values(lake: Lake) -> None:
    lake.append_readings(readings([1], values=[123456.5]))
    with pytest.raises(QueryInvalid) as caught:
        lake.query("SELECT CAST(value_double::VARCHAR || 'x' AS INTEGER) FROM readings", ALL).read_all()
    assert "123456" not in str(caught.value)
    with pytest.raises(QueryInvalid, match="no_such_column"):
        lake.query("SELECT no_such_column FROM readings", ALL).read_all()


def test_sums_of_integers_are_whole_and_times_come_in_utc(lake: Lake) -> None:
    table = readings([1, 1]).drop_columns(["value_double"])
    lake.append_readings(
        table.append_column("value_double", pa.nulls(2, pa.float64())).set_column(
            table.column_names.index("value_int"), "value_int", pa.array([2**62, 2**62], pa.int64())
        )
    )
    row = lake.query("SELECT sum(value_int) s, max(time) t FROM readings", ALL).read_all()
    assert int(row.column("s")[0].as_py()) == 2**63
    assert row.schema.field("t").type == pa.timestamp("us", tz="UTC")


def test_tables_are_written_read_and_remembered(lake: Lake) -> None:
    first = lake.write_table("orders", pa.table({"id": [1, 2], "item": ["轴", "gear"]}), properties={"app": "x"})
    second = lake.write_table("orders", pa.table({"id": [3], "price": [2.5]}))
    now = {"orders": TableRelation("orders")}
    rows = lake.query("SELECT * FROM orders ORDER BY id", now).read_all().to_pylist()
    assert rows == [
        {"id": 1, "item": "轴", "price": None},
        {"id": 2, "item": "gear", "price": None},
        {"id": 3, "item": None, "price": 2.5},
    ]
    lake.write_table("orders", pa.table({"id": ["A-1"]}), mode="replace")
    assert lake.query("SELECT * FROM orders", now).read_all().to_pylist() == [{"id": "A-1"}]
    assert lake.table_schema("orders") == pa.schema([("id", pa.string())])
    then = {"a": TableRelation("orders", first), "b": TableRelation("orders", second)}
    old = lake.query("SELECT (SELECT count(*) FROM a) a, (SELECT count(*) FROM b) b, (SELECT max(id) FROM b) m", then)
    assert old.read_all().to_pylist() == [{"a": 2, "b": 3, "m": 3}]
    assert lake.tables() == ["orders"]


def test_readings_join_with_tables_and_empty_tables_keep_their_columns(lake: Lake) -> None:
    lake.append_readings(readings([1, 2, 2]))
    lake.write_table("machines", pa.table({"series_id": [1, 2], "name": ["mill", "lathe"]}))
    lake.write_table("empty", pa.table({"x": pa.array([], pa.float64())}))
    named: dict[str, Relation] = {**ALL, "machines": TableRelation("machines"), "empty": TableRelation("empty")}
    sql = "SELECT name, count(*) n FROM readings JOIN machines USING (series_id) GROUP BY name ORDER BY n"
    assert lake.query(sql, named).read_all().to_pylist() == [{"name": "mill", "n": 1}, {"name": "lathe", "n": 2}]
    assert lake.query("SELECT * FROM empty", named).read_all().schema == pa.schema([("x", pa.float64())])


def test_unknown_tables_and_snapshots_are_named(lake: Lake) -> None:
    lake.write_table("orders", pa.table({"id": [1]}))
    with pytest.raises(TableUnknown, match="nothing"):
        lake.query("SELECT 1", {"x": TableRelation("nothing")})
    with pytest.raises(SnapshotUnknown, match="42"):
        lake.query("SELECT 1", {"x": TableRelation("orders", 42)})
    with pytest.raises(TableUnknown):
        lake.table_schema("nothing")


def test_latest_follows_the_tail_and_finds_silent_series_in_files(open_lake: Callable[..., Lake]) -> None:
    lake, writer = open_lake(), open_lake()
    lake.append_readings(readings([1, 2], start=START - timedelta(days=2), values=[1.0, 2.0]))
    writer.commit()
    lake.append_readings(readings([1], values=[10.0]))
    writer.commit()

    def values() -> dict[int, float]:
        table = lake.latest([1, 2, 3])
        return dict(zip(table.column("series_id").to_pylist(), table.column("value_double").to_pylist(), strict=True))

    assert values() == {1: 10.0, 2: 2.0}
    lake.append_readings(readings([3, 1], start=START - timedelta(days=1), values=[3.0, 11.0]))
    assert values() == {1: 10.0, 2: 2.0, 3: 3.0}, "a late reading is not the last one"
    lake.append_readings(readings([1], start=START + timedelta(seconds=1), values=[12.0]))
    writer.commit()
    assert values() == {1: 12.0, 2: 2.0, 3: 3.0}, "committed between two calls"
    for idle in lake.worker_pids():
        os.kill(idle, signal.SIGKILL)
    assert values() == {1: 12.0, 2: 2.0, 3: 3.0}


def test_a_clock_in_2100_does_not_hide_later_readings(lake: Lake) -> None:
    ahead = readings([1, 2], start=START.replace(year=2100), values=[99.0, 98.0])
    ahead = ahead.set_column(3, "arrival_time", pa.array([START, START], pa.timestamp("us", tz="UTC")))
    lake.append_readings(ahead)
    lake.append_readings(readings([1], values=[5.0]))
    assert lake.latest([1, 2]).column("value_double").to_pylist() == [5.0, 98.0]
