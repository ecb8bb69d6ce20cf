"""One pass over a CSV file before it is read: its hash, its encoding, and how long its lines are.

Reading a file with a line of gigabytes would take as much memory; here a line that passes the bound ends the pass. The
pass holds one piece at a time. A newline inside quotes is one after an odd number of quote marks.
"""

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gongshu.gather.errors import FileUnreadable, LineTooLong

PIECE_BYTES = 4 * 1024 * 1024
GUESSES = ("utf-8", "gb18030")
"""Strict decoding tells them apart: hardly any text in GB 18030 is valid UTF-8."""
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Scan:
    """What the pass found."""

    digest: str
    """SHA-256 of the file's bytes."""
    encoding: str
    record_max_bytes: int
    """Longest record, in UTF-8."""
    quoted_newlines: bool
    """Whether cells hold newlines; false also where quotes do not pair up, for then they are no quotes."""


def scan_text(file: Path, *, encoding: str, line_size_max_bytes: int) -> Scan:
    """Return what one pass over the file finds; with an empty `encoding` it is found out.

    Raises: LineTooLong; FileUnreadable if it is no text, or not of that encoding.
    Cost: a few megabytes of memory, whatever the file; a second pass if it is not UTF-8.
    """
    with file.open("rb") as stream:
        head = stream.read(64 * 1024)
    by_bom = next((name for bom, name in BOMS if head.startswith(bom)), "")
    if b"\0" in head and by_bom != "utf-16":
        raise FileUnreadable(
            file=file, reason="it holds zero bytes: no text", remedy="Give a CSV, Parquet or Excel file."
        )
    guesses = (encoding,) if encoding else (by_bom,) if by_bom else GUESSES
    for guess in guesses:
        lines = LineScan(file, line_size_max_bytes)
        digest = hashlib.sha256()
        try:
            for piece in _utf8_pieces(file, guess, digest):
                lines.feed(piece)
        except UnicodeError:
            continue
        return Scan(digest.hexdigest(), guess, lines.record_max_bytes, lines.quoted_newlines)
    raise FileUnreadable(
        file=file,
        reason=f"its bytes are not text in {' or '.join(guesses)}",
        remedy="Name its encoding in `csv.encoding`.",
    )


def line_numbers(
    file: Path, encoding: str, records: NDArray[np.int64], *, quoted_newlines: bool, skip_lines: int
) -> NDArray[np.int64]:
    """Return the line in which each record begins; lines count from 1, records from 1 after the skipped lines and
    without the empty ones.

    Shape: `records` ascending. Cost: a pass over the file.
    """
    found: list[NDArray[np.int64]] = []
    records_before, lines_before = 0, skip_lines
    left = b""
    for piece in _without_lines(chain(_utf8_pieces(file, encoding, hashlib.sha256()), (b"\n",)), skip_lines):
        data = np.frombuffer(left + piece, np.uint8)
        newlines = np.flatnonzero(data == 10)
        if not len(newlines):
            left += piece
            continue
        if quoted_newlines:
            marks = np.cumsum(data == 34)
            is_end = marks[newlines] % 2 == 0
        else:
            is_end = np.ones(len(newlines), bool)
        ends = newlines[is_end]
        if not len(ends):
            left += piece
            continue
        starts = np.concatenate(([0], ends[:-1] + 1))
        size = ends - starts
        blank = (size == 0) | ((size == 1) & (data[np.minimum(starts, len(data) - 1)] == 13))
        number = records_before + np.cumsum(~blank)
        line = lines_before + 1 + np.concatenate(([0], np.flatnonzero(is_end)[:-1] + 1))
        wanted = ~blank & np.isin(number, records)
        found.append(line[wanted])
        records_before = int(number[-1])
        lines_before += int(np.flatnonzero(is_end)[-1]) + 1
        left = data[ends[-1] + 1 :].tobytes()
    return np.concatenate(found) if found else np.zeros(0, np.int64)


class LineScan:
    """Measures lines and records as pieces come; holds only numbers."""

    def __init__(self, file: Path, size_max_bytes: int) -> None:
        self._file = file
        self._size_max_bytes = size_max_bytes
        self._offset = 0
        self._line_start = 0
        self._record_start = 0
        self._quotes = 0
        self._unpaired = False
        self._saw_quoted_newline = False
        self._record_max = 0
        self._line_max = 0

    def feed(self, piece: bytes) -> None:
        """Measure the next piece. Raises: LineTooLong."""
        data = np.frombuffer(piece, np.uint8)
        newlines = np.flatnonzero(data == 10)
        end = self._offset + len(data)
        if len(newlines):
            at = self._offset + newlines
            self._line_max = max(self._line_max, _longest(self._line_start, at))
            if not self._unpaired:
                self._feed_quoted(data, newlines, at)
            self._line_start = int(at[-1]) + 1
        elif not self._unpaired:
            self._quotes += int(np.count_nonzero(data == 34))
        self._offset = end
        if max(end - self._line_start, self._line_max) > self._size_max_bytes:
            raise LineTooLong(file=self._file, size_max_bytes=self._size_max_bytes, offset=self._line_start)
        if end - self._record_start > self._size_max_bytes:
            self._unpaired = True

    @property
    def quoted_newlines(self) -> bool:
        """Whether cells hold newlines."""
        return self._saw_quoted_newline and not self._unpaired and self._quotes % 2 == 0

    @property
    def record_max_bytes(self) -> int:
        """The longest record."""
        tail = self._offset - (self._record_start if self.quoted_newlines else self._line_start)
        return max(self._record_max if self.quoted_newlines else self._line_max, tail)

    def _feed_quoted(self, data: NDArray[np.uint8], newlines: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        marks = np.cumsum(data == 34)
        is_end = (self._quotes + marks[newlines]) % 2 == 0
        self._saw_quoted_newline |= not bool(is_end.all())
        ends = at[is_end]
        if len(ends):
            self._record_max = max(self._record_max, _longest(self._record_start, ends))
            self._record_start = int(ends[-1]) + 1
            if self._record_max > self._size_max_bytes:
                self._unpaired = True
        self._quotes += int(marks[-1])


def _without_lines(pieces: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """The pieces after so many newlines."""
    for piece in pieces:
        while lines and (end := piece.find(b"\n")) >= 0:
            piece, lines = piece[end + 1 :], lines - 1
        if not lines and piece:
            yield piece


def _longest(start: int, ends: NDArray[np.int64]) -> int:
    return int(np.diff(np.concatenate(([start - 1], ends))).max())


def _utf8_pieces(file: Path, encoding: str, digest: "hashlib._Hash") -> Iterator[bytes]:
    """The file's text as UTF-8, piece by piece. Raises: UnicodeError; FileUnreadable for an unknown encoding."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
    except LookupError as cause:
        raise FileUnreadable(
            file=file, reason=f"unknown encoding {encoding!r}", remedy="Correct `csv.encoding`."
        ) from cause
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
            text = decoder.decode(piece)
            yield piece if is_utf8 else text.encode("utf-8")
    decoder.decode(b"", True)
