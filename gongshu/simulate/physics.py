"""How the machines move through time: one pure step for all of them at once.

Spindle load follows the cut (engagement, feed, hardness, wear), temperature follows load with a lag, vibration grows
with wear, worn tools are changed and make rejects and stops likelier. Time here is process time: the process runs
`speed` times faster than the wall clock, and only `energy_kwh` is counted in wall time, so that a meter agrees with
its own power. No clock, no randomness of its own: `draws` are numbers in 0..1 that the caller made.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gongshu.simulate.machines import (
    BREAK_EVERY_S,
    BREAK_LENGTH_S,
    MACHINES,
    PROGRAMS,
    SHIFT_LENGTH_S,
    SHIFTS_PER_DAY,
    STOP_REASONS,
    Machine,
    State,
)

STEP_S = 0.5
"""Length of one step in process time: a hundredth of the shortest cycle."""
DRAWS = 8
"""Rows of random numbers that one step uses."""

AMBIENT_C = 22.0
THERMAL_LAG_S = 420.0
LOAD_LAG_S = 1.5
SPINDLE_LAG_S = 2.0
TOOL_CHANGE_S = 45.0
SETUP_S = 180.0
WAITING_S = 40.0
WAITING_PROBABILITY = 0.06
MEAN_ENGAGEMENT = 0.59
"""Of the tool over one whole cycle of the phases in `machines`."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shop:
    """The constants of all machines, one array element each; phases are padded to a common shape."""

    cycle_s: Floats
    """Programme × 1: ideal cycle."""
    hardness: Floats
    batch_parts: Ints
    phase_until: Floats
    """Programme × phase."""
    phase_engagement: Floats
    phase_feed: Floats
    phase_rpm: Floats
    programs: Ints
    """Machine × turn: programme index; shorter lists repeat."""
    tool_life_parts: Floats
    stops_per_s: Floats
    reject_new: Floats
    reject_worn: Floats
    power_idle_kw: Floats
    power_cut_kw: Floats
    break_offset_s: Floats


@dataclass(frozen=True, slots=True)
class PlantState:
    """Everything that changes, one array element a machine."""

    time_s: float
    state: Ints
    held: Ints
    """The state that a break or the end of a shift interrupted."""
    reason: Ints
    """0 none, 1.. an index into STOP_REASONS plus one, for a machine that is STOPPED."""
    wait_s: Floats
    """Process time left in a set-up, stop, tool change or wait."""
    turn: Ints
    batch_left: Ints
    progress: Floats
    """0..1 through the cycle."""
    pace: Floats
    """Speed of this cycle relative to the ideal, at most 1."""
    wear: Floats
    parts: Ints
    rejects: Ints
    load_percent: Floats
    spindle_rpm: Floats
    feed_mm_min: Floats
    temperature_c: Floats
    vibration_mm_s: Floats
    power_kw: Floats
    energy_kwh: Floats
    planned: NDArray[np.bool_]


def build_shop(machines: tuple[Machine, ...] = MACHINES) -> Shop:
    """Return the machines' constants as arrays."""
    turns = max(len(m.programs) for m in machines)
    programs = [[m.programs[i % len(m.programs)] for i in range(turns)] for m in machines]
    floats = np.float64
    return Shop(
        cycle_s=np.array([p.ideal_cycle_s for p in PROGRAMS], floats),
        hardness=np.array([p.hardness for p in PROGRAMS], floats),
        batch_parts=np.array([p.batch_parts for p in PROGRAMS], np.int64),
        phase_until=np.array([[f.until_ratio for f in p.phases] for p in PROGRAMS], floats),
        phase_engagement=np.array([[f.engagement for f in p.phases] for p in PROGRAMS], floats),
        phase_feed=np.array([[f.feed_mm_min for f in p.phases] for p in PROGRAMS], floats),
        phase_rpm=np.array([[f.spindle_rpm for f in p.phases] for p in PROGRAMS], floats),
        programs=np.array(programs, np.int64),
        tool_life_parts=np.array([m.tool_life_parts for m in machines], floats),
        stops_per_s=np.array([m.stops_per_hour / 3600.0 for m in machines], floats),
        reject_new=np.array([m.reject_ratio_new for m in machines], floats),
        reject_worn=np.array([m.reject_ratio_worn for m in machines], floats),
        power_idle_kw=np.array([m.power_idle_kw for m in machines], floats),
        power_cut_kw=np.array([m.power_cut_kw for m in machines], floats),
        break_offset_s=np.array([m.break_offset_s for m in machines], floats),
    )


def start_state(shop: Shop, draws: Floats) -> PlantState:
    """Return a plant in the middle of a shift: machines producing, tools worn to different degrees.

    Shape: `draws` is (3, machines), each 0..1.
    """
    count = len(shop.tool_life_parts)
    zeros = np.zeros(count)
    program = shop.programs[:, 0]
    return PlantState(
        time_s=0.0,
        state=np.full(count, State.PRODUCING, np.int64),
        held=np.full(count, State.PRODUCING, np.int64),
        reason=np.zeros(count, np.int64),
        wait_s=zeros,
        turn=np.zeros(count, np.int64),
        batch_left=1 + (draws[0] * (shop.batch_parts[program] - 1)).astype(np.int64),
        progress=0.9 * draws[1],
        pace=np.full(count, 0.95),
        wear=0.2 + 0.7 * draws[2],
        parts=np.zeros(count, np.int64),
        rejects=np.zeros(count, np.int64),
        load_percent=np.full(count, 6.0),
        spindle_rpm=zeros,
        feed_mm_min=zeros,
        temperature_c=np.full(count, AMBIENT_C + 14.0),
        vibration_mm_s=np.full(count, 0.8),
        power_kw=shop.power_idle_kw.copy(),
        energy_kwh=zeros,
        planned=np.ones(count, np.bool_),
    )


def step(state: PlantState, shop: Shop, draws: Floats, *, speed: float) -> PlantState:
    """Return the plant STEP_S of process time later.

    Shape: `draws` is (DRAWS, machines), each 0..1. The same state and draws always give the same result.
    Units: `speed` is process seconds per wall second; it touches energy alone.
    """
    time_s = state.time_s + STEP_S
    shift, pause = judge_calendar(time_s, shop.break_offset_s)
    after = _settle(state, shop, draws, time_s=time_s, shift=shift, pause=pause)
    return _signals(after, shop, draws, speed=speed)


def judge_calendar(time_s: float, offset_s: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, for each machine, whether a shift is on and whether it is in a planned break."""
    day_s = time_s % (24 * 3600.0)
    shift = np.full(offset_s.shape, day_s < SHIFTS_PER_DAY * SHIFT_LENGTH_S)
    pause = ((time_s + offset_s) % BREAK_EVERY_S) >= BREAK_EVERY_S - BREAK_LENGTH_S
    return shift, pause


def _settle(
    old: PlantState,
    shop: Shop,
    draws: Floats,
    *,
    time_s: float,
    shift: NDArray[np.bool_],
    pause: NDArray[np.bool_],
) -> PlantState:
    """The logic of a machine: what ended, what the cut did, what begins."""
    planned = shift & ~pause
    resumed = planned & np.isin(old.state, (State.OFF_SHIFT, State.BREAK))
    held = np.where(np.isin(old.state, (State.OFF_SHIFT, State.BREAK)), old.held, old.state)
    idle = planned & ~resumed & (old.state != State.PRODUCING)
    wait_s = np.where(idle, np.maximum(old.wait_s - STEP_S, 0.0), old.wait_s)
    over = idle & (wait_s == 0.0)
    fresh = over & ((old.state == State.TOOL_CHANGE) | (old.reason == 1))  # reason 1: the broken tool is replaced
    ready = replace(
        old,
        time_s=time_s,
        state=np.where(over, State.PRODUCING, np.where(planned, held, old.state)),
        wait_s=wait_s,
        wear=np.where(fresh, 0.0, old.wear),
        reason=np.where(over, 0, old.reason),
        planned=planned,
        held=held,
    )
    cut = _cut(ready, shop, draws, running=planned & (old.state == State.PRODUCING))
    stopped = np.where(~shift, State.OFF_SHIFT, np.where(pause, State.BREAK, cut.state))
    return replace(cut, state=stopped.astype(np.int64))


def _cut(now: PlantState, shop: Shop, draws: Floats, *, running: NDArray[np.bool_]) -> PlantState:
    """One step of cutting for the machines that run: progress, wear, the count, and why they stop."""
    rows, turns = np.arange(len(now.state)), shop.programs.shape[1]
    program = shop.programs[rows, now.turn % turns]
    progress = now.progress + np.where(running, STEP_S * now.pace / shop.cycle_s[program], 0.0)
    done = progress >= 1.0
    engagement = _phase(shop.phase_engagement, shop.phase_until, program, progress)
    life_s = shop.tool_life_parts * shop.cycle_s[program] * MEAN_ENGAGEMENT
    wear = now.wear + np.where(running, STEP_S * engagement * (0.7 + 0.6 * now.wear) / life_s, 0.0)
    reject_p = shop.reject_new + (shop.reject_worn - shop.reject_new) * np.clip(wear, 0.0, 1.2) ** 3
    batch_left = now.batch_left - done
    broke = running & ~done & (draws[2] < shop.stops_per_s * STEP_S * (0.5 + wear))
    cause = np.searchsorted(np.cumsum([r.share_ratio for r in STOP_REASONS])[:-1], draws[3], side="right")
    setup = done & (batch_left <= 0)
    change = done & ~setup & (wear >= 1.0)
    starved = done & ~setup & ~change & (draws[5] < WAITING_PROBABILITY)
    state, wait_s = now.state, now.wait_s
    for mask, to, length_s in (
        (broke, State.STOPPED, np.array([r.duration_s for r in STOP_REASONS])[cause]),
        (setup, State.SETUP, np.full(len(rows), SETUP_S)),
        (change, State.TOOL_CHANGE, np.full(len(rows), TOOL_CHANGE_S)),
        (starved, State.WAITING, np.full(len(rows), WAITING_S)),
    ):
        state = np.where(mask, to, state)
        wait_s = np.where(mask, length_s * (0.5 + draws[4]), wait_s)
    turn = now.turn + setup
    return replace(
        now,
        state=state,
        wait_s=wait_s,
        reason=np.where(broke, cause + 1, now.reason),
        turn=turn,
        batch_left=np.where(setup, shop.batch_parts[shop.programs[rows, turn % turns]], batch_left),
        progress=np.where(done, 0.0, progress),
        pace=np.where(done, np.clip(0.99 - 0.10 * draws[1] - 0.05 * wear, 0.5, 1.0), now.pace),
        wear=np.where(setup, 0.3 * wear, wear),  # a set-up brings mostly fresh tools
        parts=now.parts + done,
        rejects=now.rejects + (done & (draws[0] < reject_p)),
    )


def _signals(now: PlantState, shop: Shop, draws: Floats, *, speed: float) -> PlantState:
    """The physics: what the sensors would see of a machine in this condition."""
    rows = np.arange(len(now.state))
    program = shop.programs[rows, now.turn % shop.programs.shape[1]]
    running = now.state == State.PRODUCING
    off = now.state == State.OFF_SHIFT
    engagement = np.where(running, _phase(shop.phase_engagement, shop.phase_until, program, now.progress), 0.0)
    feed = np.where(running, _phase(shop.phase_feed, shop.phase_until, program, now.progress), 0.0) * now.pace
    target_rpm = np.where(running, _phase(shop.phase_rpm, shop.phase_until, program, now.progress), 0.0)
    rpm = now.spindle_rpm + (target_rpm - now.spindle_rpm) * _lag(SPINDLE_LAG_S)
    cut = 72.0 * engagement * now.pace * shop.hardness[program] * (0.85 + 0.35 * now.wear)
    target_load = np.where(off, 0.0, 5.0 * (rpm > 50.0) + cut * (1.0 + 0.06 * (draws[6] - 0.5)))
    load = now.load_percent + (target_load - now.load_percent) * _lag(LOAD_LAG_S)
    target_c = AMBIENT_C + 0.42 * load + 0.0012 * rpm
    heat = now.temperature_c + (target_c - now.temperature_c) * _lag(THERMAL_LAG_S)
    shake = 0.05 + 0.55 * (rpm > 50.0) + engagement * (0.6 + 2.4 * now.wear**2) * shop.hardness[program]
    vibration = shake * (1.0 + 0.15 * (draws[7] - 0.5))
    power = np.where(off, 0.15, shop.power_idle_kw + shop.power_cut_kw * load / 100.0)
    return replace(
        now,
        load_percent=load,
        spindle_rpm=rpm,
        feed_mm_min=feed,
        temperature_c=heat,
        vibration_mm_s=vibration,
        power_kw=power,
        energy_kwh=now.energy_kwh + power * STEP_S / speed / 3600.0,
    )


def _phase(values: Floats, until: Floats, program: Ints, progress: Floats) -> Floats:
    """The value of the phase in which each machine's cycle is."""
    phase = (np.minimum(progress, 0.999999)[:, None] >= until[program]).sum(axis=1)
    picked: Floats = values[program, phase]
    return picked


def _lag(constant_s: float) -> float:
    """The share of the way to its target that a first-order lag covers in one step."""
    return float(1.0 - np.exp(-STEP_S / constant_s))
