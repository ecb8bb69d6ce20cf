"""The last reading of each series: kept up to date from the log's tail, looked up once in the files.

'Last' is the greatest `time` that is not more than a day ahead of its arrival: a device whose clock stands in 2100
must not hide its later readings for ever. Where a series has only such readings, the last of them counts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gongshu.lake.query.plan import READING_COLUMNS, RelationPlan, view_sql
from gongshu.lake.query.tail import TailCache
from gongshu.model.reading import READING_SCHEMA

_FIELDS = ", ".join(f"'{field.name}': \"{field.name}\"" for field in READING_SCHEMA)
_IS_SANE = '"time" <= arrival_time + INTERVAL 1 DAY'
_ORDER = f"{{'a': {_IS_SANE}, 'b': \"time\", 'c': arrival_time}}"
_LAST = f"SELECT unnest(max_by({{{_FIELDS}}}, {_ORDER})) FROM %s GROUP BY series_id"
# Two looks at a file: the times of the last readings, from three columns, then those few rows whole.
_LAST_TIMES = f"""
    SELECT series_id, coalesce(max("time") FILTER ({_IS_SANE}), max("time")) AS last_time
    FROM (%s) GROUP BY series_id"""
_ROWS_AT = """
    SELECT r.* FROM (%s) r JOIN times ON r.series_id = times.series_id AND r."time" = times.last_time
    WHERE r."time" >= make_timestamptz(%d)"""


class NewestCache:
    """One worker's memory of last readings; a restarted worker looks them up again.

    Cost: one row a series; the first call for a series looks into the newest files until none can hold a later one.
    """

    def __init__(self, tail: TailCache, open_engine: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._tail = tail
        self._open_engine = open_engine
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._last = READING_SCHEMA.empty_table()
        self._sought: set[int] = set()
        self._files_seen: set[str] = set()
        self._offset = 0

    def read(self, request: Mapping[str, Any]) -> pa.Table:
        """Return the last readings of `series_ids`, one row each, in no particular order; unknown ones are left out.

        Raises: TailStale.
        """
        after, up_to = request["tail"]["after"], request["tail"]["up_to"]
        tail = self._tail.read(after=after, up_to=up_to, new_after=self._offset)
        if tail.num_rows:
            self._merge(self._last_of(tail))
        self._offset = up_to
        self._look_into_files(request["files"], wanted=set(request["series_ids"]))
        return self._last.filter(pc.is_in(self._last.column("series_id"), pa.array(request["series_ids"], pa.int32())))

    def _look_into_files(self, files: Sequence[tuple[str, int]], *, wanted: set[int]) -> None:
        """Search files, the newest first; one whose times all lie before a series' last reading is left out for it."""
        missing = wanted - self._sought
        best = self._best_times() if missing or not self._files_seen.issuperset(path for path, _ in files) else {}
        for path, time_max_us in files:
            unsearched = missing if path in self._files_seen else missing | self._sought
            candidates = [series_id for series_id in unsearched if best.get(series_id, time_max_us) <= time_max_us]
            if candidates:
                self._merge(self._from_file(path, candidates))
                best = self._best_times()
        self._sought |= wanted
        self._files_seen = {path for path, _ in files}

    def _best_times(self) -> dict[int, int]:
        sane = self._run(f'SELECT series_id, epoch_us("time") AS t FROM input WHERE {_IS_SANE}', input=self._last)
        return dict(zip(sane.column("series_id").to_pylist(), sane.column("t").to_pylist(), strict=True))

    def _from_file(self, path: str, series_ids: Sequence[int]) -> pa.Table:
        plan = RelationPlan(
            name="file", files=(path,), columns=READING_COLUMNS, is_readings=True, series_ids=tuple(series_ids)
        )
        given = {
            "ids": pa.table({"series_id": pa.array(series_ids, pa.int32())}),
            "tail": READING_SCHEMA.empty_table(),
        }
        select = view_sql(plan, tail_name="tail", ids_name="ids")
        times = self._run(_LAST_TIMES % select, **given)
        if not times.num_rows:
            return READING_SCHEMA.empty_table()
        first_us = pc.min(times.column("last_time").cast(pa.int64())).as_py()
        return self._last_of(self._run(_ROWS_AT % (select, first_us), times=times, **given).cast(READING_SCHEMA))

    def _merge(self, found: pa.Table) -> None:
        if found.num_rows:
            self._last = self._last_of(pa.concat_tables([self._last, found]))

    def _last_of(self, readings: pa.Table) -> pa.Table:
        return self._run(_LAST % "input", input=readings).cast(READING_SCHEMA)

    def _run(self, sql: str, **given: pa.Table) -> pa.Table:
        engine = self._connection()
        for name, table in given.items():
            engine.register(name, table)
        try:
            return engine.sql(sql).to_arrow_table()
        finally:
            for name in given:
                engine.unregister(name)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._engine is None:
            self._engine = self._open_engine()
        return self._engine
