"""Masks and relations, carried out by a bare engine: what they leave is what they promise."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.access import Mask, Obligations
from gongshu.model.dataset import SERIES_COLUMNS, Column, DatasetKind
from gongshu.model.ids import AssetId, SeriesId
from gongshu.secure.gate.masking import masked_sql, plan_masks
from gongshu.secure.gate.relations import ObligationUnmet, SeriesName, series_sql, table_sql

KEY = bytes(range(32))
COLUMNS = (
    Column("customer", "VARCHAR"),
    Column("amount", "DOUBLE"),
    Column("at", "TIMESTAMP"),
    Column("line", "VARCHAR"),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    yield connection
    connection.close()


def value_of(engine: duckdb.DuckDBPyConnection, literal: str, type_: str, rule: str) -> Any:
    sql = masked_sql("x", type_, rule, KEY)
    row = engine.execute(f"SELECT {sql} FROM (SELECT {literal}::{type_} AS x)").fetchone()
    assert row is not None
    return row[0]


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
def test_a_pseudonym_is_the_keyed_hash_and_holds_nothing_of_the_original(
    engine: duckdb.DuckDBPyConnection, text: str
) -> None:
    sql = masked_sql("x", "VARCHAR", "hash", KEY)
    row = engine.execute(f"SELECT {sql} FROM (SELECT ?::VARCHAR AS x)", [text]).fetchone()
    assert row == (hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()[:32],)


@pytest.mark.parametrize(
    ("literal", "type_", "rule", "expected"),
    [
        ("'Acme Ltd'", "VARCHAR", "null", None),
        ("'Acme Ltd'", "VARCHAR", "partial", "A***"),
        ("'张三丰'", "VARCHAR", "partial", "张***"),
        ("'x'", "VARCHAR", "partial", "***"),
        ("''", "VARCHAR", "partial", "***"),
        ("NULL", "VARCHAR", "partial", None),
        ("NULL", "VARCHAR", "hash", None),
        ("12.345", "DOUBLE", "partial", None),
        ("12.345", "DOUBLE", "round:1", 12.3),
        ("1234.5", "DOUBLE", "round:-2", 1200.0),
        ("1234", "BIGINT", "round:-2", 1200),
        ("'1234'", "VARCHAR", "round:1", None),
        ("NULL", "DOUBLE", "round:1", None),
        ("'2026-01-02 03:04:05'", "TIMESTAMP", "hour", datetime(2026, 1, 2, 3)),  # noqa: DTZ001
        ("'2026-01-02'", "DATE", "hour", None),
        ("true", "BOOLEAN", "round:0", None),
    ],
)
def test_each_rule_does_what_it_says_and_closes_on_other_types(
    engine: duckdb.DuckDBPyConnection, literal: str, type_: str, rule: str, expected: object
) -> None:
    assert value_of(engine, literal, type_, rule) == expected


def test_a_mask_covers_every_column_that_tells_the_same() -> None:
    rules = plan_masks([Mask("Value", "round:1"), Mask("time", "hour")], SERIES_COLUMNS, DatasetKind.SERIES)
    assert rules == {
        "value": "round:1",
        "value_int": "round:1",
        "value_text": "round:1",
        "time": "hour",
        "arrival_time": "hour",
    }
    assert set(plan_masks([Mask("series", "hash")], SERIES_COLUMNS, DatasetKind.SERIES)) == {"series", "series_id"}
    assert plan_masks([Mask("value", "null")], COLUMNS, DatasetKind.TABLE) == {}
    with pytest.raises(ValueError, match="rot13"):
        plan_masks([Mask("customer", "rot13")], COLUMNS, DatasetKind.TABLE)


@pytest.fixture(scope="module")
def orders(engine: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    engine.execute(
        "CREATE TABLE _r0 AS SELECT * FROM (VALUES ('Acme', 1.5, now()::TIMESTAMP, 'A'), "
        "('Bolt', 2.5, now()::TIMESTAMP, 'B')) AS v(customer, amount, \"at\", line)"
    )
    return engine


def test_row_filters_see_the_originals_and_the_query_does_not(orders: duckdb.DuckDBPyConnection) -> None:
    demands = Obligations((Mask("customer", "null"),), None, ("customer = 'Acme'",), None)
    sql = table_sql("_r0", COLUMNS, demands, KEY)
    assert orders.execute(f"SELECT customer, amount FROM ({sql})").fetchall() == [(None, 1.5)]
    assert orders.execute(f"SELECT count(*) FROM ({sql}) WHERE customer = 'Acme'").fetchone() == (0,)


def test_columns_that_are_not_listed_do_not_exist(orders: duckdb.DuckDBPyConnection) -> None:
    sql = table_sql("_r0", COLUMNS, Obligations(columns=frozenset({"AMOUNT", "absent"})), KEY)
    assert [column[0] for column in orders.execute(f"FROM ({sql})").description or []] == ["amount"]
    with pytest.raises(ObligationUnmet):
        table_sql("_r0", COLUMNS, Obligations(columns=frozenset({"absent"})), KEY)


def test_a_filter_on_a_column_that_is_not_there_denies() -> None:
    with pytest.raises(ObligationUnmet, match="absent"):
        table_sql("_r0", COLUMNS, Obligations(row_filters=("absent = 1",)), KEY)
    with pytest.raises(ObligationUnmet, match="absent"):
        series_sql("_r0", Obligations(row_filters=("absent = 1",)), KEY, names=None)


def test_every_value_is_guarded_by_filter_and_choice() -> None:
    sql = table_sql("_r0", COLUMNS, Obligations(row_filters=("line = 'A'",)), KEY)
    assert sql.count("CASE WHEN") == len(COLUMNS)
    choice = series_sql("_r0", Obligations(), KEY, names=None, only=[SeriesId(1), SeriesId(3)])
    shown = [column.name for column in SERIES_COLUMNS if column.name not in ("asset", "series", "unit")]
    assert choice.count("get_bit") == len(shown) - len(("time", "series_id"))


def test_a_scattered_choice_of_series_is_exact(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute(
        "CREATE OR REPLACE TABLE r AS SELECT i::INTEGER AS series_id, now() AS time, 1.0::DOUBLE AS value_double, "
        "NULL::BIGINT AS value_int, 't' AS value_text, 0::UINTEGER AS status, now() AS arrival_time, "
        "true AS time_is_source FROM range(0, 100) t(i)"
    )
    chosen = [SeriesId(series_id) for series_id in (5, 6, 9, 70)]
    sql = series_sql("r", Obligations(), KEY, names=None, only=chosen)
    seen = engine.execute(f"SELECT series_id FROM ({sql}) WHERE value_text IS NOT NULL ORDER BY 1").fetchall()
    assert seen == [(5,), (6,), (9,), (70,)]
    nothing = series_sql("r", Obligations(), KEY, names=None, only=[])
    assert engine.execute(f"SELECT count(value) FROM ({nothing})").fetchone() == (0,)


def test_names_are_joined_when_they_are_asked_for(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute(
        "CREATE OR REPLACE TABLE r AS SELECT 7::INTEGER AS series_id, now() AS time, NULL::DOUBLE AS value_double, "
        "3::BIGINT AS value_int, NULL::VARCHAR AS value_text, 0::UINTEGER AS status, now() AS arrival_time, "
        "true AS time_is_source"
    )
    names = [SeriesName(SeriesId(7), AssetId("plant/O'Hara"), "load", "%")]
    sql = series_sql("r", Obligations(), KEY, names=names)
    cursor = engine.execute(f"FROM ({sql})")
    assert [column[0] for column in cursor.description or []] == [column.name for column in SERIES_COLUMNS]
    assert engine.execute(f"SELECT asset, series, unit, value, value_int FROM ({sql})").fetchone() == (
        "plant/O'Hara",
        "load",
        "%",
        3.0,
        3,
    )
    filtered = series_sql("r", Obligations(row_filters=("asset = 'other'",)), KEY, names=names)
    assert engine.execute(f"SELECT count(*) FROM ({filtered})").fetchone() == (0,)


def test_times_keep_their_zone_when_cut_to_the_hour(engine: duckdb.DuckDBPyConnection) -> None:
    sql = masked_sql("x", "TIMESTAMP WITH TIME ZONE", "hour", KEY)
    row = engine.execute(f"SELECT {sql} FROM (SELECT TIMESTAMPTZ '2026-01-02 03:59:59+00' AS x)").fetchone()
    assert row is not None
    assert row[0] == datetime(2026, 1, 2, 3, tzinfo=UTC)
