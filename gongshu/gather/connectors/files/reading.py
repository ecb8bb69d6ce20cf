"""One file as tables, whatever its kind."""

import hashlib
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gongshu.gather.connectors.files.config import CsvOptions, SeriesOptions
from gongshu.gather.connectors.files.csv_table import read_csv_file
from gongshu.gather.connectors.files.series import timed_table
from gongshu.gather.connectors.files.taken import FileTable
from gongshu.gather.connectors.files.workbook import read_workbook
from gongshu.gather.errors import FileTooLarge, FileUnreadable

PARQUET_SUFFIXES = (".parquet", ".pq")
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")


def read_file(
    file: Path, options: CsvOptions, *, size_max_bytes: int, series: SeriesOptions | None = None
) -> list[FileTable]:
    """Return the tables of a CSV, Parquet or Excel file; with `series` the cells of CSV files stay text.

    Raises: FileUnreadable, FileTooLarge, LineTooLong; ConfigWrong for a time column that is not there.
    """
    try:
        if file.stat().st_size > size_max_bytes:
            raise FileTooLarge(file=file, size_bytes=file.stat().st_size, size_max_bytes=size_max_bytes)
        suffix = file.suffix.lower()
        if suffix in PARQUET_SUFFIXES:
            return [_read_parquet(file)]
        if suffix in WORKBOOK_SUFFIXES:
            return list(read_workbook(file, _digest(file)))
        return [read_csv_file(file, options, partial(timed_table, options=series) if series else None)]
    except OSError as cause:
        reason = cause.strerror or str(cause).splitlines()[0]
        raise FileUnreadable(file=file, reason=reason, remedy="Check that it is there and may be read.") from cause


def _read_parquet(file: Path) -> FileTable:
    try:
        table = pq.ParquetFile(file).read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        reason = str(cause).splitlines()[0][:200]
        raise FileUnreadable(file=file, reason=reason, remedy="It is damaged, or no Parquet file.") from cause
    return FileTable(_digest(file), table, [])


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
