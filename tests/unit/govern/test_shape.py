"""Sensors that lie, on made-up machines: a mill cuts in phases, its temperature follows, one sensor fails."""

import numpy as np
import pytest

from gongshu.govern.quality.shape import (
    Floats,
    Moves,
    build_slices,
    drift_ratio,
    find_stuck,
    find_trend,
    is_counter,
)

NAMES = ("load", "speed", "vibration", "temperature")
SLICES = 240
BOUNDS = {"slices_min": 12, "together_ratio_min": 0.8}


def make_machine(seed: int) -> Floats:
    """Return series × slice: load, speed and vibration rest at zero between cuts, temperature follows the load."""
    random = np.random.default_rng(seed)
    cutting = np.repeat(random.random(SLICES // 6) < 0.7, 6)
    load = cutting * (40.0 + 10.0 * random.standard_normal(SLICES))
    heat, now = np.empty(SLICES), 25.0
    for at in range(SLICES):
        now += 0.1 * (25.0 + 0.5 * load[at] - now)
        heat[at] = now
    noise = random.standard_normal((3, SLICES)) * cutting
    return np.stack([load, cutting * 3000 + 5 * noise[0], cutting * 2 + 0.2 * noise[1], heat + 0.05 * noise[2]])


def moves_of(values: Floats) -> Moves:
    moved = np.diff(values, axis=1, prepend=values[:, :1]) != 0.0
    return Moves(NAMES, moved, values)


def test_a_machine_at_rest_is_not_stuck() -> None:
    runs, judged = find_stuck(moves_of(make_machine(1)), [moves_of(make_machine(2))], **BOUNDS)  # type: ignore[arg-type]
    assert runs == []
    assert {"load", "speed", "vibration"} <= set(judged)


@pytest.mark.parametrize("first", [0, 30, 120])
def test_a_stuck_sensor_is_found_from_where_it_stuck(first: int) -> None:
    values = make_machine(1)
    values[2, first:] = 2.345
    twins = [moves_of(make_machine(seed)) for seed in (2, 3)]
    runs, _ = find_stuck(moves_of(values), twins, **BOUNDS)  # type: ignore[arg-type]
    assert [run.name for run in runs] == ["vibration"]
    assert abs(runs[0].first - first) <= 6
    assert runs[0].end == SLICES


def test_a_sensor_stuck_all_along_with_nobody_to_compare_is_not_judged() -> None:
    values = make_machine(1)
    values[2] = 2.345
    runs, judged = find_stuck(moves_of(values), [], **BOUNDS)  # type: ignore[arg-type]
    assert runs == []
    assert "vibration" not in judged


def _ratio(own: Floats, twins: list[Floats]) -> float:
    mine = find_trend(own[3], own[:3])
    others = [find_trend(twin[3], twin[:3]) for twin in twins]
    assert mine is not None
    assert mine.steady or mine.over_span < 5.0
    return drift_ratio(mine, [other for other in others if other], spread_times=4.0, noise_times=5.0)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_drift_stands_out_from_the_twins_and_a_warm_machine_does_not(seed: int) -> None:
    own, twins = make_machine(seed), [make_machine(seed + 10), make_machine(seed + 20), make_machine(seed + 30)]
    assert _ratio(own, twins) < 1.0
    own[3] += np.linspace(0.0, 12.0, SLICES)
    assert _ratio(own, twins) > 1.0


def test_a_meter_that_only_grows_has_no_trend() -> None:
    meter = np.cumsum(np.ones(SLICES))
    assert is_counter(meter)
    assert find_trend(meter, make_machine(1)[:3]) is None


def test_nothing_to_explain_with_is_not_judged() -> None:
    assert find_trend(make_machine(1)[3], np.full((1, SLICES), 7.0)) is None
    assert find_trend(np.full(SLICES, np.nan), make_machine(1)[:3]) is None


def test_a_gap_carries_the_last_value_on_also_from_before() -> None:
    rows = {
        "series_id": np.array([7]),
        "slice": np.array([2]),
        "low": np.array([1.0]),
        "high": np.array([3.0]),
        "mean": np.array([2.0]),
        "last": np.array([3.0]),
    }
    slices = build_slices([7, 8], 4, rows, {7: 9.0, 8: 5.0})
    assert slices.last.tolist() == [[9.0, 9.0, 3.0, 3.0], [5.0, 5.0, 5.0, 5.0]]
    assert slices.mean.tolist()[0] == [9.0, 9.0, 2.0, 3.0]
    assert slices.moved.tolist() == [[False, False, True, False], [False] * 4]
