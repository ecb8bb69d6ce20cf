"""Bytes that a partner delivered as rows, batch by batch, from a file: nothing here holds more than one batch.

The exception is JSON, which is read whole and therefore bounded. Values are checked fully: a partner's Arrow may point
outside of its own buffers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import orjson
import pyarrow as pa

from gongshu.share.encoding import Encoding

JSON_BYTES_MAX = 256 * 1024 * 1024
"""What is read as JSON, which has to be in memory at once; for more there are three better encodings. Ours."""
_ARROW_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The end of an Arrow stream; without it, a stream that was cut between two batches looks whole.
Source: Apache Arrow columnar format, IPC Streaming Format."""
_FAULTS = (
    *(pa.ArrowException, orjson.JSONDecodeError, OSError, ValueError, TypeError, MemoryError),
    *(ArithmeticError, RecursionError),
)


class Undecodable(ValueError):
    """What was delivered is not what its content type says; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows read from a file."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    """Raises Undecodable, also in the middle."""


def guess_encoding(head: bytes) -> Encoding:
    """Return what the first bytes look like, for senders that do not say.

    >>> guess_encoding(b' [{"a": 1}]').value, guess_encoding(b"PAR1").value, guess_encoding(b"a,b").value
    ('json', 'parquet', 'csv')
    """
    if head.startswith(_ARROW_END[:4]):
        return Encoding.ARROW
    if head.startswith(b"PAR1"):
        return Encoding.PARQUET
    return Encoding.JSON if head.lstrip()[:1] in (b"[", b"{") else Encoding.CSV


def decode_file(file: IO[bytes], encoding: Encoding) -> Decoded:
    """Return the rows of a complete file, which stands at its beginning.

    Raises: Undecodable.
    """
    try:
        schema, batches = _READERS[encoding](file)
    except _FAULTS as fault:
        raise Undecodable(str(fault)[:200]) from fault
    return Decoded(schema, _checked(batches))


def _checked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        except _FAULTS as fault:
            raise Undecodable(str(fault)[:200]) from fault
        yield batch


def _read_arrow(file: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    file.seek(-len(_ARROW_END), 2)
    if file.read() != _ARROW_END:
        raise Undecodable("the Arrow stream has no end")
    file.seek(0)
    reader = pa.ipc.open_stream(file)
    return reader.schema, iter(reader)


def _read_csv(file: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow.csv as pa_csv

    reader = pa_csv.open_csv(file)
    return reader.schema, iter(reader)


def _read_parquet(file: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow.parquet as pa_parquet

    source = pa_parquet.ParquetFile(file)
    return source.schema_arrow, source.iter_batches()


def _read_json(file: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    text = file.read(JSON_BYTES_MAX + 1)
    if len(text) > JSON_BYTES_MAX:
        raise Undecodable(f"it is over {JSON_BYTES_MAX} bytes of JSON")
    rows = orjson.loads(text)
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Undecodable("it is no list of objects")
    table = pa.Table.from_pylist(rows)
    return table.schema, iter(table.to_batches())


_READERS = {
    Encoding.ARROW: _read_arrow,
    Encoding.CSV: _read_csv,
    Encoding.PARQUET: _read_parquet,
    Encoding.JSON: _read_json,
}
