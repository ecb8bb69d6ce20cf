"""What the gate costs: decision, rewriting, record and the worker, beside DuckDB and the lake on the same data."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb

from bench.data import SERIES, batches, readings_by_second
from bench.folder import folder as temporary
from bench.result import Result
from gongshu.config import Home, NodeConfig, write_config
from gongshu.lake import ReadingsRelation
from gongshu.model.access import Role, Subject
from gongshu.model.ids import AssetId, PartyId, SourceId, SubjectId
from gongshu.model.reading import ValueType
from gongshu.model.series import SeriesSighting
from gongshu.node import Node, open_node
from gongshu.secure.gate import SqlQuery

ROUNDS = 5
SMALL_ROUNDS = 30
PARTY = PartyId("urn:gongshu:party:bench")
STEWARD = Subject(SubjectId("user:steward"), PARTY, frozenset({Role.STEWARD}))
MACHINES = 50
_ROLL_UP = """
    SELECT {series}, time_bucket(INTERVAL 1 HOUR, "time") AS hour, avg({value}) AS mean,
           min({value}) AS least, max({value}) AS most, count(*) AS n
    FROM {table} GROUP BY ALL"""
_SMALL = "SELECT count(*) AS n FROM {table} WHERE series_id = 77"


def bench_gate(seconds: int) -> list[Result]:
    """Read as a steward with the shipped policies; catalogue, decision and audit record are real."""
    with temporary() as folder:
        node = _filled(folder / "home", seconds)
        try:
            files = [str(path) for path in node.home.warehouse(node.config).rglob("readings/data/**/*.parquet")]
            return [_roll_up(node, files, "series_id", 1.3), _roll_up(node, files, "series", None), _small(node)]
        finally:
            node.close()


def _roll_up(node: Node, files: list[str], series: str, aim: float | None) -> Result:
    asked = _ROLL_UP.format(series=series, value="value", table="readings")
    bare_sql = _ROLL_UP.format(series="series_id", value="value_double", table=f"read_parquet({files})")
    with duckdb.connect() as connection:
        bare_rows = connection.sql(bare_sql).to_arrow_table().num_rows
        assert _read(node, asked) == bare_rows
        bare_s, gate_s = [], []
        for _ in range(ROUNDS):  # in turn, so that both meet the same machine
            bare_s.append(_timed(lambda: connection.sql(bare_sql).to_arrow_table()))
            gate_s.append(_timed(lambda: _read(node, asked)))
    ratio = min(gate_s) / min(bare_s)
    rows = node.lake.status().rows_total
    return Result(
        f"hourly roll-up of {rows:,} readings through the gate, by {series}",
        min(gate_s) * 1000,
        "ms",
        f"DuckDB on the same files: {min(bare_s) * 1000:.0f} ms",
        ratio,
        f"≤ {aim}" if aim else "",
        ratio <= aim if aim else None,
    )


def _small(node: Node) -> Result:
    asked, bare = _SMALL.format(table="readings"), _SMALL.format(table="r")
    relations = {"r": ReadingsRelation(None)}
    assert _read(node, asked) == 1
    gate_s, lake_s = [], []
    for _ in range(SMALL_ROUNDS):
        gate_s.append(_timed(lambda: _read(node, asked)))
        lake_s.append(_timed(lambda: node.lake.query(bare, relations).read_all()))
    return Result(
        f"one series counted through the gate, {MACHINES} datasets, p50",
        median(gate_s) * 1000,
        "ms",
        f"the lake alone: {median(lake_s) * 1000:.1f} ms",
        median(gate_s) / median(lake_s),
    )


def _read(node: Node, sql: str) -> int:
    with node.gate.read(STEWARD, SqlQuery(sql), purpose="bench") as result:
        return int(result.read_all().num_rows)


def _filled(home_folder: Path, seconds: int) -> Node:
    """Make a node whose catalogue knows the seeded set's series, and commit the set to its lake."""
    home_folder.mkdir()
    home = Home(home_folder)
    write_config(home, NodeConfig(party_id=PARTY, title="bench (synthetic)", port=0, query_timeout_s=300.0))
    node = open_node(home)
    sightings = [
        SeriesSighting(
            SourceId("bench"), str(n), AssetId(f"plant/mill-{n % MACHINES:02}"), f"load_{n}", ValueType.FLOAT64
        )
        for n in range(SERIES)
    ]
    ids = set(node.catalogue.register_series(sightings).values())
    assert ids == set(range(1, SERIES + 1)), "the seeded set numbers its series from 1"
    for batch in batches(readings_by_second(seconds)):
        node.lake.append_readings(batch)
    while node.lake.commit(rows_max=2_000_000) is not None:
        pass
    return node


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
