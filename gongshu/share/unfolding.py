"""How large rows are as plain columns: a dictionary's long value may stand in each of a million rows. Pure."""

import pyarrow as pa
import pyarrow.compute as pc

_VIEW_BYTES = 16
"""Of which the first four are the length. Source: Apache Arrow columnar format, Variable-size Binary View Layout."""
_OFFSET_BYTES = 8
_BATCH_BYTES, _BUFFER_BYTES = 2048, 256
"""What a batch and a buffer take beside their values. Measured: 2.0 KiB a batch, 430 bytes a column of two buffers."""


def unfolded_bytes(batch: pa.RecordBatch) -> int:
    """Return the bytes that a batch takes when each value stands for itself; a row counts for one at least.

    The batch has been validated, but need not be in full: that looks at each byte of each value. No value is read here.

    >>> unfolded_bytes(pa.record_batch({"a": pa.array(["x" * 1000] * 50).dictionary_encode()}))
    50400
    """
    size = sum(_bytes(column) for column in batch.columns)
    return max(int(batch.num_rows), size)


def held_bytes(batch: pa.RecordBatch) -> int:
    """Return what a batch takes at least while it waits in memory, however few values it has."""
    return _BATCH_BYTES + _BUFFER_BYTES * sum(len(column.buffers()) for column in batch.columns)


def _bytes(array: pa.Array) -> int:
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = _lengths(array.dictionary)
        return _sum(pc.take(lengths, array.indices)) + _OFFSET_BYTES * len(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _bytes(array.values) + _OFFSET_BYTES * len(array)
    if pa.types.is_null(kind):
        return _OFFSET_BYTES * len(array)
    if _is_view(kind):
        return _sum(_lengths(array)) + _OFFSET_BYTES * len(array)
    return int(array.nbytes)


def _sum(lengths: pa.Array) -> int:
    return int(pc.sum(pc.max_element_wise(lengths, 0)).as_py() or 0)


def _lengths(array: pa.Array) -> pa.Array:
    """Return the bytes of each value, as 64-bit numbers; of those that are no text or bytes, what they take at most."""
    if _is_view(array.type):
        heads = pa.Array.from_buffers(pa.int32(), 4 * (array.offset + len(array)), [None, array.buffers()[1]])
        places = pa.array(range(4 * array.offset, 4 * (array.offset + len(array)), _VIEW_BYTES // 4), pa.int64())
        return pc.cast(pc.take(heads, places), pa.int64())
    try:
        return pc.cast(pc.binary_length(array), pa.int64())
    except pa.ArrowNotImplementedError:
        return pa.repeat(pa.scalar(_width(array), pa.int64()), len(array))


def _width(array: pa.Array) -> int:
    try:
        return (int(array.type.bit_width) + 7) // 8
    except ValueError:
        return int(array.nbytes)  # nested: no value takes more than all of them


def _is_view(kind: pa.DataType) -> bool:
    return kind in (pa.string_view(), pa.binary_view())
