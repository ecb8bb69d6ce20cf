"""The machines behave like machines."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongshu.simulate.machines import BREAK_EVERY_S, BREAK_LENGTH_S, MACHINES, State
from gongshu.simulate.physics import (
    AMBIENT_C,
    DRAWS,
    STEP_S,
    PlantState,
    build_shop,
    judge_calendar,
    start_state,
    step,
)

SHOP = build_shop()


def run(seed: int, steps: int, *, speed: float = 1.0, start: PlantState | None = None) -> Sequence[PlantState]:
    random = np.random.default_rng(seed)
    first = start_state(SHOP, random.random((3, len(MACHINES))))
    states = [start or first]
    for _ in range(steps):
        states.append(step(states[-1], SHOP, random.random((DRAWS, len(MACHINES))), speed=speed))
    return states


@cache
def hour() -> Sequence[PlantState]:
    return run(67, 7200)


def series(name: str, states: Sequence[PlantState] | None = None) -> np.ndarray:
    return np.stack([getattr(state, name) for state in states or hour()])


def test_the_same_seed_gives_the_same_history_and_another_seed_another() -> None:
    again, other = run(67, 400), run(68, 400)
    assert np.array_equal(series("load_percent", hour()[:401]), series("load_percent", again))
    assert not np.array_equal(series("load_percent", again), series("load_percent", other))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 600))
def test_every_state_is_physically_possible(seed: int, speed: float) -> None:
    for state in run(seed, 300, speed=speed):
        assert (state.load_percent >= 0).all()
        assert (state.load_percent < 150).all()
        assert (state.temperature_c > AMBIENT_C - 1).all()
        assert (state.temperature_c < 120).all()
        assert (state.vibration_mm_s >= 0).all()
        assert (state.wear >= 0).all()
        assert (state.rejects <= state.parts).all()
        assert set(state.state.tolist()) <= {int(s) for s in State}


def test_counts_and_energy_never_fall() -> None:
    for name in ("parts", "rejects", "energy_kwh"):
        assert (np.diff(series(name), axis=0) >= 0).all()


def test_no_cycle_is_shorter_than_its_ideal() -> None:
    for machine in range(len(MACHINES)):
        producing_s = float((series("state")[:, machine] == State.PRODUCING).sum() * STEP_S)
        made = int(hour()[-1].parts[machine] - hour()[0].parts[machine])
        shortest = min(SHOP.cycle_s[list(MACHINES[machine].programs)])
        assert made > 10
        assert (made - 1) * shortest <= producing_s


def test_spindle_load_follows_the_cut() -> None:
    load, rpm = series("load_percent")[600:], series("spindle_rpm")[600:]
    assert load[rpm > 1500].mean() > 4 * load[rpm < 20].mean()


def test_temperature_follows_load_with_a_lag() -> None:
    load, heat = series("load_percent")[:, 0], series("temperature_c")[:, 0]
    assert np.abs(np.diff(heat)).max() < 0.1, "the spindle's mass does not jump"
    assert np.abs(np.diff(load)).max() > 1.0
    smooth = np.convolve(load, np.ones(840) / 840, mode="valid")
    assert np.corrcoef(smooth, heat[839:])[0, 1] > 0.7


def test_vibration_grows_with_wear() -> None:
    calm = replace(hour()[0], wear=np.full(len(MACHINES), 0.1), progress=np.full(len(MACHINES), 0.2))
    worn = replace(calm, wear=np.full(len(MACHINES), 0.95))
    draws = np.full((DRAWS, len(MACHINES)), 0.5)
    for _ in range(5):
        calm, worn = step(calm, SHOP, draws, speed=1.0), step(worn, SHOP, draws, speed=1.0)
    assert (worn.vibration_mm_s > 1.5 * calm.vibration_mm_s).all()


def test_worn_tools_are_changed_and_reject_more() -> None:
    before, after = series("state")[:-1], series("state")[1:]
    ended = (before == State.TOOL_CHANGE) & (after == State.PRODUCING)
    assert ended.any()
    assert (series("wear")[1:][ended] < 0.1).all()
    draws = np.full((DRAWS, len(MACHINES)), 0.5)
    draws[0] = 0.05
    ending = replace(hour()[0], progress=np.full(len(MACHINES), 0.9999), batch_left=np.full(len(MACHINES), 9))
    fresh = step(replace(ending, wear=np.zeros(len(MACHINES))), SHOP, draws, speed=1.0)
    worn = step(replace(ending, wear=np.full(len(MACHINES), 0.99)), SHOP, draws, speed=1.0)
    assert fresh.rejects.sum() == 0
    assert (worn.rejects == 1).all()


def test_a_break_is_planned_and_a_wait_goes_on_after_it() -> None:
    at = BREAK_EVERY_S - BREAK_LENGTH_S - MACHINES[0].break_offset_s - 1.0
    stopped = replace(
        hour()[0],
        time_s=at,
        state=np.full(len(MACHINES), State.TOOL_CHANGE),
        held=np.full(len(MACHINES), State.TOOL_CHANGE),
        wait_s=np.full(len(MACHINES), 30.0),
    )
    states = run(1, int((BREAK_LENGTH_S + 60.0) / STEP_S), start=stopped)
    mine = series("state", states)[:, 0].tolist()
    assert mine[1] == State.TOOL_CHANGE
    assert mine[4] == State.BREAK
    after = next(s for s in mine[4:] if s != State.BREAK)
    assert after == State.TOOL_CHANGE
    assert not series("planned", states)[4, 0]
    assert series("planned", states)[-1, 0]


def test_two_shifts_a_day() -> None:
    offsets = np.zeros(1)
    hours = [judge_calendar(h * 3600.0 + 1.0, offsets)[0][0] for h in range(24)]
    assert hours == [True] * 16 + [False] * 8


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_energy_agrees_with_power_over_wall_time(speed: float) -> None:
    states = run(3, 500, speed=speed)
    expected = series("power_kw", states)[1:].sum(axis=0) * STEP_S / speed / 3600.0
    assert np.allclose(states[-1].energy_kwh, expected)
