"""Writes the SQL that stands for a dataset in a query: its columns, masks and row filters, and nothing else. Pure.

The row filters and the choice of series also guard each value on its own (`CASE WHEN … THEN column END`): an engine may
judge the query's conditions before ours, and a conversion that fails on a hidden row would tell of it.
See docs/decisions/0034-rows-that-are-hidden-stay-silent.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gongshu.model.access import Obligations
from gongshu.model.dataset import SERIES_COLUMNS, Column, DatasetKind
from gongshu.model.ids import AssetId, SeriesId
from gongshu.secure.gate.masking import masked_sql, plan_masks, quoted
from gongshu.secure.guard import parse_predicate
from gongshu.secure.guard.predicate import columns_of
from gongshu.secure.guard.write import write_sql

NAMED = frozenset({"asset", "series", "unit"})
"""Columns that do not stand in the readings but in the catalogue."""

_FROM_READINGS = {
    "time": 'r."time"',
    "value": 'coalesce(r."value_double", CAST(r."value_int" AS DOUBLE))',
    "value_int": 'r."value_int"',
    "value_text": 'r."value_text"',
    "status": 'r."status"',
    "arrival_time": 'r."arrival_time"',
    "time_is_source": 'r."time_is_source"',
    "series_id": 'r."series_id"',
    "asset": 'm."asset"',
    "series": 'm."series"',
    "unit": 'm."unit"',
}
_UNGUARDED = frozenset({"time", "series_id"}) | NAMED
"""Left as they are, so that the engine can skip files by them."""


class ObligationUnmet(ValueError):
    """An obligation cannot be carried out on this dataset: the gate denies. The text is the reason."""


@dataclass(frozen=True, slots=True)
class SeriesName:
    """What the catalogue knows about a series, as readers see it."""

    series_id: SeriesId
    asset: AssetId
    name: str
    unit: str


def table_sql(relation: str, columns: Sequence[Column], obligations: Obligations, key: bytes) -> str:
    """Return the SELECT that stands for a table dataset.

    Raises: ObligationUnmet.
    """
    condition = _filters_sql(obligations, {c.name.lower(): f"t.{quoted(c.name)}" for c in columns})
    rules = plan_masks(obligations.masks, columns, DatasetKind.TABLE)
    shown = []
    for column in _visible(columns, obligations):
        source = f"t.{quoted(column.name)}"
        if condition:
            source = f"CASE WHEN {condition} THEN {source} END"
        shown.append(f"{masked_sql(source, column.type, rules.get(column.name.lower()), key)} AS {quoted(column.name)}")
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {', '.join(shown)} FROM {quoted(relation)} AS t{where}"


def series_sql(
    relation: str,
    obligations: Obligations,
    key: bytes,
    *,
    names: Sequence[SeriesName] | None,
    only: Iterable[SeriesId] | None = None,
    up_to: SeriesId | None = None,
) -> str:
    """Return the SELECT that stands for readings of some series.

    `names` are needed when the query touches `asset`, `series` or `unit`, otherwise None: those columns are then left
    out, and so is the join. `only` names the series that may be seen when the relation may hold others; `up_to` is the
    last series that the decision knew, when it may hold all.
    Raises: ObligationUnmet.
    """
    columns = [column for column in SERIES_COLUMNS if names is not None or column.name not in NAMED]
    filters = _filters_sql(obligations, _FROM_READINGS)
    if names is None and any(columns_of(parse_predicate(text)) & NAMED for text in obligations.row_filters):
        raise RuntimeError("a row filter on names needs the names")
    conditions = ([_is_among(only)] if only is not None else []) + ([filters] if filters else [])
    guard = " AND ".join(conditions)
    rules = plan_masks(obligations.masks, SERIES_COLUMNS, DatasetKind.SERIES)
    shown = []
    for column in _visible(columns, obligations):
        source = _FROM_READINGS[column.name]
        if guard and column.name not in _UNGUARDED:
            source = f"CASE WHEN {guard} THEN {source} END"
        shown.append(f"{masked_sql(source, column.type, rules.get(column.name), key)} AS {quoted(column.name)}")
    joined = "" if names is None else f' JOIN {_names_sql(names)} ON m."series_id" = r."series_id"'
    kept = ([filters] if filters else []) + ([f'r."series_id" <= {int(up_to)}'] if up_to is not None else [])
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    return f"SELECT {', '.join(shown)} FROM {quoted(relation)} AS r{joined}{where}"


def needs_names(obligations: Obligations) -> bool:
    """True if a row filter asks for `asset`, `series` or `unit`."""
    return any(columns_of(parse_predicate(text)) & NAMED for text in obligations.row_filters)


def _visible(columns: Sequence[Column], obligations: Obligations) -> list[Column]:
    if obligations.columns is None:
        return list(columns)
    allowed = {name.lower() for name in obligations.columns}
    visible = [column for column in columns if column.name.lower() in allowed]
    if not visible:
        raise ObligationUnmet("obligation: no column is left to see")
    return visible


def _filters_sql(obligations: Obligations, sources: Mapping[str, str]) -> str:
    """The row filters over the originals, as one condition; empty if there are none."""
    parts = []
    for text in obligations.row_filters:
        tree = parse_predicate(text)
        if missing := sorted(columns_of(tree) - sources.keys()):
            raise ObligationUnmet(f"obligation: a row filter asks for the column {missing[0]!r}, which is not there")
        parts.append(f"({_with_sources(write_sql(tree), sources)})")
    return " AND ".join(parts)


def _with_sources(sql: str, sources: Mapping[str, str]) -> str:
    """Put the originals' SQL in the place of the quoted column names of a written predicate."""
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.tokenizer_core import TokenType

    parts, last = [], 0
    for token in DuckDB().tokenize(sql):
        if token.token_type is TokenType.IDENTIFIER:
            parts += [sql[last : token.start], f"({sources[token.text.lower()]})"]
            last = token.end + 1
    return "".join([*parts, sql[last:]])


def _is_among(series: Iterable[SeriesId]) -> str:
    """Membership in constant time whatever the number of series: one bit for each id between the lowest and highest."""
    ids = {int(series_id) for series_id in series}
    if not ids:
        return "false"
    first, last = min(ids), max(ids)
    if len(ids) == last - first + 1:
        return f'r."series_id" BETWEEN {first} AND {last}'
    bits = "".join("1" if series_id in ids else "0" for series_id in range(first, last + 1))
    inside = f'r."series_id" BETWEEN {first} AND {last}'
    return f"(CASE WHEN {inside} THEN get_bit(CAST('{bits}' AS BIT), r.\"series_id\" - {first}) = 1 ELSE false END)"


def _names_sql(names: Sequence[SeriesName]) -> str:
    rows = ", ".join(f"({int(n.series_id)}, {_text(n.asset)}, {_text(n.name)}, {_text(n.unit)})" for n in names)
    if not rows:
        rows = "(0, '', '', '')"
    return f'(VALUES {rows}) AS m("series_id", "asset", "series", "unit")'


def _text(text: str) -> str:
    return "'" + text.replace("\x00", "").replace("'", "''") + "'"
