"""The three ways to ask the gate for rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gongshu.model.ids import DatasetId

READINGS = "readings"
"""In SQL: all series that the subject may read, as one table with the columns of a series dataset."""


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """One SELECT in DuckDB's SQL. Tables are dataset ids, and `readings`."""

    sql: str
    rows_max: int | None = None


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


@dataclass(frozen=True, slots=True)
class IbisQuery:
    """An Ibis expression over tables made with `ibis.table(schema, name=dataset_id)`."""

    expr: Any
    rows_max: int | None = None


Query = SqlQuery | DatasetQuery | IbisQuery
