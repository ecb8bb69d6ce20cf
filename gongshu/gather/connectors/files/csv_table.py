"""A CSV file as a table: rows with the wrong number of cells, or cells that do not fit, are set aside, not lost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from gongshu.gather.connectors.files.config import CsvOptions
from gongshu.gather.connectors.files.dialect import column_names, decide_delimiter, decide_header, first_row
from gongshu.gather.connectors.files.kinds import Typed, type_table
from gongshu.gather.connectors.files.scan import Scan, line_numbers, scan_text
from gongshu.gather.connectors.files.taken import BadRow, FileTable
from gongshu.gather.errors import FileUnreadable

Judge = Callable[[pa.Table], Typed]

SAMPLE_LINES = 100
BAD_ROWS_MAX = 100_000
BLOCK_MIN_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Misfits:
    """Rows whose number of cells is wrong, as the parser meets them."""

    skip_lines: int
    """The parser counts these, too, though it skips them."""
    records: list[int] = field(default_factory=list)
    """Numbers of the rows, from 1, without empty ones."""
    rows: list[BadRow] = field(default_factory=list)

    def note(self, row: pa_csv.InvalidRow) -> str:
        self.records.append(row.number - self.skip_lines)
        reason = f"{row.actual_columns} cells where {row.expected_columns} are expected"
        self.rows.append(BadRow(row.number, reason, row.text))
        return "skip" if len(self.rows) <= BAD_ROWS_MAX else "error"


def read_csv_file(file: Path, options: CsvOptions, judge: Judge | None = None) -> FileTable:
    """Return the file's rows as a table, and the rows set aside with line and reason.

    `judge` turns the table of text into what is wanted, and names the rows that do not fit; left out, each column gets
    the type that its cells show.

    Raises: FileUnreadable; LineTooLong.
    Cost: about six times the file's size in memory.
    """
    scan = scan_text(file, encoding=options.encoding, line_size_max_bytes=options.line_size_max_bytes)
    lines = _first_lines(file, scan.encoding, options.skip_rows)
    delimiter = options.delimiter or decide_delimiter(lines)
    header = decide_header(lines, delimiter) if options.header is None else options.header
    first, first_lines = first_row(lines, delimiter)
    if not first:
        raise FileUnreadable(file=file, reason="it has no rows", remedy="Nothing was taken.")
    names = column_names(first if header else [""] * len(first))
    skip_lines = options.skip_rows + (first_lines if header else 0)
    misfits = _Misfits(skip_lines)
    text = _read_text(file, scan, delimiter, names, misfits)
    if judge is None:
        judge = partial(type_table, null_values=options.null_values, outlier_share_max=options.outlier_share_max)
    typed = judge(text)
    bad_rows = _set_aside(file, scan, misfits, text, typed.bad, delimiter)
    return FileTable(scan.digest, typed.table, bad_rows)


def _read_text(file: Path, scan: Scan, delimiter: str, names: list[str], misfits: _Misfits) -> pa.Table:
    block_bytes = max(BLOCK_MIN_BYTES, 2 * scan.record_max_bytes + 1024)
    try:
        return pa_csv.read_csv(
            file,
            # One thread: the parser tells the number of a bad row only then.
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=block_bytes,
                column_names=names,
                skip_rows=misfits.skip_lines,
                encoding=scan.encoding,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=scan.quoted_newlines, invalid_row_handler=misfits.note
            ),
            convert_options=pa_csv.ConvertOptions(default_column_type=pa.string(), strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, pa.ArrowCapacityError, UnicodeError) as cause:
        reason = str(cause).splitlines()[0][:200]
        if len(misfits.rows) > BAD_ROWS_MAX:
            reason = f"more than {BAD_ROWS_MAX} rows do not have {len(names)} cells"
        raise FileUnreadable(file=file, reason=reason, remedy="Check delimiter, quotes and `csv.skip_rows`.") from cause


def _set_aside(
    file: Path, scan: Scan, misfits: _Misfits, text: pa.Table, bad: dict[int, str], delimiter: str
) -> list[BadRow]:
    """All bad rows with the line in which each begins."""
    if not misfits.rows and not bad:
        return []
    skipped = np.array(sorted(misfits.records), np.int64)
    good = np.array(sorted(bad), np.int64) + 1
    shifted = skipped - np.arange(len(skipped))
    record_of_good = good + np.searchsorted(shifted, good, side="right")
    found = [(record, row.reason, row.text) for record, row in zip(misfits.records, misfits.rows, strict=True)]
    for row, record in zip(sorted(bad), record_of_good.tolist(), strict=True):
        found.append((record, bad[row], delimiter.join(str(column[row]) for column in text.columns)))
    found.sort()
    records = np.array([record for record, _, _ in found], np.int64)
    lines = line_numbers(
        file, scan.encoding, records, quoted_newlines=scan.quoted_newlines, skip_lines=misfits.skip_lines
    )
    return [BadRow(int(line), reason, row) for line, (_, reason, row) in zip(lines, found, strict=True)]


def _first_lines(file: Path, encoding: str, skip_rows: int) -> list[str]:
    with file.open(encoding=encoding, newline="") as stream:
        lines = [line.removeprefix("\ufeff") for line in islice(stream, skip_rows + SAMPLE_LINES)]
    return lines[skip_rows:]
