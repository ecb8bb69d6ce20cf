"""What the transmitters report of the machines: noise, resolution, and the three faults whose truth is recorded.

Pure: the condition in, the reported values out.
"""

from dataclasses import dataclass

import numpy as np

from gongshu.simulate.machines import (
    MACHINES,
    PROGRAMS,
    SETUP_REASON,
    STOP_REASONS,
    TOOL_CHANGE_REASON,
    WAITING_REASON,
    State,
)
from gongshu.simulate.physics import Floats, PlantState, Shop
from gongshu.simulate.tags import ANALOG_NAMES

NOISE = np.array([0.4, 6.0, 3.0, 0.08, 0.0, 0.0, 0.15, 0.03, 0.0])
RESOLUTION = np.array([0.1, 1.0, 1.0, 0.01, 0.001, 0.1, 0.1, 0.01, 0.00001])
"""One sigma and the smallest step of each transmitter, in the order of `ANALOG_NAMES`."""

BAD_SENSOR_FAILURE = 0x808C0000
"""OPC 10000-6 StatusCode.csv."""


@dataclass(frozen=True, slots=True)
class SensorFault:
    """A transmitter that lies, and how: the ground truth for whoever wants to find it."""

    machine: str
    tag: str
    kind: str
    """`drift`, `stuck` (both reported as good) or `dropout` (reported as bad)."""
    from_s: float
    """Process time at which it begins."""
    size: float = 0.0
    """`drift`: units per process minute; `dropout`: share of the time without a value."""


FAULTS = (
    SensorFault("mill-02", "spindle_temperature", "drift", 0.0, 0.2),
    SensorFault("mill-03", "vibration", "stuck", 240.0),
    SensorFault("lathe-01", "coolant_level", "dropout", 0.0, 0.12),
)
DROPOUT_EVERY_S = 150.0

_MACHINE_ROW = {machine.name: row for row, machine in enumerate(MACHINES)}
_ANALOG_ROW = {name: row for row, name in enumerate(ANALOG_NAMES)}


@dataclass(frozen=True, slots=True)
class Analog:
    """All flowing values at one moment."""

    values: Floats
    """Analog name × machine."""
    bad: np.ndarray
    """True where the transmitter reports a failure; the value there means nothing."""


def report_analog(now: PlantState, noise: Floats, before: Analog | None) -> Analog:
    """Return what the transmitters say; `before` is their last report, which a stuck one repeats.

    Shape: `noise` is (len(ANALOG_NAMES), machines), standard normal.
    """
    coolant = 92.0 - 30.0 * ((now.time_s / 5400.0 + np.arange(len(now.state)) * 0.23) % 1.0)
    true = np.stack(
        (
            now.load_percent,
            now.spindle_rpm,
            now.feed_mm_min,
            now.temperature_c,
            now.vibration_mm_s,
            100.0 * now.wear,
            coolant,
            now.power_kw,
            now.energy_kwh,
        )
    )
    moving = true > 0.0
    values = np.maximum(true + NOISE[:, None] * noise * moving, 0.0)
    values = np.round(values / RESOLUTION[:, None]) * RESOLUTION[:, None]
    bad = np.zeros(values.shape, np.bool_)
    for fault in FAULTS:
        cell = _ANALOG_ROW[fault.tag], _MACHINE_ROW[fault.machine]
        if now.time_s < fault.from_s:
            continue
        if fault.kind == "drift":
            values[cell] += fault.size * (now.time_s - fault.from_s) / 60.0
        elif fault.kind == "stuck" and before is not None:
            values[cell] = before.values[cell]
        elif fault.kind == "dropout":
            bad[cell] = (now.time_s % DROPOUT_EVERY_S) < fault.size * DROPOUT_EVERY_S
    return Analog(values, bad)


@dataclass(frozen=True, slots=True)
class Discrete:
    """All values that change by event at one moment, one tuple element a machine."""

    state_code: tuple[int, ...]
    planned_busy: tuple[bool, ...]
    stop_reason: tuple[str, ...]
    program: tuple[str, ...]
    part_count: tuple[int, ...]
    reject_count: tuple[int, ...]
    ideal_cycle: tuple[float, ...]


def report_discrete(now: PlantState, shop: Shop, *, speed: float) -> Discrete:
    """Return what the controllers say of state, order and count.

    Units: `ideal_cycle` is in wall seconds, so that it agrees with the wall clock of the readings at any speed.
    """
    program = shop.programs[np.arange(len(now.state)), now.turn % shop.programs.shape[1]].tolist()
    states = now.state.tolist()
    return Discrete(
        state_code=tuple(states),
        planned_busy=tuple(now.planned.tolist()),
        stop_reason=tuple(name_reason(s, r) for s, r in zip(states, now.reason.tolist(), strict=True)),
        program=tuple(PROGRAMS[p].name for p in program),
        part_count=tuple(now.parts.tolist()),
        reject_count=tuple(now.rejects.tolist()),
        ideal_cycle=tuple(PROGRAMS[p].ideal_cycle_s / speed for p in program),
    )


def name_reason(state: int, reason: int) -> str:
    """Return the reason code that goes with a state; empty while nothing is the matter.

    >>> name_reason(State.STOPPED, 2), name_reason(State.PRODUCING, 0)
    ('E12', '')
    """
    if state == State.STOPPED:
        return STOP_REASONS[reason - 1].code
    known = {State.TOOL_CHANGE: TOOL_CHANGE_REASON, State.SETUP: SETUP_REASON, State.WAITING: WAITING_REASON}
    return known.get(State(state), "")


def fault_rows(faults: tuple[SensorFault, ...] = FAULTS) -> list[dict[str, object]]:
    """Return the faults as plain rows for the ground-truth file."""
    return [{"machine": f.machine, "tag": f.tag, "fault": f.kind, "from_s": f.from_s, "size": f.size} for f in faults]
