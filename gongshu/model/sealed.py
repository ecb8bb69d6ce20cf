"""Rows that lie encrypted: files that only their key opens, and what was written of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One encrypted file and what opens it."""

    path: Path
    key: bytes = field(repr=False)
    """32 bytes; for this file alone."""
    bound_to: str
    """What the file was written as. It is authenticated: a file that was put in the place of another does not open."""


@dataclass(frozen=True, slots=True)
class SealedRows:
    """A table in encrypted files, in the order they were written; no file means no rows."""

    schema: pa.Schema
    files: tuple[SealedFile, ...]


@dataclass(frozen=True, slots=True)
class SealedReport:
    """What lies on disk after one file was written."""

    rows: int
    size_bytes: int
    sha256: str
    """Over the file's bytes, which are ciphertext: it tells nothing about the rows."""


class SealedStorage(Protocol):
    """Who writes encrypted files, whole or not at all."""

    def write_sealed(self, file: SealedFile, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> SealedReport:
        """Write one file; on return it is on disk, and when it raises nothing is left of it."""
        ...

    def read_sealed(self, rows: SealedRows) -> Iterator[pa.RecordBatch]:
        """Yield the rows, opened, in the order of the files; raises where one of them does not open."""
        ...

    def sealed_schema(self, name: str, schema: pa.Schema) -> pa.Schema:
        """Return the columns as they will be kept; raises where a type cannot be kept."""
        ...
