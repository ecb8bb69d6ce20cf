"""What registers mean: words to numbers and text, and back. Pure; whole columns at a time.

The protocol fixes only the bytes inside a register. The order of the registers of a longer number, and in some devices
even that of the bytes, is the maker's choice: the register map says it.
Source: MODBUS Application Protocol V1.1b3 §4.2.
"""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongshu.gather.errors import DecodeError

Words = NDArray[np.uint16]


class RegisterType(StrEnum):
    """How registers are to be read."""

    BOOL = "bool"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING = "string"


class WordOrder(StrEnum):
    """Which register of a longer number comes first."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class ByteOrder(StrEnum):
    """Which byte of a register comes first; the standard says the high one."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


WORDS = {
    RegisterType.BOOL: 1,
    RegisterType.INT16: 1,
    RegisterType.UINT16: 1,
    RegisterType.INT32: 2,
    RegisterType.UINT32: 2,
    RegisterType.INT64: 4,
    RegisterType.UINT64: 4,
    RegisterType.FLOAT32: 2,
    RegisterType.FLOAT64: 4,
}
_DTYPES = {
    RegisterType.INT16: ">i2",
    RegisterType.UINT16: ">u2",
    RegisterType.INT32: ">i4",
    RegisterType.UINT32: ">u4",
    RegisterType.INT64: ">i8",
    RegisterType.UINT64: ">u8",
    RegisterType.FLOAT32: ">f4",
    RegisterType.FLOAT64: ">f8",
}


def decode_numbers(words: Words, kind: RegisterType) -> NDArray[Any]:
    """Return one number for each row of words, in the type's own precision.

    Shape: words is (n, WORDS[kind]), high word first, each in the machine's own byte order.
    Raises: DecodeError if the width is not the type's.

    >>> decode_numbers(np.array([[0x42F6, 0xE979]], np.uint16), RegisterType.FLOAT32).tolist()
    [123.45600128173828]
    """
    if words.ndim != 2 or words.shape[1] != WORDS[kind]:
        raise DecodeError(what=kind, seen=f"an array of shape {words.shape}", reason=f"{WORDS[kind]} words are needed")
    packed = np.ascontiguousarray(words.astype(">u2")).view(_DTYPES[kind])
    return packed.reshape(-1).astype(packed.dtype.newbyteorder("="))


def encode_numbers(values: NDArray[Any], kind: RegisterType) -> Words:
    """Return the rows of words, high word first, that `decode_numbers` turns back into the values."""
    packed = np.ascontiguousarray(values.astype(_DTYPES[kind])).view(">u2").reshape(-1, WORDS[kind])
    return packed.astype(np.uint16)


def arrange_words(words: Words, word_order: WordOrder, byte_order: ByteOrder) -> Words:
    """Return the words as `decode_numbers` wants them; applied twice it gives back what it got."""
    if word_order is WordOrder.LOW_FIRST:
        words = words[:, ::-1]
    return words.byteswap() if byte_order is ByteOrder.LOW_FIRST else words


def decode_text(words: Words, encoding: str) -> str:
    """Return the text in one row of words, up to the first zero byte.

    Raises: DecodeError if the bytes are not text of that encoding.

    >>> decode_text(np.array([0x4142, 0x4300], np.uint16), "ascii")
    'ABC'
    """
    raw = words.astype(">u2").tobytes().split(b"\0", 1)[0]
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as cause:
        raise DecodeError(what=f"text as {encoding}", seen=f"{len(raw)} bytes", reason=cause.reason) from cause


def encode_text(text: str, encoding: str, words: int) -> Words:
    """Return the words that hold the text, filled with zero bytes.

    Raises: DecodeError if it is longer than the words.
    """
    raw = text.encode(encoding)
    if len(raw) > 2 * words:
        raise DecodeError(what="text", seen=f"{len(raw)} bytes", reason=f"{words} registers hold {2 * words}")
    return np.frombuffer(raw.ljust(2 * words, b"\0"), ">u2").astype(np.uint16)
