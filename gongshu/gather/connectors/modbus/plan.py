"""Which reads fetch a set of tags: as few as possible, none longer than a device answers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gongshu.gather.connectors.modbus.config import BITS_MAX, ModbusTag, Space


@dataclass(frozen=True, slots=True)
class Block:
    """One read request, and the tags it serves."""

    unit_id: int
    space: Space
    start: int
    count: int
    tags: tuple[int, ...]
    """Positions in the list of tags that was planned for."""


def plan_blocks(tags: Sequence[ModbusTag], unit_id: int, *, gap_max: int, registers_max: int) -> tuple[Block, ...]:
    """Return reads that cover every tag; neighbours are read as one if at most `gap_max` addresses lie between.

    Units: `gap_max` in registers; between bits sixteen times as many may lie, which cost the same bytes.
    """
    blocks: list[Block] = []
    order = sorted(range(len(tags)), key=lambda i: (_unit(tags[i], unit_id), tags[i].space, tags[i].address))
    for position in order:
        tag = tags[position]
        unit = _unit(tag, unit_id)
        count_max, gap = (BITS_MAX, gap_max * 16) if tag.space.is_bits else (registers_max, gap_max)
        end = tag.address + tag.width
        last = blocks[-1] if blocks else None
        if (
            last is not None
            and (last.unit_id, last.space) == (unit, tag.space)
            and tag.address - (last.start + last.count) <= gap
            and max(end, last.start + last.count) - last.start <= count_max
        ):
            count = max(end, last.start + last.count) - last.start
            blocks[-1] = Block(unit, tag.space, last.start, count, (*last.tags, position))
        else:
            blocks.append(Block(unit, tag.space, tag.address, tag.width, (position,)))
    return tuple(blocks)


def split_block(block: Block, tags: Sequence[ModbusTag]) -> tuple[Block, ...]:
    """Return two halves of a block that the device refuses, so that one bad address costs its neighbours nothing.

    Shape: a block of one tag comes back alone.
    """
    if len(block.tags) == 1:
        return (block,)
    middle = len(block.tags) // 2
    return tuple(_spanning(block, part, tags) for part in (block.tags[:middle], block.tags[middle:]))


def _spanning(block: Block, positions: tuple[int, ...], tags: Sequence[ModbusTag]) -> Block:
    start = min(tags[i].address for i in positions)
    end = max(tags[i].address + tags[i].width for i in positions)
    return Block(block.unit_id, block.space, start, end - start, positions)


def _unit(tag: ModbusTag, unit_id: int) -> int:
    return unit_id if tag.unit_id is None else tag.unit_id
