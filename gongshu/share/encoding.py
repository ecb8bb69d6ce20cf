"""Rows as bytes, batch by batch: Arrow IPC, CSV or Parquet."""

import io
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet


class Encoding(StrEnum):
    """How data are delivered."""

    ARROW = "arrow"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """The content type."""
        return {
            "arrow": "application/vnd.apache.arrow.stream",
            "csv": "text/csv; charset=utf-8",
            "parquet": "application/vnd.apache.parquet",
        }[self.value]


def encoding_of(accept: str) -> Encoding:
    """Return the encoding an Accept header asks for first; Arrow where it asks for none of them.

    >>> encoding_of("text/csv;q=0.9, */*").value, encoding_of("*/*").value
    ('csv', 'arrow')
    """
    for part in accept.split(","):
        wanted = part.split(";")[0].strip().lower()
        for encoding in Encoding:
            if wanted == encoding.media_type.split(";")[0]:
                return encoding
    return Encoding.ARROW


class _Sink(io.RawIOBase):
    """Collects what a writer writes until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def encode_batches(schema: pa.Schema, batches: Iterator[pa.RecordBatch], encoding: Encoding) -> Iterator[bytes]:
    """Yield the stream in pieces, one or more a batch; the last piece closes the format.

    Cost: one batch in memory; Parquet holds one row group more.
    """
    sink = _Sink()
    writer = _WRITERS[encoding](sink, schema)
    for batch in batches:
        writer.write_batch(batch)
        piece = sink.take()
        if piece:
            yield piece
    writer.close()
    yield sink.take()


_WRITERS: dict[Encoding, Callable[[_Sink, pa.Schema], Any]] = {
    Encoding.ARROW: lambda sink, schema: pa.ipc.new_stream(sink, schema),
    Encoding.CSV: lambda sink, schema: pa_csv.CSVWriter(sink, schema),
    Encoding.PARQUET: lambda sink, schema: pa_parquet.ParquetWriter(sink, schema, compression="zstd"),
}
