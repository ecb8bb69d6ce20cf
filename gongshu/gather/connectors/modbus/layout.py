"""From the answers of one poll to a columnar batch: where each tag's words lie, what they mean, what is worth keeping.

Pure: it gets words, statuses and times, and returns columns. Nothing here loops over readings except over strings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongshu.gather.batch import INT64_MAX
from gongshu.gather.connectors.modbus.config import ModbusTag
from gongshu.gather.connectors.modbus.plan import Block
from gongshu.gather.connectors.modbus.registers import (
    ByteOrder,
    RegisterType,
    WordOrder,
    Words,
    decode_numbers,
    decode_text,
)
from gongshu.gather.errors import DecodeError
from gongshu.model.reading import STATUS_BAD, STATUS_UNCERTAIN

EXACT_MAX = 2**53
"""Integers up to here are exact as a double; a scaled one beyond it is marked uncertain."""


@dataclass(slots=True)
class Columns:
    """One row for each tag, in the order of the tags; object arrays hold None where a column is empty."""

    double: NDArray[Any]
    integer: NDArray[Any]
    text: NDArray[Any]
    status: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Group:
    """Tags that are decoded together."""

    kind: RegisterType
    rows: NDArray[np.int64]
    words: NDArray[np.int64]
    """(n, width): where in the flat words each one's words lie, high word first."""
    swapped: NDArray[np.bool_]
    scaled: NDArray[np.bool_]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


class Layout:
    """Where the words of each tag lie when the answers to `blocks` are put one after the other."""

    def __init__(self, tags: Sequence[ModbusTag], blocks: Sequence[Block]) -> None:
        self._tags = tags
        first = np.zeros(len(tags), np.int64)
        self._block_of = np.zeros(len(tags), np.int64)
        base = 0
        for number, block in enumerate(blocks):
            for row in block.tags:
                first[row] = base + tags[row].address - block.start
                self._block_of[row] = number
            base += block.count
        self.words = base
        """How many words (or bits) the answers have together."""
        self._bits = np.array([i for i, tag in enumerate(tags) if tag.is_bool], np.int64)
        self._bit_at = first[self._bits]
        self._bit_shift = np.array([tags[i].bit or 0 for i in self._bits], np.uint16)
        self._bit_swapped = np.array([tags[i].byte_order is ByteOrder.LOW_FIRST for i in self._bits], bool)
        self._texts = [(i, int(first[i]), tag) for i, tag in enumerate(tags) if tag.type is RegisterType.STRING]
        kinds = [kind for kind in RegisterType if kind not in (RegisterType.BOOL, RegisterType.STRING)]
        self._groups = [group for kind in kinds if (group := _group(kind, tags, first)) is not None]

    def joined(self, answers: Sequence[tuple[Words, int]]) -> tuple[Words, NDArray[np.uint32]]:
        """Return what `decode` wants: the words of all blocks' answers, and each tag's status."""
        words = np.concatenate([words for words, _ in answers]) if answers else np.zeros(0, np.uint16)
        return words, self.per_tag([status for _, status in answers], np.uint32)

    def per_tag(self, of_blocks: Sequence[int], kind: type[np.generic]) -> NDArray[Any]:
        """Return for each tag what belongs to its block."""
        return np.array(of_blocks, kind)[self._block_of]

    def decode(self, words: Words, status: NDArray[np.uint32]) -> Columns:
        """Return each tag's value; where its status is already bad it has none.

        Shape: `words` has `self.words` entries, bits as 0 and 1; `status` one for each tag, and is not changed.
        """
        rows = len(self._tags)
        double, integer, text = (np.full(rows, None, object) for _ in range(3))
        columns = Columns(double, integer, text, status.copy())
        bits = words[self._bit_at]
        bits = np.where(self._bit_swapped, bits.byteswap(), bits)
        columns.integer[self._bits] = ((bits >> self._bit_shift) & 1).astype(object)
        for group in self._groups:
            _decode_group(group, words, columns)
        for row, start, tag in self._texts:
            raw = words[start : start + tag.width]
            try:
                columns.text[row] = decode_text(
                    raw.byteswap() if tag.byte_order is ByteOrder.LOW_FIRST else raw, tag.encoding
                )
            except DecodeError:
                columns.status[row] = max(int(columns.status[row]), STATUS_BAD)
        bad = columns.status >= STATUS_BAD
        for column in (columns.double, columns.integer, columns.text):
            column[bad] = None
        return columns


def _group(kind: RegisterType, tags: Sequence[ModbusTag], first: NDArray[np.int64]) -> _Group | None:
    chosen = [i for i, tag in enumerate(tags) if tag.type is kind and not tag.is_bool]
    if not chosen:
        return None
    width = tags[chosen[0]].width
    steps = np.arange(width)
    low_first = np.array([tags[i].word_order is WordOrder.LOW_FIRST for i in chosen])
    offsets = np.where(low_first[:, None], steps[::-1], steps)
    return _Group(
        kind,
        np.array(chosen, np.int64),
        first[chosen][:, None] + offsets,
        np.array([tags[i].byte_order is ByteOrder.LOW_FIRST for i in chosen]),
        np.array([tags[i].is_scaled for i in chosen]),
        np.array([tags[i].scale for i in chosen], np.float64),
        np.array([tags[i].offset for i in chosen], np.float64),
    )


def _decode_group(group: _Group, words: Words, columns: Columns) -> None:
    raw = words[group.words]
    numbers = decode_numbers(np.where(group.swapped[:, None], raw.byteswap(), raw), group.kind)
    scaled, rows = group.scaled, group.rows
    columns.double[rows[scaled]] = (numbers[scaled] * group.scale[scaled] + group.offset[scaled]).astype(object)
    plain = numbers[~scaled]
    if group.kind in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        columns.double[rows[~scaled]] = plain.astype(np.float64).astype(object)
        return
    if group.kind is RegisterType.UINT64:
        beyond = plain > INT64_MAX
        columns.text[rows[~scaled][beyond]] = plain[beyond].astype(str).astype(object)
        rows_plain, plain = rows[~scaled][~beyond], plain[~beyond]
    else:
        rows_plain = rows[~scaled]
    columns.integer[rows_plain] = plain.astype(object)
    if group.kind in (RegisterType.INT64, RegisterType.UINT64):
        inexact = scaled & (np.abs(numbers.astype(np.float64)) > EXACT_MAX)
        worse = np.maximum(columns.status[rows[inexact]], np.uint32(STATUS_UNCERTAIN))
        columns.status[rows[inexact]] = worse


class Deadbands:
    """Remembers what was last delivered of each tag and says which readings are worth delivering now."""

    def __init__(self, tags: Sequence[ModbusTag], *, repeat_after_us: int) -> None:
        self._every = np.array([tag.deadband is None for tag in tags])
        self._width = np.array([tag.deadband or 0.0 for tag in tags])
        self._repeat_after_us = repeat_after_us
        self._last: Columns | None = None
        self._last_us = np.zeros(len(tags), np.int64)

    def worth(self, columns: Columns, arrival_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the mask of the rows to deliver, and remember them as delivered.

        Rows without a deadband always are; so is a change of status, the first value, and one that was last delivered
        longer ago than `repeat_after_us`.
        """
        if self._last is None:
            self._last = columns
            self._last_us = arrival_us.copy()
            return np.ones(len(self._every), bool)
        last = self._last
        now_number, then_number = _numbers(columns), _numbers(last)
        with np.errstate(invalid="ignore"):
            inside = np.abs(now_number - then_number) <= self._width
        inside |= np.isnan(now_number) & np.isnan(then_number) & (columns.text == last.text)
        exact = (self._width > 0) | (columns.integer == last.integer)
        same = inside & exact & (columns.text == last.text) & (columns.status == last.status)
        keep = self._every | ~same | (arrival_us - self._last_us >= self._repeat_after_us)
        for mine, new in zip(
            (last.double, last.integer, last.text, last.status),
            (columns.double, columns.integer, columns.text, columns.status),
            strict=True,
        ):
            mine[keep] = new[keep]
        self._last_us[keep] = arrival_us[keep]
        return np.asarray(keep, bool)


def _numbers(columns: Columns) -> NDArray[np.float64]:
    """The value as a double, NaN where there is none or it is text."""
    double, integer = columns.double.astype(np.float64), columns.integer.astype(np.float64)
    return np.where(np.isnan(integer), double, integer)
