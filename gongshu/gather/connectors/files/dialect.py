"""From the first lines of a CSV file: its delimiter, and whether it begins with names. Pure."""

import csv
import re
from collections import Counter
from collections.abc import Sequence

DELIMITERS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s*|\d{4}[-/]\d{1,2}[-/]\d{1,2}.*")


def decide_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts most lines into the same number of cells, more than one; a comma if none does.

    >>> decide_delimiter(["a;b;c", "1,5;2;3", "2,5;3;4"])
    ';'
    """
    best, best_rank = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = Counter(len(row) for row in _rows(lines, delimiter) if row)
        if not widths:
            continue
        width, times = widths.most_common(1)[0]
        rank = (times / widths.total(), width)
        if width > 1 and rank > best_rank:
            best, best_rank = delimiter, rank
    return best


def decide_header(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether the first row holds names: no cell of it is empty, a number or a date, and none comes twice.

    >>> decide_header(["time,load", "2026-01-01,3"], ","), decide_header(["1,2", "3,4"], ",")
    (True, False)
    """
    first = next((row for row in _rows(lines, delimiter) if row), [])
    names = [cell.strip() for cell in first]
    return bool(names) and all(names) and len(set(names)) == len(names) and not any(map(_NUMBER.fullmatch, names))


def column_names(first_row: Sequence[str]) -> list[str]:
    """Return usable names: trimmed, none empty, none twice whatever their case.

    >>> column_names(["a", " A ", ""])
    ['a', 'A_2', 'column_3']
    """
    names: list[str] = []
    seen: set[str] = set()
    for number, cell in enumerate(first_row, 1):
        name = " ".join(cell.replace("\ufeff", "").split()) or f"column_{number}"
        if name.casefold() in seen:
            name = f"{name}_{number}"
        seen.add(name.casefold())
        names.append(name)
    return names


def first_row(lines: Sequence[str], delimiter: str) -> tuple[list[str], int]:
    """Return the cells of the first row that is not empty, and how many lines end with it.

    >>> first_row(["", 'a,"b', 'c"', "1,2"], ",")
    (['a', 'b\\nc'], 3)
    """
    reader = csv.reader((line if line.endswith("\n") else line + "\n" for line in lines), delimiter=delimiter)
    try:
        for row in reader:
            if row:
                return row, reader.line_num
    except csv.Error:  # a cell beyond the module's bound, or a bare carriage return
        return lines[0].split(delimiter), 1
    return [], 0


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a cell beyond the module's bound, or a bare carriage return
        return [line.split(delimiter) for line in lines]
