"""Bounds on rows, put under a query: the relation that stands for a dataset is narrowed before the query sees it. Pure.

Values never become SQL: the text holds numbered parameters, cast to the type that the catalogue gives the column. A
column that is not there, or not seen by the subject, is an obligation that cannot be met, and so a denial.
"""

from collections.abc import Sequence

from gongshu.model.dataset import Column
from gongshu.secure.gate.masking import quoted
from gongshu.secure.gate.model import RowBound
from gongshu.secure.gate.relations import ObligationUnmet

_SINGLE = frozenset({"=", "<>", "<", "<=", ">", ">="})


def bounded_sql(source: str, bounds: Sequence[RowBound], columns: Sequence[Column], parameters: list[str]) -> str:
    """Return the SQL of the rows of `source` that meet all bounds, and add their values to `parameters`.

    Raises: ObligationUnmet.

    >>> kept = []
    >>> bounded_sql("SELECT 1 AS a", [RowBound("a", ">", ("0",))], [Column("a", "BIGINT")], kept)
    'SELECT * FROM (SELECT 1 AS a) AS b WHERE b."a" > CAST($1 AS BIGINT)'
    """
    if not bounds:
        return source
    types = {column.name: column.type for column in columns}
    conditions = []
    for bound in bounds:
        kind = types.get(bound.column)
        if kind is None:
            raise ObligationUnmet(f"bound: there is no column {bound.column!r}")
        is_single = bound.operator in _SINGLE and len(bound.values) == 1
        if not is_single and not (bound.operator == "IN" and bound.values):
            raise ObligationUnmet(f"bound: {bound.operator!r} with {len(bound.values)} values")
        marks = []
        for value in bound.values:
            parameters.append(value)
            marks.append(f"CAST(${len(parameters)} AS {kind})")
        right = marks[0] if is_single else f"({', '.join(marks)})"
        conditions.append(f"b.{quoted(bound.column)} {bound.operator} {right}")
    return f"SELECT * FROM ({source}) AS b WHERE {' AND '.join(conditions)}"
