"""The worker's look at DuckDB's own parse: one SELECT over the given names, and nothing else."""

import json

import duckdb
import pytest

from gongshu.lake.query.engine import reserved_names
from gongshu.lake.query.guard import find_escape

ALLOWED = [
    "SELECT * FROM readings",
    "SELECT count(*) FROM Readings r JOIN machines m ON r.series_id = m.id WHERE m.x > (SELECT avg(y) FROM readings)",
    "WITH a AS (SELECT * FROM readings), b AS (SELECT * FROM a) SELECT * FROM b UNION ALL SELECT * FROM a",
    "SELECT x FROM (VALUES (1), (2)) t(x)",
    "SELECT * FROM range(10), unnest([1, 2]) u(v)",
    "FROM readings SELECT time_bucket(INTERVAL 1 HOUR, time) h, avg(value_double) GROUP BY h",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
    "SELECT * FROM readings ASOF JOIN machines USING (time)",
]
REFUSED = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/lake/readings/data/x.parquet')",
    "SELECT * FROM '/lake/x.parquet'",
    "SELECT * FROM other",
    "SELECT * FROM main.readings",
    "SELECT * FROM memory.main.readings",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('other')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT (SELECT max(x) FROM read_blob('/etc/shadow') t(x))",
    "SELECT * FROM readings WHERE value_double IN (SELECT size FROM glob('/*'))",
    "WITH a AS (SELECT * FROM sniff_csv('/etc/passwd')) SELECT * FROM a",
    "SELECT * FROM (WITH duckdb_views AS (SELECT 1) SELECT * FROM duckdb_views) a, duckdb_views b",
    'SELECT * FROM (WITH "/etc/x.csv" AS (SELECT 1) SELECT * FROM "/etc/x.csv") a, "/etc/x.csv" b',
    "SELECT current_setting('allowed_paths')",
    "SELECT getenv('HOME')",
    "COPY readings TO '/tmp/x.csv'",
    "ATTACH '/tmp/x.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 9",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CREATE TABLE t AS SELECT 1",
    "DROP VIEW readings",
    "EXPORT DATABASE '/tmp/x'",
    "SHOW TABLES",
    "DESCRIBE readings",
    "EXPLAIN SELECT 1",
    "SELECT 1; SELECT 2",
    "",
]


def _escape(sql: str) -> str | None:
    with duckdb.connect() as connection:
        serialize = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true)"
        ((answer,),) = connection.execute(serialize, [sql]).fetchall()
        return find_escape(json.loads(answer), names=["readings", "machines"], reserved=reserved_names(connection))


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_select_over_the_given_names_passes(sql: str) -> None:
    assert _escape(sql) is None


@pytest.mark.parametrize("sql", REFUSED)
def test_whatever_reaches_further_is_found(sql: str) -> None:
    assert _escape(sql)
