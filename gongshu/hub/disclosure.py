"""Which cells of a table of totals may be shown, so that no firm's value can be computed from those that are.

A table is a tree: the total, its sections, their divisions. Whoever holds the shown cells can compute, by subtraction,
exactly one further thing for each shown cell: itself less the largest shown cells below it, the *rest*. The rests are
disjoint and every other computable sum is made of them. So the table is safe when each rest has no contributor or at
least `least` of them, and this module withholds cells until that holds.
Source: docs/decisions/0047-no-rest-below-three.md. Statistics Law (2024) art. 28: nothing that lets one be inferred.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ROOT = ""
"""The key of the total. A section's key is its letter (`C`), a division's the letter and two digits (`C34`)."""


class Shown(StrEnum):
    """Whether a cell's value is shown, and if not, why."""

    SHOWN = "shown"
    TOO_FEW = "too_few"
    """Withheld: too few contributors in the cell itself."""
    PROTECTS = "protects"
    """Withheld: with it, the value of another cell could be computed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place in the tree of totals."""

    key: str
    contributors: int
    shown: Shown


def parent_of(key: str) -> str | None:
    """Return the key of the cell that includes this one, or None for the total.

    >>> [parent_of(key) for key in ("C34", "C", "")]
    ['C', '', None]
    """
    if key == ROOT:
        return None
    return key[:1] if len(key) > 1 else ROOT


def decide_shown(contributors: Mapping[str, int], *, least: int) -> dict[str, Cell]:
    """Return every cell of the tree with its decision, given the contributors of each division.

    Pure. The more contributors a cell has, the later it is given up. A cell without contributors is shown as empty.

    >>> {k: c.shown.value for k, c in decide_shown({"C34": 2, "C35": 5, "C36": 4}, least=3).items() if k}
    {'C': 'shown', 'C34': 'too_few', 'C35': 'shown', 'C36': 'protects'}
    """
    counts = counts_of(contributors)
    shown = {key: Shown.SHOWN if n == 0 or n >= least else Shown.TOO_FEW for key, n in counts.items()}
    while (exposed := _first_exposed(counts, shown, least)) is not None:
        given_up = min(
            (key for key in shown if counts[key] and shown[key] is Shown.SHOWN and _shown_above(key, shown) == exposed),
            key=lambda key: (counts[key], key),
        )
        shown[given_up] = Shown.PROTECTS
    return {key: Cell(key, counts[key], shown[key]) for key in counts}


def rests_of(counts: Mapping[str, int], shown: Mapping[str, Shown]) -> dict[str, int]:
    """Return, for each shown cell, how many contributors stand in it but in no shown cell below it."""
    rests = {key: n for key, n in counts.items() if shown[key] is Shown.SHOWN}
    for key, n in counts.items():
        if shown[key] is Shown.SHOWN and (above := _shown_above(key, shown)) is not None:
            rests[above] -= n
    return rests


def counts_of(contributors: Mapping[str, int]) -> dict[str, int]:
    """Return the contributors of each cell of the tree, total first, then by key.

    >>> counts_of({"C34": 2, "D44": 1})
    {'': 3, 'C': 2, 'C34': 2, 'D': 1, 'D44': 1}
    """
    counts = {ROOT: 0}
    for division in sorted(contributors):
        key: str | None = division
        while key is not None:
            counts[key] = counts.get(key, 0) + contributors[division]
            key = parent_of(key)
    return dict(sorted(counts.items()))


def _first_exposed(counts: Mapping[str, int], shown: Mapping[str, Shown], least: int) -> str | None:
    return next((key for key, n in rests_of(counts, shown).items() if 0 < n < least), None)


def _shown_above(key: str, shown: Mapping[str, Shown]) -> str | None:
    above = parent_of(key)
    while above is not None and shown[above] is not Shown.SHOWN:
        above = parent_of(above)
    return above
