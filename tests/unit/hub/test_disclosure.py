"""No firm's value can be computed from what is shown, by any subtraction, over one publication or several."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongshu.hub.disclosure import Shown, counts_of, decide_shown, parent_of, rests_of
from gongshu.hub.releases import Contribution, decide_counted, decide_pattern

LEAST = 3
DIVISIONS = ("B06", "B07", "C13", "C34", "C35", "C36", "D44")


def exposed_firms(rows: Iterable[Mapping[str, float]], firms: Iterable[str], *, least: int) -> set[tuple[str, ...]]:
    """Attack: every group of fewer than `least` firms of which something can be computed from the published sums.

    A row holds the coefficient of each unknown (`firm` or `firm#version`) in one published sum. Something about a
    group is computable exactly if a combination of the rows is zero outside the group, but not everywhere.
    """
    unknowns = sorted({unknown for row in rows for unknown in row})
    matrix = np.array([[row.get(unknown, 0.0) for unknown in unknowns] for row in rows])
    rank = np.linalg.matrix_rank(matrix) if matrix.size else 0
    found = set()
    for size in range(1, least):
        for group in combinations(sorted(firms), size):
            outside = [i for i, unknown in enumerate(unknowns) if unknown.split("#")[0] not in group]
            rest = np.linalg.matrix_rank(matrix[:, outside]) if outside and matrix.size else 0
            if rest < rank:
                found.add(group)
    return found


def ancestors(division: str) -> list[str]:
    keys, key = [], parent_of(division)
    while key is not None:
        keys.append(key)
        key = parent_of(key)
    return keys


def published_rows(members: Mapping[str, str], shown: Mapping[str, Shown]) -> list[dict[str, float]]:
    """The published sums of one table; `members` gives each unknown's division."""
    keys = [key for key, state in shown.items() if state is Shown.SHOWN]
    return [{m: 1.0 for m, d in members.items() if key in (d, *ancestors(d))} for key in keys]


def test_the_attack_finds_what_naive_withholding_betrays() -> None:
    members = {"a": "C34", "b": "C35", "c": "C35", "d": "C35"}
    naive = {key: Shown.SHOWN if n >= LEAST else Shown.TOO_FEW for key, n in counts_of({"C34": 1, "C35": 3}).items()}
    assert ("a",) in exposed_firms(published_rows(members, naive), members, least=LEAST)


def test_a_single_withheld_division_takes_a_second_with_it() -> None:
    cells = decide_shown({"C34": 1, "C35": 3, "C36": 9}, least=LEAST)
    assert {key: cell.shown for key, cell in cells.items()} == {
        "": Shown.SHOWN,
        "C": Shown.SHOWN,
        "C34": Shown.TOO_FEW,
        "C35": Shown.PROTECTS,
        "C36": Shown.SHOWN,
    }


def test_two_withheld_firms_together_still_need_a_third() -> None:
    cells = decide_shown({"C34": 1, "C35": 1, "C36": 5, "C37": 4}, least=LEAST)
    assert cells["C37"].shown is Shown.PROTECTS


def test_a_section_is_withheld_when_its_rest_in_the_total_is_too_small() -> None:
    cells = decide_shown({"D44": 1, "C34": 4, "C35": 4}, least=LEAST)
    assert cells["D"].shown is Shown.TOO_FEW
    assert cells["C"].shown is Shown.PROTECTS
    assert (cells["C34"].shown, cells["C35"].shown) == (Shown.PROTECTS, Shown.SHOWN)


def test_too_few_in_all_shows_nothing() -> None:
    cells = decide_shown({"C34": 1, "C35": 1}, least=LEAST)
    assert {cell.shown for cell in cells.values()} == {Shown.TOO_FEW}


@given(st.dictionaries(st.sampled_from(DIVISIONS), st.integers(0, 4)), st.integers(2, 4))
@settings(max_examples=300, deadline=None)
def test_no_group_below_the_least_is_exposed(contributors: dict[str, int], least: int) -> None:
    cells = decide_shown(contributors, least=least)
    members = {f"{d}-{i}": d for d, n in contributors.items() for i in range(n)}
    shown = {key: cell.shown for key, cell in cells.items()}
    assert exposed_firms(published_rows(members, shown), members, least=least) == set()
    assert all(n == 0 or n >= least for n in rests_of(counts_of(contributors), shown).values())


@given(st.dictionaries(st.sampled_from(DIVISIONS), st.integers(3, 9), min_size=1))
def test_nothing_is_withheld_without_need(contributors: dict[str, int]) -> None:
    assert {c.shown for c in decide_shown(contributors, least=LEAST).values()} == {Shown.SHOWN}


steps = st.lists(st.dictionaries(st.integers(0, 11), st.none() | st.integers(0, 9), max_size=9), min_size=2, max_size=4)


@given(st.lists(st.sampled_from(DIVISIONS[2:]), min_size=12, max_size=12), steps)
@settings(max_examples=200, deadline=None)
def test_later_publications_betray_no_firm_by_their_difference(
    divisions: list[str], changes: list[dict[int, int | None]]
) -> None:
    latest: dict[str, Contribution] = {}
    previous: Mapping[str, Contribution] | None = None
    pattern: dict[str, Shown] = {}
    rows: list[dict[str, float]] = []
    for version, change in enumerate(changes):
        for firm in change:
            value = Decimal(100 * version + firm)  # every version is a new unknown
            latest[f"f{firm}"] = Contribution(f"f{firm}", divisions[firm], value, Decimal(1), False)
        counted = decide_counted(latest, previous, pattern, least=LEAST)
        if len(counted.contributions) < LEAST:
            continue
        pattern = decide_pattern(counted.contributions.values(), pattern, least=LEAST)
        unknown = {f"{m}#{c.value}": c.division for m, c in counted.contributions.items()}
        rows += published_rows(unknown, pattern)
        previous = counted.contributions
    if rows:
        assert exposed_firms(rows, {f"f{i}" for i in range(12)}, least=LEAST) == set()


def test_one_correction_waits_and_three_are_counted() -> None:
    before = {f"f{i}": Contribution(f"f{i}", "C34", Decimal(i), Decimal(1), False) for i in range(5)}
    shown = {"": Shown.SHOWN, "C": Shown.SHOWN, "C34": Shown.SHOWN}

    def corrected(*firms: int) -> dict[str, Contribution]:
        new = {f"f{i}": Contribution(f"f{i}", "C34", Decimal(50 + i), Decimal(1), False) for i in firms}
        return before | new

    one = decide_counted(corrected(0), before, shown, least=LEAST)
    assert (one.contributions, one.held_back) == (before, frozenset({"f0"}))
    three = decide_counted(corrected(0, 1, 2), before, shown, least=LEAST)
    assert (three.contributions, three.held_back) == (corrected(0, 1, 2), frozenset())


def test_a_member_that_changes_division_waits() -> None:
    before = {f"f{i}": Contribution(f"f{i}", "C34", Decimal(i), Decimal(1), False) for i in range(5)}
    moved = {m: Contribution(m, "C35", c.value, Decimal(1), False) for m, c in before.items()}
    counted = decide_counted(moved, before, {"": Shown.SHOWN, "C34": Shown.SHOWN}, least=LEAST)
    assert counted.contributions == before


@pytest.mark.parametrize(("key", "above"), [("C34", "C"), ("C", ""), ("", None)])
def test_the_tree_has_three_floors(key: str, above: str | None) -> None:
    assert parent_of(key) == above
