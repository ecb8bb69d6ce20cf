"""An Excel workbook (.xlsx) as tables, one for each sheet that has rows."""

import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
import pyarrow as pa
from openpyxl.utils.exceptions import InvalidFileException

from gongshu.gather.connectors.files.dialect import column_names
from gongshu.gather.connectors.files.taken import BadRow, FileTable
from gongshu.gather.errors import FileUnreadable

INFLATED_MAX_BYTES = 4 * 1024**3
"""A workbook is a zip: a small one can hold endless zeros. Chosen by us, far above any sheet of a million rows."""


def read_workbook(file: Path, digest: str) -> Iterator[FileTable]:
    """Yield each sheet's rows as a table, and the rows set aside; the first row that is not empty holds the names.

    A column is of a type if all its cells are; mixed ones become text. Formulas give the value Excel last computed.

    Raises: FileUnreadable.
    Cost: Python objects for all cells of one sheet at a time.
    """
    remedy = "Save it again as .xlsx, or export it as CSV."
    try:
        with zipfile.ZipFile(file) as parts:
            if sum(part.file_size for part in parts.infolist()) > INFLATED_MAX_BYTES:
                raise FileUnreadable(file=file, reason="it inflates beyond 4 GiB", remedy=remedy)
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as cause:
        raise FileUnreadable(file=file, reason="it is no Excel workbook (.xlsx)", remedy=remedy) from cause
    try:
        for sheet in workbook.worksheets:
            rows = sheet.iter_rows(values_only=True)
            table = _sheet_table(digest, sheet.title, enumerate(rows, 1))
            if table is not None:
                yield table
    except (zipfile.BadZipFile, SyntaxError, KeyError, ValueError, TypeError) as cause:
        raise FileUnreadable(file=file, reason=f"a sheet is damaged ({type(cause).__name__})", remedy=remedy) from cause
    finally:
        workbook.close()


def _sheet_table(digest: str, title: str, rows: Iterator[tuple[int, Sequence[object]]]) -> FileTable | None:
    first = next((row for _, row in rows if any(cell is not None for cell in row)), None)
    if first is None:
        return None
    width = max(number for number, cell in enumerate(first, 1) if cell is not None)
    names = column_names(["" if cell is None else str(cell) for cell in first[:width]])
    columns: list[list[object]] = [[] for _ in names]
    bad_rows: list[BadRow] = []
    for line, row in rows:
        if all(cell is None for cell in row):
            continue
        if any(cell is not None for cell in row[width:]):
            text = ",".join("" if cell is None else str(cell) for cell in row)
            bad_rows.append(BadRow(line, f"cells beyond the {width} named columns", text))
            continue
        for number, column in enumerate(columns):
            column.append(row[number] if number < len(row) else None)
    table = pa.table({name: _column(cells) for name, cells in zip(names, columns, strict=True)})
    return FileTable(digest, table, bad_rows, title) if table.num_rows or bad_rows else None


def _column(cells: list[object]) -> pa.Array:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return pa.array(cells, pa.bool_())
    if kinds == {int} and all(cell is None or abs(cell) < 2**63 for cell in cells):  # type: ignore[arg-type]
        return pa.array(cells, pa.int64())
    if kinds and kinds <= {int, float}:
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())  # type: ignore[arg-type]
    if kinds and kinds <= {datetime, date}:
        return pa.array([_at_midnight(cell) for cell in cells], pa.timestamp("us"))
    return pa.array([_text(cell) for cell in cells], pa.string())


def _at_midnight(cell: object) -> object:
    return datetime.combine(cell, time()) if isinstance(cell, date) and not isinstance(cell, datetime) else cell


def _text(cell: object) -> str | None:
    if cell is None:
        return None
    return cell.isoformat() if isinstance(cell, datetime | date | time) else str(cell)
