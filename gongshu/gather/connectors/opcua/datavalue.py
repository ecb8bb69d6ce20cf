"""Runs of DataValues as columns: the hot path of a subscription, of a read and of history alike.

A server sends thousands of values that look alike: same type, same fields. Such a run is taken as one NumPy view, some
millions of values a second; what differs is read one by one. Source: OPC 10000-6 §5.2.2.17 (DataValue).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gongshu.gather.batch import NATIVE_SCHEMA, Value, place_value
from gongshu.gather.connectors.opcua.variant import BOOLEAN, NUMPY_OF, Refused, read_variant
from gongshu.model.reading import STATUS_GOOD

HAS_VALUE, HAS_STATUS, HAS_SOURCE, HAS_SERVER, HAS_SOURCE_PICO, HAS_SERVER_PICO = 1, 2, 4, 8, 16, 32
STATUS_BAD_NOT_SUPPORTED = 0x803D0000
"""Given to a value whose type a series cannot hold. Source: OPC 10000-6, StatusCode.csv."""
OVERFLOW = 0x0480
"""InfoType DataValue (01) with the bit Overflow: the server dropped values before this one. OPC 10000-4 §7.39.1."""

_RUN_MIN = 8
_WINDOW = 256
_UNIX_TICKS = 116_444_736_000_000_000
_LAST_TICK = 2_650_467_743_990_000_000

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded DataValues; all arrays are equally long."""

    handle: Int64s
    """The client handle that came with each, or the position where none did."""
    source_us: Int64s
    has_source: npt.NDArray[np.bool_]
    status: npt.NDArray[np.uint32]
    double: npt.NDArray[np.float64]
    is_double: npt.NDArray[np.bool_]
    integer: Int64s
    is_integer: npt.NDArray[np.bool_]
    texts: dict[int, str]
    """By row."""
    refused: dict[str, int] = field(default_factory=dict)
    """Types that a series cannot hold, and how many values had them."""

    def __len__(self) -> int:
        return len(self.handle)

    def overflowed(self) -> Int64s:
        """Return the handles whose server queue dropped values."""
        overflowed: Int64s = self.handle[(self.status & OVERFLOW) == OVERFLOW]
        return overflowed

    def select(self, keep: npt.NDArray[np.bool_]) -> "Rows":
        """Return only the rows where `keep` is true."""
        positions = np.cumsum(keep) - 1
        texts = {int(positions[row]): text for row, text in self.texts.items() if keep[row]}
        return Rows(
            self.handle[keep], self.source_us[keep], self.has_source[keep], self.status[keep], self.double[keep],
            self.is_double[keep], self.integer[keep], self.is_integer[keep], texts, self.refused,
        )  # fmt: skip

    def batch(self, tags: npt.NDArray[np.int32], *, arrival_us: int) -> pa.RecordBatch:
        """Return the rows as NATIVE_SCHEMA; `tags[handle]` is the tag number."""
        rows = len(self)
        text: pa.Array
        if self.texts:
            column: list[str | None] = [None] * rows
            for row, value in self.texts.items():
                column[row] = value
            text = pa.array(column, pa.string())
        else:
            text = pa.nulls(rows, pa.string())
        utc = pa.timestamp("us", tz="UTC")
        return pa.RecordBatch.from_arrays(
            [
                pa.array(tags[self.handle]),
                pa.array(self.source_us, pa.int64(), mask=~self.has_source).cast(utc),
                pa.repeat(pa.scalar(arrival_us, pa.int64()), rows).cast(utc),
                pa.array(self.double, mask=~self.is_double),
                pa.array(self.integer, mask=~self.is_integer),
                text,
                pa.array(self.status),
            ],
            schema=NATIVE_SCHEMA,
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields of one DataValue are, when it is like those around it."""

    stride: int
    kind: int | None
    dtype: "np.dtype[np.void]"


@lru_cache(maxsize=256)
def _layout(with_handle: bool, mask: int, kind: int | None) -> _Layout:
    names, formats, offsets, at = ["mask"], ["u1"], [4 if with_handle else 0], 5 if with_handle else 1
    if with_handle:
        names, formats, offsets = [*names, "handle"], [*formats, "<u4"], [*offsets, 0]
    if kind is not None:
        names, formats, offsets = [*names, "kind", "value"], [*formats, "u1", NUMPY_OF[kind]], [*offsets, at, at + 1]
        at += 1 + np.dtype(NUMPY_OF[kind]).itemsize
    for bit, name, code in (
        (HAS_STATUS, "status", "<u4"),
        (HAS_SOURCE, "source", "<i8"),
        (HAS_SOURCE_PICO, "source_pico", "<u2"),
        (HAS_SERVER, "server", "<i8"),
        (HAS_SERVER_PICO, "server_pico", "<u2"),
    ):
        if mask & bit:
            names, formats, offsets = [*names, name], [*formats, code], [*offsets, at]
            at += np.dtype(code).itemsize
    fields = {"names": names, "formats": formats, "offsets": offsets, "itemsize": at}
    return _Layout(at, kind, np.dtype(fields))  # type: ignore[call-overload]


def decode_values(body: bytes, at: int, end: int, count: int, *, with_handle: bool) -> tuple[Rows, int]:
    """Return `count` DataValues, each after its client handle if `with_handle`, and the position behind them.

    Raises: ValueError if the bytes are not that; nothing of them is then used.
    """
    if not 0 <= count <= end - at:
        raise ValueError(f"{count} values cannot be in {end - at} bytes")
    collected = _Collected()
    row, handle_size = 0, 4 if with_handle else 0
    while row < count:
        head = at + handle_size
        if head >= end:
            raise ValueError("the message ends within a value")
        mask = body[head]
        kind = body[head + 1] if mask & HAS_VALUE and head + 1 < end else None
        run = 0
        if not mask & 0xC0 and (kind is None or kind in NUMPY_OF):
            layout = _layout(with_handle, mask, kind if mask & HAS_VALUE else None)
            run = _run_length(body, at, end, count - row, layout, head - at)
            if run:
                collected.add_run(np.frombuffer(body, layout.dtype, run, at), layout, row)
                at += run * layout.stride
                row += run
        if not run:
            at = _one(body, at, end, row, collected, with_handle=with_handle)
            row += 1
    return collected.finish(), at


def _run_length(body: bytes, at: int, end: int, rows_max: int, layout: _Layout, head: int) -> int:
    """How many values from here on have the same fields and type; 0 if too few to be worth it."""
    stride = layout.stride
    rows_max = min(rows_max, (end - at) // stride)
    probe = at + head + (_RUN_MIN - 1) * stride
    width = 2 if layout.kind is not None else 1
    sign = body[at + head : at + head + width]
    if rows_max < _RUN_MIN or body[probe : probe + width] != sign:
        return 0
    run, window = 0, _WINDOW
    while run < rows_max:
        here = min(window, rows_max - run)
        seen = np.frombuffer(body, layout.dtype, here, at + run * stride)
        same = seen["mask"] == sign[0]
        if layout.kind is not None:
            same &= seen["kind"] == sign[1]
        if not same.all():
            run += int(same.argmin())
            break
        run += here
        window *= 8
    return run if run >= _RUN_MIN else 0


def _one(body: bytes, at: int, end: int, row: int, collected: "_Collected", *, with_handle: bool) -> int:
    """Read one DataValue of any kind; returns the position behind it."""
    handle = row
    if with_handle:
        handle, at = int.from_bytes(body[at : at + 4], "little"), at + 4
    mask, at = body[at], at + 1
    value: Value = None
    status, ticks = STATUS_GOOD, 0
    if mask & HAS_VALUE:
        value, at = read_variant(body, at, end)
    if mask & HAS_STATUS:
        status, at = _number(body, at, end, 4), at + 4
    if mask & HAS_SOURCE:
        ticks, at = _number(body, at, end, 8), at + 8
    at += (2 if mask & HAS_SOURCE_PICO else 0) + (8 if mask & HAS_SERVER else 0) + (2 if mask & HAS_SERVER_PICO else 0)
    if at > end:
        raise ValueError("the message ends within a value")
    collected.add_one(handle, value, status, ticks)
    return at


def _number(body: bytes, at: int, end: int, size: int) -> int:
    if at + size > end:
        raise ValueError("the message ends within a value")
    return int.from_bytes(body[at : at + size], "little")


class _Collected:
    """Pieces of the columns, in order; single values wait in lists until a run or the end makes them a piece."""

    def __init__(self) -> None:
        self._pieces: list[Rows] = []
        self._singles: list[tuple[int, int, int, float, bool, int, bool]] = []
        self._single_start = 0
        self._rows = 0
        self._texts: dict[int, str] = {}
        self._refused: dict[str, int] = {}

    def add_one(self, handle: int, value: Value, status: int, ticks: int) -> None:
        if isinstance(value, Refused):
            self._refused[str(value)] = self._refused.get(str(value), 0) + 1
            value, status = None, STATUS_BAD_NOT_SUPPORTED
        double, integer, text = place_value(value)
        if text is not None:
            self._texts[self._rows] = text
        self._singles.append(
            (handle, ticks, status, double or 0.0, double is not None, integer or 0, integer is not None)
        )
        self._rows += 1

    def add_run(self, run: "npt.NDArray[np.void]", layout: _Layout, row: int) -> None:
        self._close_singles()
        names, rows = run.dtype.names or (), len(run)
        handle = run["handle"].astype(np.int64) if "handle" in names else np.arange(row, row + rows)
        ticks = run["source"] if "source" in names else np.zeros(rows, np.int64)
        status = run["status"].astype(np.uint32) if "status" in names else np.zeros(rows, np.uint32)
        double, integer = np.zeros(rows), np.zeros(rows, np.int64)
        is_double = is_integer = np.zeros(rows, np.bool_)
        if layout.kind is not None:
            value = run["value"]
            if value.dtype.kind == "f":
                double, is_double = value.astype(np.float64), np.ones(rows, np.bool_)
            elif value.dtype == np.uint64 and (large := value > np.uint64(2**63 - 1)).any():
                integer, is_integer = np.where(large, 0, value).astype(np.int64), ~large
                self._texts |= {self._rows + int(i): str(int(value[i])) for i in np.flatnonzero(large)}
            else:
                integer = (value != 0).astype(np.int64) if layout.kind == BOOLEAN else value.astype(np.int64)
                is_integer = np.ones(rows, np.bool_)
        self._pieces.append(Rows(handle, *_times(ticks), status, double, is_double, integer, is_integer, {}))
        self._rows += rows

    def finish(self) -> Rows:
        self._close_singles()
        return Rows(
            handle=self._joined("handle", np.int64),
            source_us=self._joined("source_us", np.int64),
            has_source=self._joined("has_source", np.bool_),
            status=self._joined("status", np.uint32),
            double=self._joined("double", np.float64),
            is_double=self._joined("is_double", np.bool_),
            integer=self._joined("integer", np.int64),
            is_integer=self._joined("is_integer", np.bool_),
            texts=self._texts,
            refused=self._refused,
        )

    def _joined(self, name: str, kind: Any) -> Any:
        return np.concatenate([getattr(piece, name) for piece in self._pieces] or [np.zeros(0, kind)])

    def _close_singles(self) -> None:
        if not self._singles:
            return
        handle, ticks, status, double, is_double, integer, is_integer = zip(*self._singles, strict=True)
        times = _times(_ticks(ticks))
        doubles = np.array(double), np.array(is_double, np.bool_)
        integers = np.array(integer, np.int64), np.array(is_integer, np.bool_)
        codes = np.array(status, np.uint32)
        self._pieces.append(Rows(np.array(handle, np.int64), *times, codes, *doubles, *integers, {}))
        self._singles = []


def _ticks(ticks: Sequence[int]) -> Int64s:
    return np.array(ticks, np.uint64).view(np.int64)


def _times(ticks: Int64s) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Ticks of 100 ns from 1601 as microseconds from 1970, rounded down; no time, and 'for ever', are no time."""
    real = (ticks > 0) & (ticks < _LAST_TICK)
    return (ticks - _UNIX_TICKS) // 10, real
