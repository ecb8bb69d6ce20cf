"""What a look at a received copy asks the gate, what it may be for, and what it costs. Pure."""

from collections.abc import Sequence

from gongshu.model.dataset import Column, Dataset
from gongshu.model.ids import DatasetId
from gongshu.secure.gate import DatasetQuery, SqlQuery
from gongshu.share.keeping.judging import FIGURES
from gongshu.share.keeping.model import Kept
from gongshu.share.reading import figures_sql, is_number
from gongshu.share.selection import ROWS, Figure, Selection

ROWS_MAX = 20
"""Of one look. Ours: enough to see what the data are; analyses ask by SQL, or are apps."""
PURPOSE = "analysis"
"""Proposed where the contracts leave it open; the command line proposes the same."""
FUNCTIONS = ("avg", "sum", "stddev")
"""Figures of columns; the number of rows is always one."""
REMEDIES = {
    "uses_max": "uses",
    "until": "ended",
    "duration_s": "ended",
    "delete_after_s": "deleted",
    "not_before": "begins",
    "places": "place",
    "connectors": "connector",
    "purposes": "purpose",
}


def purposes_of(kept: Kept) -> frozenset[str] | None:
    """Return the purposes that every contract of a copy covers, None where each leaves it open."""
    named = [agreement.terms.purposes for agreement in kept.agreements if agreement.terms.purposes]
    return frozenset.intersection(*named) if named else None


def uses_of(kept: Kept) -> tuple[int, int] | None:
    """Return how many looks the strictest contract allows and how many are left, None where looks are not counted."""
    bounds = [a.terms.uses_max for a in kept.agreements if a.terms.uses_max is not None]
    return (min(bounds), max(0, min(bounds) - kept.version.reads)) if bounds else None


def gives_figures(kept: Kept) -> bool:
    """Return whether only figures over groups are covered; figures that the provider made are read as they are."""
    return kept.version.kind != FIGURES and any(a.terms.is_aggregate_only for a in kept.agreements)


def group_min_of(kept: Kept) -> int:
    """Return of how many rows a figure stands at least."""
    return max((a.terms.group_min or 0 for a in kept.agreements), default=0)


def remedy_of(term: str) -> str:
    """Return what helps against a term, as the end of a text's name.

    >>> remedy_of("duration_s"), remedy_of("")
    ('ended', 'other')
    """
    return REMEDIES.get(term, "other")


def rows_query(dataset_id: DatasetId, columns: Sequence[str]) -> DatasetQuery:
    """Return the question for rows; without columns, for all that the reader may see."""
    return DatasetQuery(dataset_id, columns=tuple(columns) or None, rows_max=ROWS_MAX)


def figures_query(
    dataset: Dataset, columns: Sequence[str], functions: Sequence[str], groups: Sequence[str]
) -> SqlQuery:
    """Return the question for figures; without columns, of all that hold numbers.

    Raises: SelectionInvalid.
    """
    wanted = columns or [column.name for column in dataset.columns if is_number(column) and column.name not in groups]
    figures = (Figure("count", ROWS), *(Figure(function, name) for name in wanted for function in functions))
    return SqlQuery(figures_sql(dataset, Selection(tuple(groups), figures)), rows_max=ROWS_MAX)


def figure_of(name: str, columns: Sequence[Column]) -> tuple[str, Column | None] | None:
    """Return the function and the column of a figure by its name in the answer; None for a key of groups."""
    if name == Figure("count", ROWS).name:
        return "count", None
    pairs = ((function, column) for column in columns for function in FUNCTIONS)
    return next(((f, column) for f, column in pairs if Figure(f, column.name).name == name), None)
