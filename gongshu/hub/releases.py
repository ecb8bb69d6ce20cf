"""Which contributions a publication counts, and what it shows: pure.

A second publication of a month could betray one firm by its difference from the first. So the cells shown stay the
same from one to the next, and changes are counted only when enough firms change within the same *class*: the shown cell
itself, or all withheld cells below one shown cell, which are the only sums a reader can compute.
Source: docs/decisions/0047-no-rest-below-three.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from gongshu.hub.disclosure import ROOT, Shown, decide_shown, parent_of
from gongshu.hub.indicators import round_to
from gongshu.hub.model import Aggregate, Indicator, TotalCell


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one member's newest report adds to one indicator."""

    member: str
    division: str
    value: Decimal
    weight: Decimal
    """1 for a sum; the weighing indicator's value for a mean."""
    preliminary: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """The contributions of one indicator that a publication counts."""

    contributions: Mapping[str, Contribution]
    held_back: frozenset[str]
    """Members whose newest report waits."""


def decide_counted(
    latest: Mapping[str, Contribution],
    previous: Mapping[str, Contribution] | None,
    shown_before: Mapping[str, Shown],
    *,
    least: int,
) -> Counted:
    """Return which contributions to count; without an earlier publication, all of them.

    A member stays in the division that it was first counted in; leaving and joining classes could be told apart.
    """
    if previous is None:
        return Counted(dict(latest), frozenset())
    changed: dict[str, set[str]] = {}
    for member, now in latest.items():
        if previous.get(member) != now:
            changed.setdefault(_class_of(now.division, shown_before), set()).add(member)
    moved = {m for m, was in previous.items() if m in latest and latest[m].division != was.division}
    waiting = {m for members in changed.values() if len(members - moved) < least for m in members} | moved
    counted = dict(previous) | {m: c for m, c in latest.items() if m not in waiting}
    return Counted(counted, frozenset(waiting))


def decide_pattern(
    contributions: Iterable[Contribution], shown_before: Mapping[str, Shown], *, least: int
) -> dict[str, Shown]:
    """Return which cells to show: as before, where there was a before; new cells by the rule."""
    counts: dict[str, int] = {}
    for contribution in contributions:
        counts[contribution.division] = counts.get(contribution.division, 0) + 1
    fresh = {key: cell.shown for key, cell in decide_shown(counts, least=least).items()}
    return {key: shown_before.get(key, shown) for key, shown in fresh.items()}


def add_up(
    indicator: Indicator, contributions: Iterable[Contribution], pattern: Mapping[str, Shown]
) -> tuple[TotalCell, ...]:
    """Return every cell of the indicator's tree; a withheld one has no value.

    A mean is Σ(value × weight) ÷ Σ weight; without any weight it has no value.
    """
    members: dict[str, list[Contribution]] = {key: [] for key in (ROOT, *pattern)}
    for contribution in contributions:
        key: str | None = contribution.division
        while key is not None:
            members[key].append(contribution)
            key = parent_of(key)
    return tuple(
        TotalCell(
            indicator=indicator.code,
            key=key,
            contributors=len(inside),
            preliminary=sum(c.preliminary for c in inside),
            shown=pattern[key].value,
            value=_total(indicator, inside) if pattern[key] is Shown.SHOWN else None,
        )
        for key, inside in sorted(members.items())
    )


def _total(indicator: Indicator, inside: list[Contribution]) -> Decimal | None:
    if not inside:
        return None
    if indicator.aggregate is Aggregate.SUM:
        return round_to(sum((c.value for c in inside), Decimal(0)), indicator)
    weights = sum((c.weight for c in inside), Decimal(0))
    return round_to(sum((c.value * c.weight for c in inside), Decimal(0)) / weights, indicator) if weights else None


def _class_of(division: str, shown_before: Mapping[str, Shown]) -> str:
    key: str | None = division
    while key is not None and shown_before.get(key, Shown.SHOWN) is not Shown.SHOWN:
        key = parent_of(key)
    return key if key is not None else ROOT
