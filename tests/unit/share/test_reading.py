"""What a data request means, and the query that a contract makes of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.access import Decision, Request, Role, Subject
from gongshu.model.dataset import Column, Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.gate import DatasetQuery, RowBound, SqlQuery
from gongshu.secure.guard import parse_statement
from gongshu.share.errors import SelectionInvalid, TermsForbid
from gongshu.share.ports import Rows
from gongshu.share.reading import preview_columns, read_under_terms
from gongshu.share.row_values import read_row_value
from gongshu.share.selection import FUNCTIONS, read_selection
from gongshu.share.terms import Comparison, Operation, RowCondition, Terms

SHOP = Subject(SubjectId("partner:shop"), PartyId("shop"), frozenset({Role.PARTNER}), {"agreement": "a-1"})
ORDERS = Dataset(
    DatasetId("orders"),
    DatasetKind.TABLE,
    "Orders",
    None,
    "orders",
    (Column("part", "VARCHAR"), Column("quantity", "BIGINT"), Column("price", "DOUBLE")),
    (),
    GradeLabel(Grade.ONE, Importance.GENERAL, "production", GradeStanding.CONFIRMED, None),
    "li",
    datetime(2026, 11, 2, tzinfo=UTC),
    "import:x",
)
NAMES = [column.name for column in ORDERS.columns]


class Passed(Exception):
    """Carries the query out of the gate."""


@dataclass
class AskedGate:
    """Remembers what it was asked and lets nothing out."""

    queries: list[Any] = field(default_factory=list)

    def decide(self, request: Request) -> Decision:
        raise AssertionError(request)

    def read(self, subject: Subject, query: Any, *, purpose: str, action: str = "read") -> Rows:
        self.queries.append(query)
        raise Passed


def asked(terms: Terms, *columns: str) -> Any:
    gate = AskedGate()
    with pytest.raises(Passed):
        read_under_terms(gate, SHOP, ORDERS, terms, columns=columns)
    return gate.queries[0]


def test_columns_are_columns_and_figures_are_figures() -> None:
    selection = read_selection(["part", "count(*)", "avg(price)"], NAMES)
    assert selection.columns == ("part",)
    assert [figure.name for figure in selection.figures] == ["count(*)", "avg(price)"]
    assert selection.touched == {"part", "price"}
    assert selection.operation is Operation.AGGREGATE
    assert read_selection(["part"], NAMES).operation is Operation.READ
    assert read_selection(["sum(x)"], ["sum(x)"]).columns == ("sum(x)",)


@pytest.mark.parametrize(
    "names",
    [
        ["max(price)"],
        ["median(price)"],
        ["sum(*)"],
        ["count(*)", "count(*)"],
        ["part", "part", "avg(price)"],
    ],
)
def test_functions_outside_of_the_set_are_refused(names: list[str]) -> None:
    with pytest.raises(SelectionInvalid):
        read_selection(names, NAMES)


def test_the_gate_is_asked_for_figures_with_the_smallest_group_and_never_for_rows() -> None:
    terms = Terms(operations=frozenset({Operation.AGGREGATE}), aggregate_min=5, rows_max=9)
    query = asked(terms, "part", "sum(quantity)")
    assert isinstance(query, SqlQuery)
    assert (query.group_min, query.rows_max) == (5, 9)
    assert query.sql == 'SELECT "part", sum("quantity") AS "sum(quantity)" FROM "orders" GROUP BY "part"'
    assert parse_statement(query.sql).aggregate_fault is None
    with pytest.raises(TermsForbid, match="only aggregates"):
        read_under_terms(AskedGate(), SHOP, ORDERS, terms, columns=("part",))
    with pytest.raises(TermsForbid, match="only aggregates"):
        read_under_terms(AskedGate(), SHOP, ORDERS, terms)


@pytest.mark.parametrize("names", [("avg(part)",), ("sum(secret)",), ("nothing", "count(*)")])
def test_figures_of_what_is_no_number_or_not_there_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(SelectionInvalid):
        read_under_terms(AskedGate(), SHOP, ORDERS, Terms(uses_max=1), columns=names)


@given(st.sampled_from(sorted(FUNCTIONS)), st.text(max_size=12))
def test_a_name_can_never_leave_its_quotes(function: str, name: str) -> None:
    try:
        read_under_terms(AskedGate(), SHOP, ORDERS, Terms(uses_max=1), columns=(f"{function}({name})", 'x"y'))
    except (SelectionInvalid, Passed):
        return
    raise AssertionError("rows without a gate")


def test_conditions_on_rows_become_bounds_with_values_apart() -> None:
    rows = frozenset(
        {
            RowCondition("price", Comparison.AT_LEAST, frozenset({"1.5"})),
            RowCondition("part", Comparison.AMONG, frozenset({"P-1", "'; DROP"})),
        }
    )
    query = asked(Terms(rows_where=rows, columns=frozenset({"price"})))
    assert isinstance(query, DatasetQuery)
    assert query.columns == ("price",)
    assert query.only == (RowBound("part", "IN", ("'; DROP", "P-1")), RowBound("price", ">=", ("1.5",)))
    assert asked(Terms(rows_where=rows), "count(*)").only == query.only


@pytest.mark.parametrize("column, value", [("gone", "1"), ("price", "cheap")])
def test_a_condition_that_does_not_fit_any_more_lets_nothing_out(column: str, value: str) -> None:
    rows = frozenset({RowCondition(column, Comparison.EQUAL, frozenset({value}))})
    with pytest.raises(TermsForbid, match="does not fit"):
        read_under_terms(AskedGate(), SHOP, ORDERS, Terms(rows_where=rows))


def test_a_preview_of_aggregates_shows_counts_and_means_of_what_is_offered() -> None:
    terms = Terms(operations=frozenset({Operation.AGGREGATE}), aggregate_min=5, columns=frozenset({"part", "price"}))
    assert preview_columns(ORDERS, terms) == ("count(*)", "avg(price)")
    assert preview_columns(ORDERS, Terms(uses_max=1)) == ()


@pytest.mark.parametrize(
    "text, kind",
    [
        ("1.5", "BIGINT"),
        ("9223372036854775808", "BIGINT"),
        ("-1", "UINTEGER"),
        ("inf", "DOUBLE"),
        ("1_0", "DOUBLE"),
        ("yes", "BOOLEAN"),
        ("2026-13-01", "DATE"),
        ("2026-01-01T00:00:00Z", "TIMESTAMP"),
        ("1e3", "DECIMAL(10,2)"),
        ("x", "BLOB"),
        ("1", "INTEGER[]"),
    ],
)
def test_texts_that_are_no_value_of_a_column(text: str, kind: str) -> None:
    with pytest.raises(ValueError):
        read_row_value(text, kind)


def test_values_of_each_type() -> None:
    assert read_row_value("1e3", "DOUBLE") == 1000.0
    assert str(read_row_value("12.50", "DECIMAL(10,2)")) == "12.50"
    assert read_row_value("2026-01-01T01:00:00+01:00", "TIMESTAMP WITH TIME ZONE") == datetime(2026, 1, 1, tzinfo=UTC)
    assert str(read_row_value("2026-01-01", "DATE")) == "2026-01-01"
    assert read_row_value("", "VARCHAR") == ""
