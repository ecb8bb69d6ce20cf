"""Which files of which day are worth merging. Pure."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

FILES_PER_DAY = 8
"""A day with more small files than this is merged once it is over, or at once when it has four times as many."""
SMALL_ROWS = 4_000_000
"""Files with more rows are left alone: merging them gains little and takes much memory."""
GROUP_ROWS = 8_000_000
"""One merge holds at most about so many readings in memory (some 1.2 GB while it sorts)."""


class _File(Protocol):
    @property
    def day(self) -> int | None: ...
    @property
    def rows(self) -> int: ...


_F = TypeVar("_F", bound=_File)


def plan_compaction(files: Sequence[_F], *, today: int, is_idle: bool) -> list[list[_F]]:
    """Return groups of files, each of one day, to be merged, oldest day first.

    A past day is merged when it has two small files or more, so late data end up in order too. Today's files are
    merged when there are more than `FILES_PER_DAY`, or four times that while the writer is busy.
    Units: days are days since 1970-01-01.
    """
    by_day: dict[int, list[_F]] = {}
    for file in files:
        if file.rows < SMALL_ROWS and file.day is not None:
            by_day.setdefault(file.day, []).append(file)
    groups = []
    for day in sorted(by_day):
        small = by_day[day]
        least = _least_files(day, today=today, is_idle=is_idle)
        if len(small) >= least:
            groups += [group for group in _packed(small) if len(group) > 1]
    return groups


def _least_files(day: int, *, today: int, is_idle: bool) -> int:
    if not is_idle:
        return 4 * FILES_PER_DAY
    # A past day is usually split in two files by shape: three mean that something was added since.
    return 3 if day < today else FILES_PER_DAY + 1


def _packed(files: Sequence[_F]) -> list[list[_F]]:
    groups: list[list[_F]] = [[]]
    rows = 0
    for file in sorted(files, key=lambda file: file.rows):
        if groups[-1] and rows + file.rows > GROUP_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(file)
        rows += file.rows
    return groups
