"""Rows as Python values, for pages and JSON. Pure."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def python_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as dictionaries; of two columns with one name the later gets a number.

    A column with times that Python cannot hold (the year 250000, for instance) comes as text.
    Cost: one Python object a cell; for looking at, not for computing.
    """
    names = _distinct(table.column_names)
    columns = [_values(column) for column in table.columns]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(pc.cast(column, pa.string()).to_pylist())


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct
