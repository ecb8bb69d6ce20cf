"""How commands answer: tables for people, JSON for programs, one line for an error.

What partners wrote is in all of them, and steers no terminal.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from gongshu.errors import GongshuError
from gongshu.model.plain import plain

WIDE = 4000


class Format(StrEnum):
    """What a command prints."""

    TABLE = "table"
    JSON = "json"


def show(rows: Sequence[Mapping[str, object]], columns: Sequence[str], format: Format = Format.TABLE) -> None:
    """Print rows on standard output: a table of the given columns, or a JSON array with every field."""
    if format is Format.JSON:
        print(plain(json.dumps([dict(row) for row in rows], ensure_ascii=False, default=str)))  # noqa: T201
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(plain(_cell(row.get(column))) for column in columns))
    _screen().print(table)


def done(text: str) -> None:
    """Print one line that says what changed; it is never wrapped, so that ids, codes and links can be copied."""
    print(plain(text))  # noqa: T201


def complain(text: str) -> None:
    """Print one line on standard error."""
    print(plain(" ".join(text.split())), file=sys.stderr)  # noqa: T201


def fail(error: GongshuError) -> NoReturn:
    """Print the one clear line of an error on standard error, and end with status 1."""
    complain(f"{error} [{error.code}]")
    sys.exit(1)


def _screen() -> Console:
    """A terminal's own width; without one, every row stays one line, so that programs and eyes can search it."""
    screen = Console(highlight=False, markup=False)
    return screen if screen.is_terminal or "COLUMNS" in os.environ else Console(width=WIDE, markup=False)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
