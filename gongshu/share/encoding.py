"""Rows as bytes, batch by batch: Arrow IPC, CSV, Parquet or JSON."""

import base64
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any, overload

import orjson
import pyarrow as pa

PIECE_BYTES = 1024 * 1024
"""Pieces are sent when so much has come together: a hop between threads and a chunk on the wire for each. Measured;
larger ones gain nothing."""
BATCH_BYTES = 64 * 1024 * 1024
"""Larger batches are cut, so that a receiver may bound what it takes into memory at once. Ours."""
PACKED = "codecs=lz4"
"""The parameter of the Arrow media type by which a receiver asks for compressed buffers, and a sender says that it did.
Source: Apache Arrow, arrow-experiments, http/get_compressed."""


class Encoding(StrEnum):
    """How data are delivered."""

    ARROW = "arrow"
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"

    @property
    def media_type(self) -> str:
        """The content type."""
        return {
            "arrow": "application/vnd.apache.arrow.stream",
            "csv": "text/csv; charset=utf-8",
            "parquet": "application/vnd.apache.parquet",
            "json": "application/json",
        }[self.value]


@overload
def encoding_of(accept: str, *, default: None) -> Encoding | None: ...


@overload
def encoding_of(accept: str, *, default: Encoding = Encoding.ARROW) -> Encoding: ...


def encoding_of(accept: str, *, default: Encoding | None = Encoding.ARROW) -> Encoding | None:
    """Return the encoding that an Accept or Content-Type header names first, else the default.

    >>> encoding_of("text/csv;q=0.9, */*").value, encoding_of("*/*").value
    ('csv', 'arrow')
    """
    for part in accept.split(","):
        wanted = part.split(";")[0].strip().lower()
        for encoding in Encoding:
            if wanted == encoding.media_type.split(";")[0]:
                return encoding
    return default


def accepts_packed(accept: str) -> bool:
    """Return whether the encoding that an Accept header names first is Arrow with buffers compressed by LZ4.

    >>> accepts_packed("application/vnd.apache.arrow.stream; codecs=lz4, text/csv"), accepts_packed("*/*")
    (True, False)
    """
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if encoding_of(media_type, default=None) is not None:
            return media_type == Encoding.ARROW.media_type and PACKED in [each.replace('"', "") for each in parameters]
    return False


class Sink(io.RawIOBase):
    """Collects what a writer writes until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Take some bytes and return how many."""
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last time, and forget it."""
        taken = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self.size = [], 0
        return taken


class _JsonWriter:
    """One array of objects, a row on a line; what JSON lacks is a string: decimals, and bytes in base 64."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._before = b"[\n"

    def write_batch(self, batch: pa.RecordBatch) -> None:
        rows = [orjson.dumps(row, default=_as_text) for row in batch.to_pylist()]
        if rows:
            self._sink.write(self._before + b",\n".join(rows))
            self._before = b",\n"

    def close(self) -> None:
        self._sink.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")


def encode_batches(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], encoding: Encoding, *, packed: bool = False
) -> Iterator[bytes]:
    """Yield the stream in pieces of at least PIECE_BYTES; the last one closes the format.

    `packed` compresses the buffers of Arrow, and nothing else.
    Cost: one batch and one piece in memory; Parquet holds one row group more.
    """
    sink = Sink()
    writer = _packed_writer(sink, schema) if packed and encoding is Encoding.ARROW else _WRITERS[encoding](sink, schema)
    for batch in batches:
        for part in _cut(batch):
            writer.write_batch(part)
            if sink.size >= PIECE_BYTES:
                yield sink.take()
    writer.close()
    yield sink.take()


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts of about BATCH_BYTES; rows that differ much in size may make one of them larger."""
    count = max(1, batch.num_rows * BATCH_BYTES // max(1, batch.nbytes))
    if count >= batch.num_rows:
        yield batch
        return
    for start in range(0, batch.num_rows, count):
        yield from _cut(batch.slice(start, count))


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)


def _csv_writer(sink: Sink, schema: pa.Schema) -> Any:
    import pyarrow.csv as pa_csv  # megabytes that a node without such partners never needs

    return pa_csv.CSVWriter(sink, schema)


def _parquet_writer(sink: Sink, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pa_parquet

    return pa_parquet.ParquetWriter(sink, schema, compression="zstd")


def _packed_writer(sink: Sink, schema: pa.Schema) -> Any:
    # One thread: measured, more of them cost more than they save, and the other cores have work.
    return pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False))


_WRITERS: dict[Encoding, Callable[[Sink, pa.Schema], Any]] = {
    Encoding.ARROW: lambda sink, schema: pa.ipc.new_stream(sink, schema),
    Encoding.CSV: _csv_writer,
    Encoding.PARQUET: _parquet_writer,
    Encoding.JSON: lambda sink, schema: _JsonWriter(sink),  # noqa: ARG005
}
