"""The three ways to ask the gate for rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gongshu.model.ids import DatasetId

READINGS = "readings"
"""In SQL: all series that the subject may read, as one table with the columns of a series dataset."""


@dataclass(frozen=True, slots=True)
class RowBound:
    """One comparison that rows have to meet, below whatever the query asks. Values reach the engine as parameters."""

    column: str
    operator: str
    """`=`, `<>`, `<`, `<=`, `>`, `>=` or `IN`."""
    values: tuple[str, ...]
    """As text; the engine casts them to the column's type. One, except for `IN`."""


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """One SELECT in DuckDB's SQL. Tables are dataset ids, and `readings`."""

    sql: str
    rows_max: int | None = None
    only: tuple[RowBound, ...] = ()
    """Rows that do not meet all of these do not exist for this query."""
    group_min: int | None = None
    """The query gives figures over groups; groups of fewer rows are left out."""


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """Rows of one dataset."""

    dataset_id: DatasetId
    columns: tuple[str, ...] | None = None
    """These columns in this order; None means all that the subject may see."""
    start: datetime | None = None
    end: datetime | None = None
    """Half-open span of the column `time`: [start, end)."""
    where: tuple[str, ...] = ()
    """SQL conditions on the columns as the subject sees them; all must hold."""
    rows_max: int | None = None
    only: tuple[RowBound, ...] = ()
    """Rows that do not meet all of these do not exist for this query."""


@dataclass(frozen=True, slots=True)
class IbisQuery:
    """An Ibis expression over tables made with `ibis.table(schema, name=dataset_id)`."""

    expr: Any
    rows_max: int | None = None


Query = SqlQuery | DatasetQuery | IbisQuery
