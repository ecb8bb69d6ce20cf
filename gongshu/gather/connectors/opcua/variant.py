"""One OPC UA value as one of ours: bytes of a Variant in, (value, next position) out. Nothing is rounded.

Types of fixed width, texts, bytes and times are read here; the rare rest (structures, node ids, diagnostic things) by
asyncua's own decoder. Source: OPC 10000-6 §5.2.2 (built-in types), §5.2.2.16 (Variant).
"""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary

from gongshu.gather.batch import Value
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.model.reading import ValueType

NUMPY_OF = {
    1: "u1", 2: "i1", 3: "u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8",
    10: "<f4", 11: "<f8", 19: "<u4",
}  # fmt: skip
"""Built-in types of fixed width by their number. Source: OPC 10000-6 §5.1.2, Table 1."""
BOOLEAN, STRING, DATE_TIME, BYTE_STRING, XML, LOCALIZED_TEXT = 1, 12, 13, 15, 16, 21

VALUE_TYPE_OF = {
    1: ValueType.BOOL, 2: ValueType.INT64, 3: ValueType.INT64, 4: ValueType.INT64, 5: ValueType.INT64,
    6: ValueType.INT64, 7: ValueType.INT64, 8: ValueType.INT64, 9: ValueType.UINT64, 10: ValueType.FLOAT32,
    11: ValueType.FLOAT64, 12: ValueType.TEXT, 13: ValueType.TIME, 14: ValueType.TEXT, 15: ValueType.BYTES,
    16: ValueType.TEXT, 17: ValueType.TEXT, 18: ValueType.TEXT, 19: ValueType.INT64, 20: ValueType.TEXT,
    21: ValueType.TEXT, 22: ValueType.STRUCTURE,
}  # fmt: skip

ELEMENTS_MAX = 10_000_000
_EPOCH_1601 = datetime(1601, 1, 1, tzinfo=UTC)
_LAST_TICK = 2_650_467_743_990_000_000
"""9999-12-31T23:59:59, from which on a time means 'for ever'. Source: OPC 10000-6 §5.2.2.5."""
SDK_FAULTS = (
    ua.UaError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, AssertionError, MemoryError,
    RecursionError, struct.error, NotImplementedError,
)  # fmt: skip
"""What asyncua raises on bytes that are not the protocol; translated wherever its decoder is called (E3)."""


class Refused(ValueError):
    """A value of a type that a series cannot hold; the text names the type."""


def read_variant(body: bytes, at: int, end: int) -> tuple[Value, int]:
    """Return the value of the Variant that starts at `at`, and the position behind it.

    Raises: ValueError if the bytes are no Variant or end too early; the rest of the message is then unreadable.
    """
    encoding = body[at] if at < end else 0
    kind, is_array, has_dimensions = encoding & 0x3F, bool(encoding & 0x80), bool(encoding & 0x40)
    if not is_array and kind in _SCALARS:
        return _SCALARS[kind](body, at + 1, end)
    if is_array and (kind in NUMPY_OF or kind == DATE_TIME):
        return _numbers(body, at + 1, end, kind, has_dimensions)
    buffer = Buffer(body, at, end - at)
    try:
        variant = variant_from_binary(buffer)
        value = native_value(variant.Value)
    except Refused as refusal:
        return refusal, _behind(buffer, at, end)  # type: ignore[return-value]
    except SDK_FAULTS as cause:
        raise ValueError(f"Variant of type {kind}: {cause}") from cause
    return value, _behind(buffer, at, end)


def _behind(buffer: Buffer, at: int, end: int) -> int:
    """Return where the buffer stands: the SDK takes a negative length for a step backwards."""
    position: int = buffer.cur_pos
    if not at < position <= end:
        raise ValueError("a length in the value is not possible")
    return position


def native_value(value: Any) -> Value:
    """Return a value of asyncua's classes as one of ours; structures become mappings.

    Raises: Refused for what no series can hold.
    """
    match value:
        case Enum():
            return int(value.value)
        case None | bool() | int() | float() | str() | bytes() | datetime():
            return value
        case UUID():
            return str(value)
        case ua.LocalizedText():
            return value.Text or ""
        case ua.NodeId() | ua.QualifiedName():
            return str(value.to_string())
        case ua.StatusCode():
            return int(value.value)
        case ua.XmlElement():
            return str(value.Value)
        case ua.Variant():
            return native_value(value.Value)
        case ua.ExtensionObject():
            return {"type": value.TypeId.to_string(), "body": base64.b64encode(value.Body or b"").decode("ascii")}
        case ua.DataValue() | ua.DiagnosticInfo():
            raise Refused(type(value).__name__)
        case Mapping():
            return {str(name): native_value(item) for name, item in value.items()}
        case Sequence():
            return [native_value(item) for item in value]
    if is_dataclass(value):
        return {field.name: native_value(getattr(value, field.name)) for field in fields(value)}
    raise Refused(type(value).__name__)


def ticks_text(ticks: int) -> str:
    """Return a DateTime as ISO text in UTC, to its full 100 ns.

    >>> ticks_text(116444736000000001)
    '1970-01-01T00:00:00.0000001Z'
    """
    if not 0 <= ticks < _LAST_TICK:
        return "0001-01-01T00:00:00Z" if ticks < 0 else "9999-12-31T23:59:59Z" if ticks >= _LAST_TICK else ""
    seconds, rest = divmod(ticks, 10_000_000)
    moment = (_EPOCH_1601 + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest:07d}Z" if rest else f"{moment}Z"


def _fixed(kind: int) -> Any:
    code = struct.Struct({"u1": "B", "i1": "b"}.get(NUMPY_OF[kind]) or f"<{_LETTER[NUMPY_OF[kind][1:]]}")

    def read(body: bytes, at: int, end: int) -> tuple[Value, int]:
        _require(at + code.size, end)
        (number,) = code.unpack_from(body, at)
        return (bool(number) if kind == BOOLEAN else number), at + code.size

    return read


_LETTER = {"i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d"}


def _bytes(body: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    _require(at + 4, end)
    length = int.from_bytes(body[at : at + 4], "little", signed=True)
    if length < 0:
        return None, at + 4
    _require(at + 4 + length, end)
    return body[at + 4 : at + 4 + length], at + 4 + length


def _text(body: bytes, at: int, end: int) -> tuple[str | None, int]:
    raw, behind = _bytes(body, at, end)
    return (None if raw is None else raw.decode("utf-8")), behind


def _null(_body: bytes, at: int, _end: int) -> tuple[None, int]:
    return None, at


def _date_time(body: bytes, at: int, end: int) -> tuple[str, int]:
    _require(at + 8, end)
    return ticks_text(int.from_bytes(body[at : at + 8], "little", signed=True)), at + 8


def _localized_text(body: bytes, at: int, end: int) -> tuple[str | None, int]:
    _require(at + 1, end)
    mask, at, text = body[at], at + 1, None
    if mask & 1:
        _, at = _bytes(body, at, end)
    if mask & 2:
        text, at = _text(body, at, end)
    return text, at


_SCALARS: dict[int, Callable[[bytes, int, int], tuple[Value, int]]] = {kind: _fixed(kind) for kind in NUMPY_OF} | {
    0: _null, STRING: _text, XML: _text, BYTE_STRING: _bytes, DATE_TIME: _date_time, LOCALIZED_TEXT: _localized_text,
}  # fmt: skip


def _numbers(body: bytes, at: int, end: int, kind: int, has_dimensions: bool) -> tuple[Value, int]:
    """An array of fixed-width numbers or of times, with its dimensions if it has any."""
    _require(at + 4, end)
    count = int.from_bytes(body[at : at + 4], "little", signed=True)
    at += 4
    if count < 0:
        flat: list[Any] | None = None
    else:
        code = np.dtype("<i8" if kind == DATE_TIME else NUMPY_OF[kind])
        _require(at + count * code.itemsize, end)
        array = np.frombuffer(body, code, count, at)
        at += count * code.itemsize
        flat = (array != 0).tolist() if kind == BOOLEAN else array.tolist()
        if kind == DATE_TIME:
            flat = [ticks_text(ticks) for ticks in flat]
    if not has_dimensions:
        return flat, at
    _require(at + 4, end)
    depth = int.from_bytes(body[at : at + 4], "little", signed=True)
    at += 4
    _require(at + 4 * max(depth, 0), end)
    shape = np.frombuffer(body, "<i4", max(depth, 0), at).tolist()
    at += 4 * max(depth, 0)
    return _nested(flat, shape), at


def _nested(flat: list[Any] | None, shape: list[int]) -> list[Any] | None:
    """Give a flat array its dimensions. Dimensions that do not fit are an error of the server."""
    if flat is None or len(shape) < 2:
        return flat
    size = 1
    for length in shape:
        size *= max(length, 0)
    if size != len(flat):
        raise ValueError(f"{len(flat)} elements do not fill the dimensions {shape}")
    nested: list[Any] = flat
    for length in reversed(shape[1:]):
        nested = [nested[i : i + length] for i in range(0, len(nested), length)] if length else [[]] * shape[0]
    return nested


def _require(position: int, end: int) -> None:
    if position > end:
        raise ValueError(f"the message ends {position - end} bytes too early")
