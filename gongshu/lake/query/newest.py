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
_ORDER = "{'a': \"time\" <= arrival_time + INTERVAL 1 DAY, 'b': \"time\", 'c': arrival_time}"
_LAST = f"SELECT unnest(max_by({{{_FIELDS}}}, {_ORDER})) FROM %s GROUP BY series_id"


class NewestCache:
    """One worker's memory of last readings; a restarted worker looks them up again.

    Cost: one row a series; the first call for a series reads its columns of the newest days until it is found.
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
        self._take_tail(after=after, up_to=up_to)
        days: Sequence[Sequence[str]] = request["days"]
        files = {path for day in days for path in day}
        if new := files - self._files_seen:
            if self._sought:
                self._merge(self._from_files(sorted(new), sorted(self._sought)))
            self._files_seen = files
        wanted = request["series_ids"]
        missing = set(wanted) - self._sought
        for day in days:
            if not missing:
                break
            found = self._from_files(day, sorted(missing))
            self._merge(found)
            missing -= set(found.column("series_id").to_pylist())
        self._sought |= set(wanted)
        return self._last.filter(pc.is_in(self._last.column("series_id"), pa.array(wanted, pa.int32())))

    def _take_tail(self, *, after: int, up_to: int) -> None:
        tail = self._tail.read(after=after, up_to=up_to, new_after=self._offset)
        if tail.num_rows:
            self._merge(self._run(tail, READING_SCHEMA))
        self._offset = up_to

    def _from_files(self, files: Sequence[str], series_ids: Sequence[int]) -> pa.Table:
        plan = RelationPlan(
            name="files", files=tuple(files), columns=READING_COLUMNS, is_readings=True, series_ids=tuple(series_ids)
        )
        engine = self._connection()
        ids = pa.table({"series_id": pa.array(series_ids, pa.int32())})
        empty = READING_SCHEMA.empty_table()
        engine.register("ids", ids)
        engine.register("tail", empty)
        select = view_sql(plan, tail_name="tail", ids_name="ids")
        return engine.sql(_LAST % f"({select})").to_arrow_table().cast(READING_SCHEMA)

    def _merge(self, found: pa.Table) -> None:
        if found.num_rows:
            self._last = self._run(pa.concat_tables([self._last, found]), READING_SCHEMA)

    def _run(self, readings: pa.Table, schema: pa.Schema) -> pa.Table:
        engine = self._connection()
        engine.register("input", readings)
        try:
            return engine.sql(_LAST % "input").to_arrow_table().cast(schema)
        finally:
            engine.unregister("input")

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._engine is None:
            self._engine = self._open_engine()
        return self._engine
