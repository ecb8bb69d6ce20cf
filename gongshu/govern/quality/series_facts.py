"""Counts facts about series in the lake: everything per reading happens in the engine, one row a series comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gongshu.lake import QueryResult, ReadingsRelation, Relation
from gongshu.packs import Pack

VALUE = "coalesce(value_double, CAST(value_int AS DOUBLE))"
GOOD = "(status >> 30) = 0"


class Queryable(Protocol):
    """What quality needs of the lake."""

    def query(self, sql: str, relations: Mapping[str, Relation]) -> QueryResult:
        """Run one SELECT over the relations."""
        ...

    def table_schema(self, table: str) -> pa.Schema:
        """Return a table's columns."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """Values outside are wrong; None leaves a side open."""

    low: float | None
    high: float | None
    source: str
    """Who says so: a pack's citation or the declaration."""


Facts = dict[str, Any]
"""One series' counts, by the names of the query below."""


def read_facts(
    lake: Queryable, relation: ReadingsRelation, bounds: Mapping[int, Bounds], limits: Pack
) -> dict[int, Facts]:
    """Return the facts of each series that has readings.

    Cost: two passes over the readings, in the query worker.
    """
    facts: dict[int, Facts] = {}
    for sql in (_counts_sql(bounds, limits), _order_sql(limits)):
        with lake.query(sql, {"r": relation}) as result:
            for row in result.read_all().to_pylist():
                facts.setdefault(row["series_id"], {}).update(row)
    return facts


def read_slices(
    lake: Queryable, series_ids: Sequence[int], start: datetime, end: datetime, count: int
) -> dict[str, npt.NDArray[np.generic]]:
    """Return lowest, highest, mean and last good value of each series in each of `count` slices of [start, end)."""
    width_us = max(1, int((end - start).total_seconds() * 1e6) // count)
    begin_us = int(start.timestamp() * 1e6)
    sql = f"""
        SELECT series_id, CAST(least((epoch_us("time") - {begin_us}) // {width_us}, {count - 1}) AS INTEGER) AS slice,
               min(v) AS low, max(v) AS high, avg(v) AS mean, arg_max(v, "time") AS last
        FROM (SELECT series_id, "time", {VALUE} AS v FROM r WHERE {GOOD})
        WHERE v IS NOT NULL AND isfinite(v)
        GROUP BY series_id, slice"""
    relation = ReadingsRelation(tuple(series_ids), start, end)
    with lake.query(sql, {"r": relation}) as result:
        table = result.read_all()
    return {name: table.column(name).to_numpy() for name in table.column_names}


BEFORE = timedelta(days=31)
"""How far back a source that reports on change is asked for its last value."""


def read_last_before(lake: Queryable, series_ids: Sequence[int], start: datetime) -> dict[int, float]:
    """Return each series' last good value before `start`, of those that have one within `BEFORE`."""
    sql = f"""SELECT series_id, arg_max({VALUE}, "time") AS last FROM r
              WHERE {GOOD} AND {VALUE} IS NOT NULL GROUP BY series_id"""
    with lake.query(sql, {"r": ReadingsRelation(tuple(series_ids), start - BEFORE, start)}) as result:
        return {row["series_id"]: row["last"] for row in result.read_all().to_pylist()}


def _counts_sql(bounds: Mapping[int, Bounds], limits: Pack) -> str:
    late_us, ahead_us = int(limits.value("late.s") * 1e6), int(limits.value("ahead.s") * 1e6)
    given = [
        f"({series_id}, {_number(bound.low)}, {_number(bound.high)})" for series_id, bound in sorted(bounds.items())
    ] or ["(-1, CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE))"]
    outside = f"({GOOD} AND (v < low OR v > high))"
    return f"""
        WITH b(series_id, low, high) AS (VALUES {", ".join(given)}),
        x AS (SELECT r.*, {VALUE} AS v, epoch_us(arrival_time) - epoch_us("time") AS delay_us, low, high
              FROM r LEFT JOIN b USING (series_id))
        SELECT series_id, count(*) AS n,
               count(*) FILTER (value_double IS NOT NULL OR value_int IS NOT NULL OR value_text IS NOT NULL) AS n_value,
               count(value_double) AS n_double, count(value_int) AS n_int, count(value_text) AS n_text,
               count(*) FILTER ((status >> 30) >= 2) AS n_bad,
               min("time") FILTER ((status >> 30) >= 2) AS first_bad,
               count(*) FILTER ({GOOD}) AS n_good,
               count(v) FILTER ({GOOD} AND (low IS NOT NULL OR high IS NOT NULL)) AS n_bounded,
               count(*) FILTER {outside} AS n_outside, min("time") FILTER {outside} AS first_outside,
               count(*) FILTER (time_is_source) AS n_source,
               count(*) FILTER (time_is_source AND delay_us > {late_us}) AS n_late,
               min("time") FILTER (time_is_source AND delay_us > {late_us}) AS first_late,
               count(*) FILTER (time_is_source AND delay_us < -{ahead_us}) AS n_ahead,
               count(DISTINCT "time") AS n_times, min("time") AS first_time, max("time") AS last_time,
               count(DISTINCT v) AS n_distinct
        FROM x GROUP BY series_id"""


def _order_sql(limits: Pack) -> str:
    tail, sample = float(limits.value("spike.tail_ratio")), int(limits.value("findings.sample_max"))
    spike = _spike(*(float(limits.value(f"spike.{name}")) for name in ("times", "return_ratio", "beyond_ratio")))
    return f"""
        WITH o AS (
            SELECT series_id, "time", {VALUE} AS v, {GOOD} AS good, value_text,
                   epoch_us("time") - epoch_us(lag("time") OVER w) AS gap_us,
                   lag({VALUE}) OVER w AS before, lead({VALUE}) OVER w AS after,
                   lag(value_text) OVER w AS text_before,
                   max("time") OVER (PARTITION BY series_id ORDER BY arrival_time, "time"
                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest
            FROM r WINDOW w AS (PARTITION BY series_id ORDER BY "time", arrival_time)),
        s AS (SELECT series_id, median(abs(v - before)) FILTER (v <> before) AS step,
                     quantile_cont(v, {tail}) AS band_low, quantile_cont(v, {1.0 - tail}) AS band_high
              FROM o WHERE good GROUP BY series_id)
        SELECT series_id,
               quantile_cont(gap_us, 0.5) FILTER (gap_us > 0) AS gap_median_us,
               quantile_cont(gap_us, 0.9) FILTER (gap_us > 0) AS gap_high_us,
               count(*) FILTER (gap_us = 0) AS n_same_time,
               count(*) FILTER (gap_us = 0 AND (v IS DISTINCT FROM before OR value_text IS DISTINCT FROM text_before))
                   AS n_contradicting,
               min("time") FILTER (gap_us = 0) AS first_same_time,
               count(*) FILTER ("time" < newest) AS n_disordered,
               min("time") FILTER ("time" < newest) AS first_disordered,
               count(*) FILTER (good AND before IS NOT NULL AND after IS NOT NULL) AS n_inner,
               count(*) FILTER {spike} AS n_spike, min("time", {sample}) FILTER {spike} AS spikes
        FROM o LEFT JOIN s USING (series_id) GROUP BY series_id"""


def _spike(times: float, back: float, beyond: float) -> str:
    """A value that leaves both neighbours by far, to which the next returns, outside the series' normal band."""
    return (
        f"(good AND step > 0 AND abs(v - before) > {times} * step AND abs(v - after) > {times} * step"
        f" AND sign(v - before) = sign(v - after) AND abs(after - before) <= {back} * abs(v - before)"
        f" AND greatest(v - band_high, band_low - v) > {beyond} * (band_high - band_low))"
    )


def _number(value: float | None) -> str:
    return "CAST(NULL AS DOUBLE)" if value is None else f"CAST({value!r} AS DOUBLE)"
