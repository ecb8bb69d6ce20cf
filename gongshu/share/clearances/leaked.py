"""The decimal numbers of a file that turned up somewhere, whatever its form."""

import hashlib
import re
from pathlib import Path

import pyarrow as pa

from gongshu.share.clearances.errors import MarkedFileUnreadable

VALUES_MAX = 5_000_000
"""Different numbers looked at; more of them say nothing that these do not. Chosen by us: about 500 MB."""
PIECE_BYTES = 4 * 1024 * 1024

_NUMBER = re.compile(rb"(?<![\w.+/-])(?<!\d:)-?\d{1,15}\.\d{1,17}(?![\w.:-])")
_PARQUET, _ARROW = b"PAR1", b"ARROW1"
_STREAM = b"\xff\xff\xff\xff"


def read_values(path: Path) -> tuple[set[float], str]:
    """Return the different decimal numbers of a file, and its SHA-256.

    Text of every kind is searched for numbers with a point; times, versions and the like are passed over.
    Raises: MarkedFileUnreadable.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            head = file.read(6)
        if head.startswith(_PARQUET):
            import pyarrow.parquet as pa_parquet

            return _from_table(pa_parquet.read_table(path)), digest
        if head.startswith((_ARROW, _STREAM)):
            return _from_table(_read_arrow(path, is_stream=head.startswith(_STREAM))), digest
        return _from_text(path), digest
    except (OSError, pa.ArrowException) as cause:
        raise MarkedFileUnreadable(path=path, reason=type(cause).__name__) from cause


def _read_arrow(path: Path, *, is_stream: bool) -> pa.Table:
    with pa.OSFile(str(path), "rb") as source:
        reader = pa.ipc.open_stream(source) if is_stream else pa.ipc.open_file(source)
        return reader.read_all()


def _from_table(table: pa.Table) -> set[float]:
    found: set[float] = set()
    for column in table.columns:
        if pa.types.is_float64(column.type) and len(found) < VALUES_MAX:
            found.update(value for value in column.unique().to_pylist() if value is not None)
    return found


def _from_text(path: Path) -> set[float]:
    found: set[float] = set()
    rest = b""
    with path.open("rb") as file:
        while (piece := file.read(PIECE_BYTES)) and len(found) < VALUES_MAX:
            text = rest + piece
            # A number may lie across two pieces: what follows the last line's end, or else the last bytes, comes again.
            cut = text.rfind(b"\n") + 1 or max(0, len(text) - 64)
            found.update(float(number) for number in _NUMBER.findall(text[:cut]))
            rest = text[cut:]
    found.update(float(number) for number in _NUMBER.findall(rest))
    return found
