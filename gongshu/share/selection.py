"""What a data request asks for: columns, or figures over groups of rows. Pure.

Figures are written like columns: `count(*)`, `sum(quantity)`; plain columns beside them are what is grouped by. A name
that the dataset has is always the column. The functions are a closed set, and none returns the value of one row.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gongshu.share.errors import SelectionInvalid
from gongshu.share.terms import NAME_MAX, Operation

FUNCTIONS = {"count": "count", "sum": "sum", "avg": "avg", "stddev": "stddev_samp"}
"""By our name, the engine's. Not min, max, median and the like: they are the value of one row."""
ROWS = "*"

_FIGURE = re.compile(r"([a-z]{1,20})\((.+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number over the rows of a group."""

    function: str
    column: str
    """`*` for the rows themselves, which only `count` takes."""

    @property
    def name(self) -> str:
        """The name of the column in the answer."""
        return f"{self.function}({self.column})"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for, in the order asked."""

    columns: tuple[str, ...]
    """Columns; with figures, the keys of the groups."""
    figures: tuple[Figure, ...] = ()

    @property
    def operation(self) -> Operation:
        """What this does with the data."""
        return Operation.AGGREGATE if self.figures else Operation.READ

    @property
    def touched(self) -> frozenset[str]:
        """Every column that the answer stands on."""
        return frozenset(self.columns) | {figure.column for figure in self.figures if figure.column != ROWS}


def read_selection(asked: Sequence[str], known: Collection[str]) -> Selection:
    """Return what a request's column names mean for a dataset with the `known` columns.

    Raises: SelectionInvalid on a function that is not listed.

    >>> read_selection(["part", "sum(quantity)"], ["part", "quantity"]).figures[0].function
    'sum'
    """
    columns, figures = [], []
    for name in asked:
        match = None if name in known else _FIGURE.fullmatch(name)
        if match is None:
            columns.append(name)
            continue
        function, column = match.groups()
        if function not in FUNCTIONS or (column == ROWS) > (function == "count"):
            listed = ", ".join(FUNCTIONS)
            raise SelectionInvalid(asked=name[:NAME_MAX], reason=f"figures are {listed} of a column, and count(*)")
        figures.append(Figure(function, column))
    if figures and len(set(figures)) + len(set(columns)) != len(figures) + len(columns):
        raise SelectionInvalid(asked=", ".join(asked)[:NAME_MAX], reason="it asks for the same twice")
    return Selection(tuple(columns), tuple(figures))
