"""What was taken of a folder, remembered in one small file; and the side files of rows that were set aside."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is in no table, and why."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class FileTable:
    """One table of a file."""

    digest: str
    """SHA-256 of the file."""
    table: pa.Table
    bad_rows: list[BadRow]
    part: str = ""
    """Name of the sheet; empty where a file is one table."""


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file as it was when it was taken, or refused."""

    size_bytes: int
    modified_ns: int
    digest: str
    error: str = ""
    names: tuple[str, ...] = ()
    """Names of the datasets it became."""
    rows: int = 0
    rows_set_aside: int = 0
    types: dict[str, str] = field(default_factory=dict)
    """Address of each series in it to its value type."""


@dataclass(slots=True)
class TakenBook:
    """Which files were taken; written after their rows are stored, so a crash between the two takes them again, and
    storing them again changes nothing."""

    file: Path
    files: dict[str, TakenFile] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> "TakenBook":
        """Return the book as last written; empty if there is none."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(file)
        return cls(file, {path: TakenFile(**(one | {"names": tuple(one["names"])})) for path, one in found.items()})

    def note(self, path: str, taken: TakenFile) -> None:
        """Remember a file; it is on disk when the call returns."""
        self.files[path] = taken
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as stream:
            json.dump({name: asdict(one) for name, one in self.files.items()}, stream, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self.file)


def write_side_file(folder: Path, name: str, digest: str, bad_rows: Sequence[BadRow]) -> Path | None:
    """Write the rows that were set aside, with line and reason, as a CSV file; None if there are none."""
    if not bad_rows:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{name}-{digest[:8]}.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("line", "reason", "row"))
        writer.writerows((row.line, row.reason, row.text) for row in bad_rows)
    return file
