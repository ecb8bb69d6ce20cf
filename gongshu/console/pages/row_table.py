"""A few rows of data as a table: numbers stand right, times are the reader's, and nothing in a cell is markup."""

import html
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from gongshu.console.frame import View
from gongshu.console.widgets import table, time_html
from gongshu.secure.gate import python_rows

PAGE_SIZE = 20
CELL_MAX = 200
"""Letters of a cell; longer ones are cut."""
DIGITS_MAX = 12
"""Of a number with a point: all that was measured, without what binary fractions add."""


def show_rows(view: View, rows: pa.Table, headings: Sequence[str] = ()) -> None:
    """Show rows; `headings` stand for the columns' names, in their order."""
    names = [f"c{number}" for number in range(rows.num_columns)]
    kinds = [field.type for field in rows.schema]
    moments = [n for n, kind in zip(names, kinds, strict=True) if pa.types.is_timestamp(kind) and kind.tz]
    numbers = [n for n, kind in zip(names, kinds, strict=True) if _is_number(kind)]
    shown = [
        {"_key": place}
        | {n: cell_text(value, is_markup=n in moments) for n, value in zip(names, row.values(), strict=True)}
        for place, row in enumerate(python_rows(rows))
    ]
    columns = list(zip(names, headings or rows.column_names, strict=True))
    table(view, columns, shown, key="_key", markup=moments, numbers=numbers, page_size=PAGE_SIZE).props("wrap-cells")


def cell_text(value: Any, *, is_markup: bool = False) -> str:
    """Return what stands in a cell; nothing for what is empty.

    >>> cell_text(None), cell_text(46.400000000000006), cell_text("<b>"), cell_text("<b>", is_markup=True)
    ('', '46.4', '<b>', '&lt;b&gt;')
    """
    if is_markup and isinstance(value, datetime):
        return time_html(value)
    if isinstance(value, float):
        return f"{value:.{DIGITS_MAX}g}"
    written = "" if value is None else str(value)
    written = written if len(written) <= CELL_MAX else written[: CELL_MAX - 1] + "…"
    return html.escape(written) if is_markup else written


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
