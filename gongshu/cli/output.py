"""How commands answer: tables for people, JSON for programs, one line for an error."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from gongshu.errors import GongshuError


class Format(StrEnum):
    """What a command prints."""

    TABLE = "table"
    JSON = "json"


def show(rows: Sequence[Mapping[str, object]], columns: Sequence[str], format: Format = Format.TABLE) -> None:
    """Print rows on standard output: a table of the given columns, or a JSON array with every field."""
    if format is Format.JSON:
        print(json.dumps([dict(row) for row in rows], ensure_ascii=False, default=str))  # noqa: T201
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console().print(table)


def done(text: str) -> None:
    """Print one line that says what changed."""
    Console().print(text, highlight=False, markup=False)


def fail(error: GongshuError) -> None:
    """Print the one clear line of an error on standard error."""
    Console(stderr=True, soft_wrap=True).print(f"{error} [{error.code}]", highlight=False, markup=False)
    sys.exit(1)


def _cell(value: object) -> str:
    return "" if value is None else str(value)
