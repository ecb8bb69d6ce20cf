"""From columns of text to columns of types, cautiously: a column has a type only if its cells show it. Pure.

Cautious means: identifiers keep their leading zeros, integers beyond 18 digits and decimals beyond 17 stay text, mixed
columns stay text. Where all but a few cells are numbers or times, the rows of the few are set aside with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

ROWS_MIN = 20
"""With fewer cells than this a column is of a type only if all of them are: estimated, a handful proves nothing."""
INTEGER = r"^\s*(-?[1-9][0-9]{0,17}|0|-0)\s*$"
DECIMAL = r"^\s*[+-]?((0|[1-9][0-9]{0,16})(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?\s*$"
SPECIAL = r"(?i)^\s*[+-]?(nan|inf|infinity)\s*$"
DIGITS_MAX = 17
"""A double keeps 17 significant digits; what has more is no number that may be rounded here."""
BOOLEAN = r"(?i)^(true|false)$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
STAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"
STAMP_ZONED = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})$"
SLASHED = r"^[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?$"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type that a column of text may show."""

    name: str
    type: pa.DataType


KINDS = (
    Kind("integer", pa.int64()),
    Kind("number", pa.float64()),
    Kind("boolean", pa.bool_()),
    Kind("date", pa.date32()),
    Kind("time", pa.timestamp("us")),
    Kind("time with zone", pa.timestamp("us", tz="UTC")),
)
"""In the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A table of types, and the rows that did not fit them."""

    table: pa.Table
    bad: dict[int, str]
    """Row in the table of text, to the reason."""


def type_table(table: pa.Table, *, null_values: Sequence[str], outlier_share_max: float) -> Typed:
    """Return the table with the type that each column shows, without the rows that do not fit.

    Shape: all columns are text; empty cells and `null_values` become null. Rows keep their order.
    """
    columns: list[pa.ChunkedArray] = []
    bad: dict[int, str] = {}
    for name in table.column_names:
        cells = _with_nulls(table.column(name), null_values)
        typed, outliers, kind = type_column(cells, outlier_share_max=outlier_share_max)
        for row in outliers.tolist():
            bad.setdefault(row, f"{name}: {str(cells[row])[:80]!r} is no {kind}")
        columns.append(typed)
    typed_table = pa.table(dict(zip(table.column_names, columns, strict=True)))
    if bad:
        keep = np.ones(table.num_rows, bool)
        keep[list(bad)] = False
        typed_table = typed_table.filter(pa.array(keep))
    return Typed(typed_table, bad)


def type_column(cells: pa.ChunkedArray, *, outlier_share_max: float) -> tuple[pa.ChunkedArray, NDArray[np.int64], str]:
    """Return the column in the type that it shows, the rows that do not fit (null there), and the type's name.

    >>> type_column(pa.chunked_array([["007", "8"]]), outlier_share_max=0.05)[2]
    'text'
    """
    filled = len(cells) - cells.null_count
    for kind in KINDS:
        values = convert(cells, kind.name)
        outliers = filled - (len(values) - values.null_count)
        allowed = outlier_share_max * filled if filled >= ROWS_MIN else 0
        if filled and outliers <= allowed and outliers < filled:
            wrong = pc.and_(pc.is_valid(cells), pc.is_null(values)) if outliers else None
            rows = np.flatnonzero(wrong.to_numpy()) if wrong is not None else np.zeros(0, np.int64)
            return values, rows, kind.name
    return cells, np.zeros(0, np.int64), "text"


def convert(cells: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Return the cells as that type; a cell that is none is null. No cell is rounded to fit."""
    match kind:
        case "integer":
            return pc.utf8_trim_whitespace(_where(cells, INTEGER)).cast(pa.int64())
        case "number":
            return _numbers(cells)
        case "boolean":
            return pc.utf8_lower(_where(cells, BOOLEAN)).cast(pa.bool_())
        case "date":
            return _checked(_where(cells, DATE), "%Y-%m-%d").cast(pa.date32())
        case "time":
            return _times(cells)
        case "time with zone":
            zoned = _where(cells, STAMP_ZONED)
            valid = _checked(pc.utf8_slice_codeunits(zoned, 0, 10), "%Y-%m-%d")
            return _cast_or_null(_masked(zoned, pc.is_valid(valid)), pa.timestamp("us", tz="UTC"))
    raise AssertionError(kind)


def _numbers(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    plain = _where(cells, DECIMAL)
    digits = pc.replace_substring_regex(plain, r"[eE].*$|[^0-9]", "")
    significant = pc.utf8_length(pc.utf8_ltrim(pc.utf8_rtrim(digits, "0"), "0"))
    values = _doubles(_masked(plain, pc.less_equal(significant, DIGITS_MAX)))
    finite = _masked(values, pc.is_finite(values))
    return pc.coalesce(finite, _doubles(_where(cells, SPECIAL)))


def _doubles(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_ltrim(pc.utf8_lower(pc.utf8_trim_whitespace(cells)), "+").cast(pa.float64())


def _times(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    stamped = _where(cells, STAMP)
    valid = _checked(pc.utf8_slice_codeunits(stamped, 0, 10), "%Y-%m-%d")
    iso = _cast_or_null(_masked(stamped, pc.is_valid(valid)), pa.timestamp("us"))
    slashed = _where(cells, SLASHED)
    found = iso
    for form in ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d"):
        parsed = pc.strptime(slashed, format=form, unit="us", error_is_null=True)
        found = pc.coalesce(found, parsed)
    return found


def _cast_or_null(cells: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast stamps whose hour, minute and second exist; the others become null instead of failing the whole column."""
    seconds = pc.replace_substring_regex(cells, r"^.{16}(:([0-9]{2}))?.*$", r"0\2")
    possible = pc.and_(_below(pc.utf8_slice_codeunits(cells, 11, 13), 24), _below(seconds, 60))
    possible = pc.and_(possible, _below(pc.utf8_slice_codeunits(cells, 14, 16), 60))
    return _masked(cells, possible).cast(kind)


def _below(digits: pa.ChunkedArray, bound: int) -> pa.ChunkedArray:
    return pc.less(digits.cast(pa.int16()), bound)


def _checked(cells: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    """Dates that exist: the 30th of February becomes null, also where the parser would let it pass."""
    parsed = pc.strptime(cells, format=form, unit="s", error_is_null=True)
    return _masked(parsed, pc.equal(pc.strftime(parsed, format=form), cells))


def _where(cells: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return _masked(cells, pc.match_substring_regex(cells, pattern))


def _masked(cells: pa.ChunkedArray, keep: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.fill_null(keep, False), cells, pa.scalar(None, cells.type))


def _with_nulls(cells: pa.ChunkedArray, null_values: Sequence[str]) -> pa.ChunkedArray:
    cells = cells.cast(pa.string())
    return _masked(cells, pc.invert(pc.is_in(cells, value_set=pa.array(["", *null_values], pa.string()))))
