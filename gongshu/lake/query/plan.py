"""What a worker is asked: relations as files, a part of the log, and filters. Pure, and JSON on the way.

A plan names the exact files of one snapshot, and the log from that snapshot's offset on: together each acknowledged
reading exactly once, whatever the writer does meanwhile.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

IDS_INLINE_MAX = 64
"""More series than this are handed over as a table and joined, fewer stand in the SQL."""
READING_COLUMNS = (
    (1, "series_id", "INTEGER"),
    (2, "time", "TIMESTAMP WITH TIME ZONE"),
    (3, "time_is_source", "BOOLEAN"),
    (4, "arrival_time", "TIMESTAMP WITH TIME ZONE"),
    (5, "value_double", "DOUBLE"),
    (6, "value_int", "BIGINT"),
    (7, "value_text", "VARCHAR"),
    (8, "status", "BIGINT"),
)
"""(field id, name, engine type) of the readings table's files."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The part of the log that no file of the plan holds: offsets after `after`, up to and with `up_to`."""

    log_id: str
    after: int
    up_to: int


@dataclass(frozen=True, slots=True)
class RelationPlan:
    """One name in the SQL."""

    name: str
    files: tuple[str, ...]
    columns: tuple[tuple[int, str, str], ...]
    """(field id, name, engine type); files are read by field id, so renamed and added columns come out right."""
    is_readings: bool = False
    series_ids: tuple[int, ...] | None = None
    start_us: int | None = None
    end_us: int | None = None
    sealed: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    """(path, key in base64, what it is bound to) of encrypted files."""
    sealed_schema: str = ""
    """Their columns, an Arrow schema in base64; empty for any other relation."""


class _Prunable(Protocol):
    @property
    def series_range(self) -> tuple[int, int] | None: ...
    @property
    def time_range_us(self) -> tuple[int, int] | None: ...


def holds_any(file: _Prunable, *, series_ids: Sequence[int] | None, start_us: int | None, end_us: int | None) -> bool:
    """Return whether a file may hold such readings, by its bounds; without bounds it may."""
    if file.time_range_us is not None:
        first, last = file.time_range_us
        if (start_us is not None and last < start_us) or (end_us is not None and first >= end_us):
            return False
    if series_ids is not None and file.series_range is not None:
        lowest, highest = file.series_range
        return any(lowest <= series_id <= highest for series_id in series_ids)
    return True


def view_sql(plan: RelationPlan, *, tail_name: str, ids_name: str, sealed_name: str = "") -> str:
    """Return the SELECT that stands for the relation: its files and, for readings, the log's tail.

    `sealed_name` is what a relation of encrypted files is registered as.
    """
    if plan.sealed_schema:
        return f"SELECT * FROM {quoted(sealed_name)}"
    if not plan.is_readings:
        return f"SELECT {_listed(plan.columns)} FROM {_files(plan)}"
    condition = _condition(plan, ids_name=ids_name)
    columns = ", ".join(
        f'CAST("{name}" AS UINTEGER) AS "{name}"' if name == "status" else f'"{name}"' for _, name, _ in plan.columns
    )
    hot = f"SELECT {columns} FROM {tail_name}{condition}"
    return f"SELECT {columns} FROM {_files(plan)}{condition} UNION ALL {hot}" if plan.files else hot


def quoted(name: str) -> str:
    """Return an SQL identifier.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return an SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _files(plan: RelationPlan) -> str:
    if not plan.files:
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for _, name, kind in plan.columns)
        return f"(SELECT {nulls} WHERE false)"
    fields = ", ".join(
        f"{field_id}: {{name: {literal(name)}, type: {literal(kind)}, default_value: NULL}}"
        for field_id, name, kind in plan.columns
    )
    paths = ", ".join(literal(path) for path in plan.files)
    return f"read_parquet([{paths}], schema = MAP {{{fields}}})"


def _listed(columns: Iterable[tuple[int, str, str]]) -> str:
    return ", ".join(quoted(name) for _, name, _ in columns)


def _condition(plan: RelationPlan, *, ids_name: str) -> str:
    parts = []
    if plan.series_ids is not None:
        if len(plan.series_ids) > IDS_INLINE_MAX:
            parts.append(f"series_id IN (SELECT series_id FROM {ids_name})")
        else:
            listed = ", ".join(str(int(series_id)) for series_id in plan.series_ids)
            parts.append(f"series_id IN ({listed})" if listed else "false")
    if plan.start_us is not None:
        parts.append(f'"time" >= make_timestamptz({int(plan.start_us)})')
    if plan.end_us is not None:
        parts.append(f'"time" < make_timestamptz({int(plan.end_us)})')
    return f" WHERE {' AND '.join(parts)}" if parts else ""
