"""A partner's Arrow stream, admitted message by message: what it would take in memory is read before it is taken.

Arrow allocates what a message declares: its body, and for each compressed buffer the length that the buffer begins
with. So a message is read as bytes, judged by those figures, and only then handed to Arrow. See decision 0086.
"""

import io
from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any

import pyarrow as pa

MESSAGE_BYTES_MAX = 512 * 1024 * 1024
"""What one batch may take, as it arrives and unpacked; ours are of 64 MiB at most. Ours."""
METADATA_BYTES_MAX = 4 * 1024 * 1024
"""Descriptions of columns and buffers; a hundred thousand columns fit. Ours."""
_CONTINUATION = b"\xff\xff\xff\xff"
_PREFIX_BYTES = 8
_DICTIONARY, _BATCH = 2, 3
_ACCEPTED = frozenset({1, _DICTIONARY, _BATCH})
"""Schema, dictionary batch, record batch. Source: Apache Arrow, format/Message.fbs, MessageHeader."""
_VERSION_5 = 4
_UNPACKED = -1
"""The length that says: this buffer is not compressed. Source: Apache Arrow, format/Message.fbs, BodyCompression."""

_U16, _I32, _I64, _PAIR = Struct("<H"), Struct("<i"), Struct("<q"), Struct("<qq")


class StreamRefused(ValueError):
    """An Arrow stream that is malformed, cut, or would take too much memory; the text is the reason."""


class ArrowGate(io.RawIOBase):
    """The bytes of an Arrow stream as a file for Arrow, each message judged before its first byte is handed on.

    Raises: StreamRefused, in `read`.
    Cost: one message in memory, of at most `bytes_max`, which unpacked takes no more either.
    """

    def __init__(self, read: Callable[[int], bytes], *, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        """`read` returns as many bytes as it is asked for, fewer only at the end."""
        super().__init__()
        self._read = read
        self._bytes_max = bytes_max
        self._parts: list[memoryview] = []
        self._dictionaries: dict[int, int] = {}
        self._has_ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> Any:
        """Return the bytes of one part of a message, as Arrow asks for them: prefix, description, body."""
        if not self._parts and not self._has_ended:
            self._admit()
        if not self._parts:
            return b""
        part = self._parts[0]
        if size is None or size < 0 or size >= len(part):
            return self._parts.pop(0)
        self._parts[0] = part[size:]
        return part[:size]

    def _admit(self) -> None:
        prefix = self._exactly(_PREFIX_BYTES)
        if prefix[:4] != _CONTINUATION:
            raise StreamRefused("it is no Arrow stream")
        (length,) = _I32.unpack_from(prefix, 4)
        if length == 0:
            self._has_ended = True
            self._parts = [memoryview(prefix)]
            return
        if not 0 < length <= METADATA_BYTES_MAX:
            raise StreamRefused(f"the description of a message has {length} bytes, of {METADATA_BYTES_MAX} at most")
        metadata = self._exactly(length)
        try:
            message = _Message(metadata)
            self._require_bounded(message.body_bytes, "a message")
            body = self._exactly(message.body_bytes)
            self._judge(message, body)
        except (StructError, IndexError, OverflowError) as cause:
            raise StreamRefused("the description of a message is malformed") from cause
        self._parts = [memoryview(part) for part in (prefix, metadata, body) if part]

    def _judge(self, message: "_Message", body: bytes) -> None:
        batch = message.batch
        if batch is None:
            return
        size = _unpacked_bytes(batch, body)
        self._require_bounded(size, "a batch, unpacked,")
        if message.dictionary_id is None:
            return
        held = self._dictionaries.get(message.dictionary_id, 0) if message.is_delta else 0
        self._dictionaries[message.dictionary_id] = held + size
        self._require_bounded(sum(self._dictionaries.values()), "the dictionaries")

    def _require_bounded(self, size_bytes: int, what: str) -> None:
        if not 0 <= size_bytes <= self._bytes_max:
            raise StreamRefused(f"{what} would take {size_bytes} bytes of memory, of {self._bytes_max} at most")

    def _exactly(self, count: int) -> bytes:
        found = self._read(count)
        if len(found) < count:
            raise StreamRefused("the Arrow stream has no end")
        return found


def open_arrow(read: Callable[[int], bytes], *, bytes_max: int = MESSAGE_BYTES_MAX) -> pa.RecordBatchStreamReader:
    """Return a reader of a stream whose memory is bounded; it decompresses where it is used.

    Raises: StreamRefused and ArrowException, also in the middle.
    """
    return pa.ipc.open_stream(ArrowGate(read, bytes_max=bytes_max), options=pa.ipc.IpcReadOptions(use_threads=False))


class _Table:
    """A table in a flatbuffer: fields by their position in the schema, absent ones None."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        self._fields = place - _I32.unpack_from(data, _within(place))[0]
        self._count = (_U16.unpack_from(data, _within(self._fields))[0] - 4) // 2

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, _I32.unpack_from(data, 0)[0])

    def number(self, field: int, form: Struct, default: int = 0) -> int:
        at = self._at(field)
        return default if at is None else int(form.unpack_from(self._data, at)[0])

    def has(self, field: int) -> bool:
        return self._at(field) is not None

    def table(self, field: int) -> "_Table | None":
        at = self._at(field)
        return None if at is None else _Table(self._data, at + _I32.unpack_from(self._data, at)[0])

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """Return a vector of structs of two 64-bit numbers."""
        at = self._at(field)
        if at is None:
            return []
        start = _within(at + _I32.unpack_from(self._data, at)[0])
        (count,) = _I32.unpack_from(self._data, start)
        if not 0 <= count <= len(self._data) // _PAIR.size:
            raise IndexError
        return [_PAIR.unpack_from(self._data, start + 4 + index * _PAIR.size) for index in range(count)]

    def _at(self, field: int) -> int | None:
        if field >= self._count:
            return None
        (offset,) = _U16.unpack_from(self._data, _within(self._fields + 4 + 2 * field))
        return _within(self._place + offset) if offset else None


class _Message:
    """What a message's description says of its body. Source: Apache Arrow, format/Message.fbs."""

    def __init__(self, metadata: bytes) -> None:
        root = _Table.root(metadata)
        kind = root.number(1, Struct("<B"))
        header = root.table(2)
        if kind not in _ACCEPTED or header is None:
            raise StreamRefused("a message is neither schema nor dictionary nor batch")
        if root.number(0, Struct("<h")) < _VERSION_5 and root.has(4):
            # Arrow 0.17 told there, in another way, that buffers are compressed.
            raise StreamRefused("its version of the format is older than Arrow 1.0")
        self.body_bytes = root.number(3, _I64)
        self.dictionary_id = header.number(0, _I64) if kind == _DICTIONARY else None
        self.is_delta = kind == _DICTIONARY and bool(header.number(2, Struct("<B")))
        self.batch = header if kind == _BATCH else header.table(1) if kind == _DICTIONARY else None


def _unpacked_bytes(batch: _Table, body: bytes) -> int:
    is_compressed = batch.table(3) is not None
    total = 0
    for offset, length in batch.pairs(2):
        if offset < 0 or length < 0 or offset + length > len(body):
            raise IndexError
        declared = _I64.unpack_from(body, offset)[0] if is_compressed and length else _UNPACKED
        if declared < _UNPACKED:
            raise IndexError
        total += length if declared == _UNPACKED else declared
    return max(total, batch.number(0, _I64))


def _within(place: int) -> int:
    if place < 0:
        raise IndexError
    return place
