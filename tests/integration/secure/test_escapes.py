"""The escape corpus: whatever a hostile reader sends, no protected value comes back in any form.

An analyst may read `orders` with masks, without the column `recipe` and without the rows of line B, and of the machines
only mill-0. Each attack may be refused, may fail or may answer; the secrets must be in nothing that it gives back.
"""

import pytest

from gongshu.errors import GongshuError, Refused
from gongshu.model.access import Role
from gongshu.secure.errors import SqlInvalid
from gongshu.secure.gate import DatasetQuery, SqlQuery, python_rows
from tests.integration.secure.conftest import SECRETS, Plant, person

ANALYST = person(Role.ANALYST)

REFUSED = [
    # files, and the functions that read them
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/*')",
    "SELECT * FROM read_json('x.json')",
    "SELECT * FROM read_parquet('lake/**/*.parquet')",
    "SELECT * FROM parquet_scan('lake/**/*.parquet')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM parquet_schema('x')",
    "SELECT * FROM parquet_file_metadata('x')",
    "SELECT * FROM parquet_kv_metadata('x')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM iceberg_scan('lake')",
    "SELECT * FROM sqlite_scan('metadata.db', 'accounts')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'orders.parquet'",
    'SELECT * FROM "lake/orders/data/*.parquet"',
    "SELECT * FROM \"read_csv\"('/etc/passwd')",
    "SELECT * FROM main.orders",
    "SELECT * FROM memory.main.orders",
    "SELECT * FROM orders, read_csv('/etc/passwd')",
    "SELECT * FROM orders WHERE note IN (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT (SELECT content FROM read_text('/etc/passwd')) FROM orders",
    # SQL or a name held in a string
    "SELECT * FROM query('SELECT * FROM _r0')",
    "SELECT * FROM query_table('_r0')",
    "SELECT * FROM query_table(['_r0'])",
    "SELECT * FROM sql_auto_complete('SEL')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    # the engine's own knowledge
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_columns()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_functions()",
    "SELECT * FROM information_schema.columns",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM pragma_table_info('_r0')",
    "SELECT * FROM pragma_storage_info('_r0')",
    "SELECT * FROM duckdb_logs",
    "SELECT current_setting('allowed_paths') FROM orders",
    "SELECT getenv('HOME') FROM orders",
    "SELECT getvariable('x') FROM orders",
    "SELECT current_user FROM orders",
    "SELECT current_database() FROM orders",
    "SELECT current_schemas(true) FROM orders",
    "SELECT version() FROM orders",
    "SELECT pg_typeof(customer) FROM orders",
    "SELECT stats(customer) FROM orders",
    "SELECT nextval('s') FROM orders",
    "SELECT currval('s') FROM orders",
    "SELECT txid_current() FROM orders",
    "SELECT write_log('x') FROM orders",
    "SELECT error(customer) FROM orders",
    "SELECT vector_type(customer) FROM orders",
    "SELECT list_transform([1], x -> x + 1) FROM orders",
    "SELECT apply([1], lambda x : x) FROM orders",
    # statements that are not queries
    "COPY orders TO '/tmp/x.csv'",
    "COPY (SELECT * FROM orders) TO '/tmp/x.csv'",
    "EXPORT DATABASE '/tmp/x'",
    "ATTACH '/tmp/x.db' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CREATE TABLE x AS SELECT * FROM orders",
    "CREATE VIEW v AS SELECT * FROM orders",
    "CREATE MACRO m() AS TABLE SELECT * FROM orders",
    "INSERT INTO orders SELECT * FROM orders",
    "INSERT INTO orders SELECT * FROM orders RETURNING *",
    "UPDATE orders SET customer = 'x' RETURNING customer",
    "DELETE FROM orders RETURNING *",
    "MERGE INTO orders USING orders o ON true WHEN MATCHED THEN DELETE",
    "DROP TABLE orders",
    "PREPARE p AS SELECT * FROM orders",
    "EXECUTE p",
    "EXPLAIN SELECT * FROM orders",
    "EXPLAIN ANALYZE SELECT * FROM orders",
    "DESCRIBE orders",
    "SUMMARIZE orders",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SELECT * FROM (DESCRIBE orders)",
    "SELECT * FROM (SUMMARIZE orders)",
    "SELECT * FROM (SHOW TABLES)",
    "USE memory",
    "CHECKPOINT",
    "BEGIN",
    "FORCE CHECKPOINT",
    "SELECT 1 FROM orders; SELECT 2 FROM orders",
    "SELECT * FROM orders; DROP TABLE orders",
    "SELECT * INTO x FROM orders",
    # forms that the guard leaves out
    "PIVOT orders ON line USING max(customer)",
    "SELECT * FROM orders PIVOT (max(customer) FOR line IN ('A', 'B'))",
    "UNPIVOT orders ON customer, note INTO NAME n VALUE v",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT * FROM r, orders",
    "SELECT * FROM orders, LATERAL (SELECT orders.customer)",
    "SELECT * FROM orders TABLESAMPLE 10%",
    "SELECT unnest([customer]) FROM orders",
    "SELECT * FROM orders, unnest(['x'])",
    "SELECT * FROM range(1000000000000), orders",
    "SELECT * FROM orders AS o(a, b, c)",
    "SELECT $1 FROM orders",
    "SELECT ? FROM orders",
    "SELECT {'a': customer} FROM orders",
    "SELECT struct_pack(a := customer) FROM orders",
    "SELECT row(customer) FROM orders",
    "SELECT customer::JSON FROM orders",
    "SELECT CAST(customer AS orders) FROM orders",
    "SELECT * FROM orders FOR UPDATE",
    "VALUES (1)",
    # names that belong to the gate
    "SELECT * FROM _r0",
    "SELECT * FROM orders, _r0",
    'SELECT * FROM "_r0", orders',
    "SELECT * FROM _R0, orders",
    "WITH _r0 AS (SELECT 1 AS x) SELECT * FROM orders, _r0",
    "SELECT * FROM orders AS _r0",
    "SELECT * FROM orders AS gs_source_0",
    "SELECT recipe AS gs_source_0 FROM orders",
    "SELECT * FROM __tail",
    "SELECT * FROM orders, __tail",
    "SELECT * FROM orders, __ids_0",
    # quoting, comments, odd characters
    'SELECT * FROM "orders; DROP TABLE orders"',
    "SELECT * FROM or\x00ders",
    "SELECT * FROM orders WHERE '",
    'SELECT * FROM orders WHERE "',
    "SELECT /* * FROM orders",
    "",
    ";",
    "-- nothing",
    "orders",
    "SELECT",
    "(" * 3000 + "SELECT 1" + ")" * 3000,
    "SELECT " + "-" * 30_000 + "1 FROM orders",
    "SELECT * FROM orders WHERE " + " OR ".join(["1=1"] * 20_000),
]


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:60])
def test_it_is_refused_before_the_engine_sees_it(masked: Plant, sql: str) -> None:
    before = masked.audit.size()
    with pytest.raises((Refused, SqlInvalid)) as caught:
        masked.gate.read(ANALYST, _query(sql), purpose="analysis")
    assert not [secret for secret in SECRETS if secret in str(caught.value)]
    records = masked.audit.entries(limit=masked.audit.size() - before)
    assert records
    assert {record.action for record in records} == {"read.denied"}


ANSWERED_OR_FAILED = [
    "SELECT * FROM orders",
    'SELECT * FROM "ORDERS"',
    "FROM orders",
    "SELECT orders FROM orders",
    "SELECT o FROM orders o",
    "SELECT o.* FROM orders o",
    "SELECT orders.* FROM orders",
    "SELECT COLUMNS(*) FROM orders",
    "SELECT COLUMNS('.*') FROM orders",
    "SELECT COLUMNS('rec.*') FROM orders",
    "SELECT min(COLUMNS(*)) FROM orders",
    "SELECT * EXCLUDE (line) FROM orders",
    "SELECT * REPLACE (recipe AS line) FROM orders",
    "SELECT * REPLACE (upper(customer) AS customer) FROM orders",
    "SELECT recipe FROM orders",
    "SELECT o.recipe FROM orders o",
    'SELECT "recipe" FROM orders',
    'SELECT "RECIPE" FROM orders',
    "SELECT r.recipe FROM orders",
    "SELECT t.recipe FROM orders",
    "SELECT t.customer FROM orders",
    "SELECT orders.t.customer FROM orders",
    "SELECT (SELECT t.customer) FROM orders",
    "SELECT (SELECT recipe) FROM orders",
    "SELECT (SELECT max(o2.customer) FROM orders o2 WHERE o2.line = o.line) FROM orders o",
    "SELECT customer FROM orders ORDER BY customer",
    "SELECT line FROM orders ORDER BY recipe",
    "SELECT line FROM orders ORDER BY note LIMIT 1",
    "SELECT customer FROM orders ORDER BY amount DESC LIMIT 1",
    "SELECT min(customer), max(customer), arg_max(note, amount), first(phone) FROM orders",
    "SELECT string_agg(customer, ','), listagg(note, ';') FROM orders",
    "SELECT mode(customer), any_value(phone), histogram(note) FROM orders",
    "SELECT customer || '' FROM orders",
    "SELECT reverse(customer), left(customer, 14), substr(customer, 1, 99) FROM orders",
    "SELECT regexp_replace(customer, '^', 'x'), translate(customer, 'a', 'b') FROM orders",
    "SELECT concat(customer, note, phone), concat_ws('', customer), repeat(note, 2) FROM orders",
    "SELECT lag(customer) OVER (ORDER BY amount), first_value(note) OVER () FROM orders",
    "SELECT amount, amount * 1.0, round(amount, 2), amount::BIGINT, amount::VARCHAR FROM orders",
    "SELECT CAST(customer AS INT) FROM orders",
    "SELECT CAST(note AS INT) FROM orders",
    "SELECT note::DATE FROM orders",
    "SELECT strptime(customer, '%Y') FROM orders",
    "SELECT date_trunc(customer, at) FROM orders",
    "SELECT regexp_extract('x', customer) FROM orders",
    "SELECT sqrt(-amount) FROM orders",
    "SELECT chr(amount::INT) FROM orders",
    "SELECT make_date(amount::INT, 1, 1) FROM orders",
    "SELECT customer + 1 FROM orders",
    "SELECT 1 FROM orders WHERE customer = 5",
    "SELECT * FROM orders WHERE customer > note",
    "SELECT * FROM orders UNION ALL SELECT * FROM orders",
    "SELECT customer FROM orders UNION SELECT recipe FROM orders",
    "SELECT * FROM orders EXCEPT SELECT * FROM orders",
    "SELECT * FROM orders a JOIN orders b USING (customer)",
    "SELECT * FROM orders a NATURAL JOIN orders b",
    "SELECT * FROM orders a POSITIONAL JOIN orders b",
    "SELECT * FROM orders a ASOF JOIN orders b ON a.at >= b.at",
    "SELECT * FROM orders a, orders b WHERE a.recipe = b.customer",
    "SELECT * FROM orders a FULL JOIN orders b ON a.recipe = b.recipe",
    "SELECT * FROM orders a SEMI JOIN orders b ON a.recipe = b.recipe",
    "WITH orders AS (SELECT * FROM orders) SELECT * FROM orders",
    "WITH orders AS (SELECT 1 AS customer) SELECT * FROM orders",
    "WITH x AS (SELECT * FROM orders) SELECT * FROM x",
    "WITH x AS (SELECT recipe FROM orders) SELECT * FROM x",
    "WITH x AS (WITH orders AS (SELECT 1 AS a) SELECT * FROM orders) SELECT * FROM x, orders",
    'WITH "ORDERS" AS (SELECT 1 AS a) SELECT * FROM orders',
    "WITH t AS (SELECT * FROM orders) SELECT t.customer FROM t",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM orders))",
    "SELECT * FROM orders AS r",
    "SELECT * FROM orders AS t",
    "SELECT t.recipe FROM orders AS t",
    "SELECT * FROM orders GROUP BY ALL",
    "SELECT customer, count(*) FROM orders GROUP BY customer",
    "SELECT recipe, count(*) FROM orders GROUP BY recipe",
    "SELECT line, customer FROM orders GROUP BY GROUPING SETS ((line), (customer))",
    "SELECT DISTINCT ON (line) * FROM orders",
    "SELECT * FROM orders QUALIFY row_number() OVER (ORDER BY recipe) = 1",
    "SELECT * FROM orders LIMIT (SELECT amount FROM orders LIMIT 1)",
    "SELECT phone FROM orders",
    "SELECT at FROM orders",
    "SELECT count(*) FROM orders HAVING max(customer) = 'x'",
    "SELECT CASE WHEN customer IS NULL THEN 'a' ELSE customer END FROM orders",
    "SELECT coalesce(recipe, customer, note) FROM orders",
    "SELECT * FROM orders -- WHERE false",
    "SELECT * FROM orders /* ' */ WHERE '/*' <> '*/'",
    'SELECT \'x\' AS "a""; SELECT * FROM _r0; --" FROM orders',
    "SELECT $$ ' $$ || customer FROM orders",
    "SELECT e'\\'' || customer FROM orders",
    "SELECT x.y FROM (SELECT orders AS x FROM orders)",
    "SELECT hash(customer), md5(customer), sha256(customer) FROM orders",
    "SELECT levenshtein(customer, 'HIDDEN'), jaccard(customer, 'HIDDEN') FROM orders",
    "SELECT typeof(customer) FROM orders",
    "SELECT rowid FROM orders",
    "SELECT file_row_number, filename FROM orders",
    "SELECT * FROM readings",
    "SELECT readings FROM readings",
    "SELECT DISTINCT asset FROM readings",
    "SELECT max(value_text) FROM readings",
    "SELECT max(value_text) FROM readings WHERE series_id > 3",
    "SELECT * FROM readings WHERE asset = 'plant/mill-1'",
    "SELECT * FROM readings WHERE series_id = 6 OR true",
    "SELECT r.value_text FROM readings WHERE r.series_id > 3",
    "SELECT m.asset FROM readings",
    "SELECT value_double FROM readings",
    "SELECT * FROM readings UNION ALL BY NAME SELECT * FROM orders",
    "SELECT CAST(value_text AS INT) FROM readings",
    "SELECT value_text::DOUBLE FROM readings WHERE series_id > 3",
]


@pytest.mark.parametrize("sql", ANSWERED_OR_FAILED, ids=lambda sql: sql[:60])
def test_no_secret_comes_back_in_rows_names_or_errors(masked: Plant, sql: str) -> None:
    try:
        table = masked.ask(ANALYST, sql)
        answer = f"{python_rows(table)} {table.schema}"
    except GongshuError as error:
        answer = f"{error} {error.fields} {error.__cause__!r}"
    assert not [secret for secret in SECRETS if secret in answer]
    assert "/lake/" not in answer


COLUMNS_WITHOUT_A_NAME = [
    "SELECT (SELECT count(*) FROM orders o2 WHERE o2.amount < o.amount) FROM orders o",
    "SELECT (SELECT max(customer) FROM orders) || 'x', 1 FROM orders",
    "SELECT EXISTS (SELECT customer FROM orders), customer IN (SELECT customer FROM orders) FROM orders",
    "SELECT amount > ANY (SELECT amount FROM orders) FROM orders",
    "SELECT CASE WHEN EXISTS (FROM orders) THEN 1 END FROM orders",
    "SELECT * FROM (SELECT (SELECT max(customer) FROM orders) FROM orders)",
    "SELECT x FROM (SELECT (SELECT max(customer) FROM orders) FROM orders) x",
    "SELECT typeof(x) FROM (SELECT (SELECT max(customer) FROM orders) FROM orders) x",
    "WITH x AS (SELECT (SELECT max(customer) FROM orders) FROM orders) SELECT * FROM x",
    "SELECT (SELECT (SELECT max(customer) FROM orders) FROM orders LIMIT 1) FROM orders",
    "SELECT (SELECT max(customer) FROM orders) FROM orders UNION ALL SELECT note FROM orders",
    "SELECT count(*) FILTER (WHERE customer IN (SELECT customer FROM orders)) FROM orders",
    "SELECT sum((SELECT count(*) FROM orders)) OVER () FROM orders",
    "SELECT ((SELECT count(*) FROM orders)), -(SELECT count(*) FROM orders) FROM orders",
    "SELECT * REPLACE ((SELECT max(customer) FROM orders) AS line) FROM orders",
    "SELECT COLUMNS(*) = (SELECT max(customer) FROM orders) FROM orders",
]


@pytest.mark.parametrize("sql", COLUMNS_WITHOUT_A_NAME, ids=lambda sql: sql[:60])
def test_no_name_of_a_column_tells_the_key_of_a_mask_or_a_row_filter(masked: Plant, sql: str) -> None:
    try:
        table = masked.ask(ANALYST, sql)
        answer = f"{python_rows(table)} {table.schema}"
    except GongshuError as error:
        answer = f"{error} {error.fields} {error.__cause__!r}"
    assert not [word for word in ("unhex", "sha256", "line = ", "_r0", "5c5c5c", *SECRETS) if word in answer]


ORACLES = [
    ("customer LIKE 'HIDDEN%'", "customer LIKE 'ABSENT%'"),
    ("customer = 'HIDDENCUSTOMER'", "customer = 'ABSENT'"),
    ("customer = 'HIDDENROW'", "customer = 'ABSENT'"),
    ("starts_with(customer, 'H') AND length(customer) = 14", "starts_with(customer, 'Z')"),
    ("note = 'HIDDENNOTE'", "note = 'ABSENT'"),
    ("note IS NULL", "true"),
    ("regexp_matches(note, 'HID')", "regexp_matches(note, 'ABS')"),
    ("line = 'B'", "line = 'Z'"),
    ("amount = 987654", "amount = 111111"),
    ("amount BETWEEN 987600 AND 987700", "false"),
    ("phone LIKE '%8000'", "phone LIKE '%1111'"),
    ("date_part('minute', at) = 11", "false"),
    ("customer IN (SELECT 'HIDDENCUSTOMER')", "customer IN (SELECT 'ABSENT')"),
    ("EXISTS (SELECT 1 FROM orders o WHERE o.customer = 'HIDDENCUSTOMER')", "false"),
    ("CASE WHEN customer = 'HIDDENCUSTOMER' THEN true ELSE false END", "false"),
    ("CASE WHEN line = 'B' THEN CAST(customer AS INT) = 1 ELSE true END", "true"),
    ("CASE WHEN line = 'B' THEN CAST(customer || 'x' AS INT) = 1 ELSE true END", "true"),
    ("CAST(CASE WHEN line = 'B' THEN 'x' ELSE '1' END AS INT) = 1", "true"),
    ("CASE WHEN amount < 100 THEN CAST('x' || line AS INT) = 1 ELSE true END", None),
]


@pytest.mark.parametrize(("probe", "harmless"), ORACLES)
def test_a_condition_tells_nothing_about_the_originals(masked: Plant, probe: str, harmless: str | None) -> None:
    def outcome(condition: str) -> object:
        try:
            return masked.ask(ANALYST, f"SELECT count(*) AS n FROM orders WHERE {condition}").to_pylist()
        except GongshuError as error:
            return type(error)

    if harmless is not None:
        assert outcome(probe) == outcome(harmless)
    else:  # the masked amount of a visible row is 0: the error may come, but from what the subject sees
        assert outcome(probe) == outcome(probe.replace("amount < 100", "amount = 0"))


@pytest.mark.parametrize(
    "condition",
    [
        "CASE WHEN series_id > 3 AND value > 1000 THEN CAST('x' || series_id AS INT) = 1 ELSE true END",
        "CASE WHEN value_text LIKE '%MILL1' THEN CAST(value_text AS INT) = 1 ELSE true END",
        "CASE WHEN value > 1000 THEN CAST('x' || value AS INT) = 1 ELSE true END",
        "CASE WHEN value_int > 100 AND series_id > 3 THEN CAST('x' || value_int AS INT) = 1 ELSE true END",
        "CASE WHEN series_id > 3 THEN CAST('x' || status AS INT) = 1 ELSE true END",
        "CASE WHEN value > 1000 THEN date_trunc('nonsense' || value, time) IS NULL ELSE true END",
    ],
)
def test_series_that_are_hidden_raise_no_errors(masked: Plant, condition: str) -> None:
    counted = masked.ask(ANALYST, f"SELECT count(*) AS n FROM readings WHERE {condition}")
    assert counted.to_pylist() == [{"n": 360}]


def test_an_error_of_the_engine_is_told_without_its_values(plant: Plant) -> None:
    engineer = person(Role.ENGINEER)
    with pytest.raises(GongshuError) as caught:
        plant.ask(engineer, "SELECT CAST(customer AS INT) FROM orders")
    error: BaseException | None = caught.value
    while error is not None:
        assert "HIDDENCUSTOMER" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "where", ["1=1) UNION SELECT * FROM _r0 --", "true; SELECT 1", "recipe = 'x'", "x IN (SELECT 1)"]
)
def test_conditions_of_dataset_queries_stay_conditions(masked: Plant, where: str) -> None:
    with pytest.raises(GongshuError) as caught:
        masked.ask(ANALYST, DatasetQuery(masked.orders, where=(where,)))
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_columns_of_dataset_queries_stay_columns(masked: Plant) -> None:
    with pytest.raises(GongshuError):
        masked.ask(ANALYST, DatasetQuery(masked.orders, columns=('line" FROM "_r0" --',)))


def _query(sql: str) -> SqlQuery:
    return SqlQuery(sql)
