"""Sparkplug B data types as values: protobuf metric in, (our type, value) out; no state, no input or output.

Source: Sparkplug 3.0 §6.4.16 (data types) and §6.4.17 (metric values). Unsigned wire fields carry negative integers
as two's complement, so a metric's value has no meaning without the data type its birth declared.
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from gongshu.model.reading import ValueType


class DataType(IntEnum):
    """The codes of the data types. Source: Sparkplug 3.0 §6.4.16."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTYSET = 20
    PROPERTYSETLIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


class WireMismatch(ValueError):
    """The value on the wire is not one that the declared data type can have."""


_VALUE_TYPES = {
    DataType.INT8: ValueType.INT64,
    DataType.INT16: ValueType.INT64,
    DataType.INT32: ValueType.INT64,
    DataType.INT64: ValueType.INT64,
    DataType.UINT8: ValueType.INT64,
    DataType.UINT16: ValueType.INT64,
    DataType.UINT32: ValueType.INT64,
    DataType.UINT64: ValueType.UINT64,
    DataType.FLOAT: ValueType.FLOAT32,
    DataType.DOUBLE: ValueType.FLOAT64,
    DataType.BOOLEAN: ValueType.BOOL,
    DataType.STRING: ValueType.TEXT,
    DataType.DATETIME: ValueType.TIME,
    DataType.TEXT: ValueType.TEXT,
    DataType.UUID: ValueType.TEXT,
    DataType.BYTES: ValueType.BYTES,
    DataType.FILE: ValueType.BYTES,
} | {code: ValueType.ARRAY for code in DataType if code >= DataType.INT8_ARRAY}

_ARRAY_CODES = {
    DataType.INT8_ARRAY: "b",
    DataType.INT16_ARRAY: "h",
    DataType.INT32_ARRAY: "i",
    DataType.INT64_ARRAY: "q",
    DataType.UINT8_ARRAY: "B",
    DataType.UINT16_ARRAY: "H",
    DataType.UINT32_ARRAY: "I",
    DataType.UINT64_ARRAY: "Q",
    DataType.FLOAT_ARRAY: "f",
    DataType.DOUBLE_ARRAY: "d",
    DataType.DATETIME_ARRAY: "q",
}


def value_type_of(code: int) -> ValueType | None:
    """Return our type for a data type's code; None for those a series cannot hold (DataSet, Template, unknown).

    >>> value_type_of(3).value
    'int64'
    """
    try:
        return _VALUE_TYPES.get(DataType(code))
    except ValueError:
        return None


def name_of(code: int) -> str:
    """Return the data type's name for messages, or its number when the specification has none."""
    try:
        return DataType(code).name
    except ValueError:
        return str(code)


def decode_value(metric: Any, code: int) -> object:
    """Return the value of a metric whose birth declared the data type `code`.

    Shape: bool, int, float, str, bytes or list of these; times are int milliseconds since 1970.
    Raises: WireMismatch if another field is set than the type's, or the number does not fit the type.
    """
    field = metric.WhichOneof("value")
    decoder = _DECODERS.get(code)
    if decoder is None or field is None:
        raise WireMismatch(f"{name_of(code)} has no value that a series can hold")
    return decoder(field, getattr(metric, field))


def _signed(bits: int) -> Callable[[str, Any], int]:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def decode(field: str, raw: Any) -> int:
        if field not in ("int_value", "long_value"):
            raise WireMismatch(f"Int{bits} in {field}")
        if raw <= high:
            return int(raw)
        # Writers differ: some sign-extend to the width of the field, some stay within the width of the type.
        for width in (bits, 32, 64):
            candidate = raw - (1 << width)
            if low <= candidate < 0:
                return int(candidate)
        raise WireMismatch(f"Int{bits} cannot be {raw}")

    return decode


def _unsigned(bits: int) -> Callable[[str, Any], int]:
    def decode(field: str, raw: Any) -> int:
        if field not in ("int_value", "long_value"):
            raise WireMismatch(f"UInt{bits} in {field}")
        if raw >> bits:
            raise WireMismatch(f"UInt{bits} cannot be {raw}")
        return int(raw)

    return decode


def _same(expected: str, title: str) -> Callable[[str, Any], Any]:
    def decode(field: str, raw: Any) -> Any:
        if field != expected:
            raise WireMismatch(f"{title} in {field}")
        return raw

    return decode


def _boolean(field: str, raw: Any) -> bool:
    if field == "boolean_value":
        return bool(raw)
    raise WireMismatch(f"Boolean in {field}")


def _array(code: str) -> Callable[[str, Any], list[int] | list[float]]:
    size = struct.calcsize(f"<{code}")

    def decode(field: str, raw: Any) -> list[int] | list[float]:
        if field != "bytes_value" or len(raw) % size:
            raise WireMismatch(f"an array of {size}-byte values in {field} of {len(raw)} bytes")
        return list(struct.unpack(f"<{len(raw) // size}{code}", raw))

    return decode


def _boolean_array(field: str, raw: Any) -> list[bool]:
    if field != "bytes_value" or len(raw) < 4:
        raise WireMismatch(f"BooleanArray in {field}")
    (count,) = struct.unpack_from("<I", raw)
    if len(raw) - 4 != (count + 7) // 8:
        raise WireMismatch(f"BooleanArray says {count} values in {len(raw) - 4} bytes")
    return [bool(raw[4 + i // 8] & (0x80 >> i % 8)) for i in range(count)]


def _string_array(field: str, raw: Any) -> list[str]:
    if field != "bytes_value" or (raw and raw[-1:] != b"\x00"):
        raise WireMismatch(f"StringArray in {field}, or its last text does not end")
    try:
        return [part.decode("utf-8") for part in raw.split(b"\x00")[:-1]]
    except UnicodeDecodeError as cause:
        raise WireMismatch("StringArray is not UTF-8") from cause


_DECODERS: dict[int, Callable[[str, Any], object]] = {
    DataType.INT8: _signed(8),
    DataType.INT16: _signed(16),
    DataType.INT32: _signed(32),
    DataType.INT64: _signed(64),
    DataType.UINT8: _unsigned(8),
    DataType.UINT16: _unsigned(16),
    DataType.UINT32: _unsigned(32),
    DataType.UINT64: _unsigned(64),
    DataType.DATETIME: _signed(64),
    DataType.FLOAT: _same("float_value", "Float"),
    DataType.DOUBLE: _same("double_value", "Double"),
    DataType.BOOLEAN: _boolean,
    DataType.STRING: _same("string_value", "String"),
    DataType.TEXT: _same("string_value", "Text"),
    DataType.UUID: _same("string_value", "UUID"),
    DataType.BYTES: _same("bytes_value", "Bytes"),
    DataType.FILE: _same("bytes_value", "File"),
    DataType.BOOLEAN_ARRAY: _boolean_array,
    DataType.STRING_ARRAY: _string_array,
} | {kind: _array(code) for kind, code in _ARRAY_CODES.items()}
