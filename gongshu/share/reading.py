"""The one query that a contract comes to: served to the partner, and shown before as a preview."""

from gongshu.model.access import Subject
from gongshu.model.dataset import Column, Dataset
from gongshu.model.grade import Grade
from gongshu.secure.gate import DatasetQuery, RowBound, SqlQuery
from gongshu.share.errors import GradeForbids, SelectionInvalid, TermsForbid
from gongshu.share.ports import GateDoor, Rows
from gongshu.share.row_values import read_row_value
from gongshu.share.selection import FUNCTIONS, ROWS, Figure, Selection, read_selection
from gongshu.share.terms import Comparison, Terms

UNSTATED = "contract"
"""The purpose told to the gate where the contract asks for none and the partner states none."""

_OPERATORS = {
    Comparison.EQUAL: "=",
    Comparison.UNEQUAL: "<>",
    Comparison.BELOW: "<",
    Comparison.AT_MOST: "<=",
    Comparison.ABOVE: ">",
    Comparison.AT_LEAST: ">=",
    Comparison.AMONG: "IN",
}
_NUMBERS = ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U")


def read_under_terms(
    gate: GateDoor,
    subject: Subject,
    dataset: Dataset,
    terms: Terms,
    *,
    columns: tuple[str, ...] = (),
    purpose: str = "",
    rows_max: int | None = None,
    more: tuple[RowBound, ...] = (),
) -> Rows:
    """Return the rows, or figures, that the terms leave of a dataset, read through the gate as that subject.

    The columns asked for stay in the order asked; else those of the terms in the dataset's order; else all. The lower
    of both row bounds holds; rows meet the terms' conditions and those of `more`.
    Raises: TermsForbid, SelectionInvalid, and what the gate raises.
    """
    agreement_id = str(subject.attributes.get("agreement", ""))
    selection = read_selection(columns, [column.name for column in dataset.columns])
    only = (*row_bounds(dataset, terms, agreement_id), *more)
    bounds = [bound for bound in (terms.rows_max, rows_max) if bound is not None]
    lowest = min(bounds, default=None)
    if selection.figures:
        sql = figures_sql(dataset, selection)
        query: SqlQuery | DatasetQuery = SqlQuery(sql, rows_max=lowest, only=only, group_min=terms.group_min)
    elif terms.is_aggregate_only:
        # Judged before; said again here, because from here on rows would leave.
        raise TermsForbid(agreement_id=agreement_id, reason="only aggregates leave")
    else:
        allowed = tuple(column.name for column in dataset.columns if column.name in terms.columns)
        names = selection.columns or (allowed if terms.columns else None)
        query = DatasetQuery(dataset.dataset_id, columns=names, rows_max=lowest, only=only)
    return gate.read(subject, query, purpose=purpose or UNSTATED)


def preview_rows(gate: GateDoor, subject: Subject, dataset: Dataset, terms: Terms, rows_max: int) -> Rows:
    """Return what a partner would receive first: rows, or where only aggregates leave, figures over all rows.

    Raises: GradeForbids for 三级, whose rows leave with a watermark only; and as `read_under_terms`.
    """
    if dataset.label.grade is Grade.THREE:
        reason = "三级 data are seen by those whom its clearance names, not in a preview"
        raise GradeForbids(dataset_id=dataset.dataset_id, party="a person here", reason=reason)
    purpose, shown = min(terms.purposes, default=""), preview_columns(dataset, terms)
    return read_under_terms(gate, subject, dataset, terms, columns=shown, purpose=purpose, rows_max=rows_max)


def row_bounds(dataset: Dataset, terms: Terms, agreement_id: str) -> tuple[RowBound, ...]:
    """Return the conditions on rows as the gate takes them.

    Raises: TermsForbid if one does not fit the dataset as it is now: nothing leaves then.
    """
    types = {column.name: column.type for column in dataset.columns}
    found = []
    for condition in sorted(terms.rows_where, key=lambda part: (part.column, part.comparison, sorted(part.values))):
        try:
            for value in condition.values:
                read_row_value(value, types[condition.column])
        except (KeyError, ValueError) as cause:
            reason = f"its condition on {condition.column!r} does not fit the data any more"
            raise TermsForbid(agreement_id=agreement_id, reason=reason) from cause
        found.append(RowBound(condition.column, _OPERATORS[condition.comparison], tuple(sorted(condition.values))))
    return tuple(found)


def preview_columns(dataset: Dataset, terms: Terms) -> tuple[str, ...]:
    """Return what to show of a dataset of which only aggregates leave: the rows' number and each number's mean."""
    if not terms.is_aggregate_only:
        return ()
    shown = [column for column in dataset.columns if not terms.columns or column.name in terms.columns]
    means = [Figure("avg", column.name).name for column in shown if is_number(column)]
    return (Figure("count", ROWS).name, *means)


def figures_sql(dataset: Dataset, selection: Selection) -> str:
    """Return the query for figures over groups. Raises: SelectionInvalid on a column that is not there or no number."""
    known = {column.name: column for column in dataset.columns}
    for name in sorted(selection.touched - known.keys()):
        raise SelectionInvalid(asked=name[:200], reason="the dataset has no such column")
    for figure in selection.figures:
        if figure.function != "count" and not is_number(known[figure.column]):
            raise SelectionInvalid(asked=figure.name[:200], reason="the column holds no numbers")
    keys = [_quoted(name) for name in selection.columns]
    figures = [f"{_call(figure)} AS {_quoted(figure.name)}" for figure in selection.figures]
    sql = f"SELECT {', '.join([*keys, *figures])} FROM {_quoted(dataset.dataset_id)}"
    return f"{sql} GROUP BY {', '.join(keys)}" if keys else sql


def _call(figure: Figure) -> str:
    inside = "*" if figure.column == ROWS else _quoted(figure.column)
    return f"{FUNCTIONS[figure.function]}({inside})"


def is_number(column: Column) -> bool:
    """Return whether means and sums can be made of a column.

    >>> is_number(Column("a", "DOUBLE")), is_number(Column("a", "VARCHAR"))
    (True, False)
    """
    return column.type.upper().startswith(_NUMBERS)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
