"""What the equipment page asks the gate, and what it makes of the answer. Pure, but for the gate's rows."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from gongshu.console.charts import Point
from gongshu.model.ids import DatasetId
from gongshu.model.reading import quality_of

PURPOSE = "operation"
POINTS_MAX = 450
"""Of one line; more cannot be told apart on a screen."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of a series, as text that has lost no digit."""

    series: str
    unit: str
    value: str
    quality: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """The course of a numeric series."""

    series: str
    unit: str
    points: tuple[Point, ...]


def latest_sql(dataset_id: DatasetId, start: datetime) -> str:
    """Return the query for the newest reading of each series since `start`."""
    as_text = "coalesce(value_text, CAST(value_int AS VARCHAR), CAST(value AS VARCHAR))"
    return (
        f"SELECT series, any_value(unit) AS unit, arg_max({as_text}, time) AS newest, arg_max(status, time) AS status, "
        f"max(time) AS time FROM {dataset_id} WHERE time >= {_literal(start)} GROUP BY series ORDER BY series"
    )


def lines_sql(dataset_id: DatasetId, start: datetime, end: datetime) -> str:
    """Return the query for the course of each numeric series: means over equal steps, at most `POINTS_MAX` of them."""
    step_s = max(1, int((end - start).total_seconds() / POINTS_MAX) + 1)
    bucket = f"time_bucket(INTERVAL {step_s} SECOND, time)"
    return (
        f"SELECT series, any_value(unit) AS unit, epoch_ms({bucket}) AS at, avg(value) AS mean FROM {dataset_id} "
        f"WHERE time >= {_literal(start)} AND value IS NOT NULL GROUP BY series, {bucket} ORDER BY series, at"
    )


def read_latest(table: pa.Table) -> list[Latest]:
    """Return one entry a series, by name. Rows are series, not readings."""
    return [
        Latest(row["series"], row["unit"] or "", row["newest"] or "", quality_of(row["status"]).value, row["time"])
        for row in table.to_pylist()
    ]


def read_lines(table: pa.Table) -> list[Line]:
    """Return one line a series, by name."""
    points: dict[str, list[Point]] = defaultdict(list)
    units: dict[str, str] = {}
    columns = (table.column(name).to_pylist() for name in ("series", "unit", "at", "mean"))
    for series, unit, at, mean in zip(*columns, strict=True):
        points[series].append((at, mean))
        units[series] = unit or ""
    return [Line(series, units[series], tuple(course)) for series, course in points.items()]


def short_text(value: str) -> str:
    """Return a number with at most six significant digits; other text is cut at 60 characters.

    >>> short_text("45.123456789"), short_text("RUNNING"), short_text("9007199254740993")
    ('45.1235', 'RUNNING', '9007199254740993')
    """
    if value.lstrip("-").isdigit():
        return value
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return value if len(value) <= 60 else value[:59] + "…"


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat(sep=' ', timespec='milliseconds')}'"
