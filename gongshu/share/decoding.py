"""Bytes that a partner delivered as rows, batch by batch, in bounded memory, whatever they say.

An Arrow stream is judged message by message before it is unpacked; other forms are read by a process that may take so
much memory and no more. Values are checked fully: a partner's Arrow may point outside of its own buffers.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from gongshu.share.arrow_stream import MESSAGE_BYTES_MAX, open_arrow
from gongshu.share.encoding import Encoding
from gongshu.share.errors import MessageTooLarge
from gongshu.share.unfolding import held_bytes, unfolded_bytes
from gongshu.share.unpacking import unpacked

_ARROW_BEGIN = b"\xff\xff\xff\xff"
FAULTS = (pa.ArrowException, OSError, ValueError, TypeError, MemoryError, ArithmeticError, RecursionError)
"""What reading a partner's rows may raise; all of them mean that they are no rows."""


class Undecodable(ValueError):
    """What was delivered is not what its content type says; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows read from a file."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    """Raises Undecodable and MessageTooLarge, also in the middle."""


def guess_encoding(head: bytes) -> Encoding:
    """Return what the first bytes look like, for senders that do not say.

    >>> guess_encoding(b' [{"a": 1}]').value, guess_encoding(b"PAR1").value, guess_encoding(b"a,b").value
    ('json', 'parquet', 'csv')
    """
    if head.startswith(_ARROW_BEGIN):
        return Encoding.ARROW
    if head.startswith(b"PAR1"):
        return Encoding.PARQUET
    return Encoding.JSON if head.lstrip()[:1] in (b"[", b"{") else Encoding.CSV


@contextmanager
def decoded(file: IO[bytes], encoding: Encoding, bytes_max: int) -> Iterator[Decoded]:
    """Yield the rows of a file from its beginning; Arrow may still be arriving. `bytes_max` is what all may unpack to.

    Raises: Undecodable.
    Cost: a few batches in memory, of `arrow_stream.MESSAGE_BYTES_MAX` at most.
    """
    with ExitStack() as opened:
        try:
            read = file.read if encoding is Encoding.ARROW else opened.enter_context(unpacked(file, encoding))
            reader = opened.enter_context(open_arrow(read))
        except FAULTS as fault:
            raise Undecodable(str(fault)[:200]) from fault
        yield Decoded(reader.schema, _checked(iter(reader), bytes_max))


def require_sound(batch: pa.RecordBatch) -> int:
    """Return the bytes that a batch takes in memory as plain columns. Raises: ArrowInvalid, ValueError."""
    batch.validate()
    size = unfolded_bytes(batch)
    if size > MESSAGE_BYTES_MAX:
        raise ValueError(f"a batch would take {size} bytes of memory, of {MESSAGE_BYTES_MAX} at most")
    batch.validate(full=True)  # of views of one long text, it reads each
    return max(size, held_bytes(batch))


def _checked(batches: Iterator[pa.RecordBatch], bytes_max: int) -> Iterator[pa.RecordBatch]:
    total = 0
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            total += require_sound(batch)
        except FAULTS as fault:
            raise Undecodable(str(fault)[:200]) from fault
        if total > bytes_max:
            raise MessageTooLarge(limit_bytes=bytes_max)
        yield batch
