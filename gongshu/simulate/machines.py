"""Which machines the synthetic plant has, and the constants of each.

The constants are estimates by the project for medium-sized machining centres, chosen so that the curves look like a
real shop floor's and so that one minute at `--speed 30` holds cycles, rejects, tool changes, set-ups and stops. None
comes from a data sheet.
"""

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """The codes of the machines' `state_code`."""

    OFF_SHIFT = 1
    BREAK = 2
    PRODUCING = 3
    SETUP = 4
    STOPPED = 5
    TOOL_CHANGE = 6
    WAITING = 7

    @property
    def title(self) -> str:
        """Chinese and English, as the OPC UA server shows it."""
        return _STATE_TITLES[self]


_STATE_TITLES = {
    State.OFF_SHIFT: "班外 off shift",
    State.BREAK: "计划休息 planned break",
    State.PRODUCING: "加工 producing",
    State.SETUP: "换型调整 set-up",
    State.STOPPED: "故障停机 stopped",
    State.TOOL_CHANGE: "换刀 tool change",
    State.WAITING: "等料 waiting for material",
}


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a machine that should run does not."""

    code: str
    title: str
    share_ratio: float
    """How often it is the reason of an unplanned stop; the shares of `STOP_REASONS` add up to 1."""
    duration_s: float
    """Mean length, in process time."""


STOP_REASONS = (
    StopReason("E11", "断刀 tool breakage", 0.20, 150.0),
    StopReason("E12", "排屑堵塞 chip jam", 0.35, 60.0),
    StopReason("E21", "主轴过载 spindle overload", 0.15, 90.0),
    StopReason("E31", "冷却液低 coolant low", 0.20, 80.0),
    StopReason("E41", "夹具松动 fixture loose", 0.10, 120.0),
)
TOOL_CHANGE_REASON = "P01"
SETUP_REASON = "P02"
WAITING_REASON = "D01"
"""Reason codes of the states that have one reason each; all reasons are strings, empty while producing."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a machining programme."""

    until_ratio: float
    """Share of the cycle at which it ends."""
    engagement: float
    """How deep the tool is in the work, 0..1."""
    feed_mm_min: float
    spindle_rpm: float


@dataclass(frozen=True, slots=True)
class Program:
    """A machining programme."""

    name: str
    ideal_cycle_s: float
    hardness: float
    """Cutting force relative to free-cutting steel."""
    batch_parts: int
    """Parts made before the next programme is set up."""
    phases: tuple[Phase, ...]


def _phases(feed_mm_min: float, spindle_rpm: float) -> tuple[Phase, ...]:
    return (
        Phase(0.10, 0.0, 0.0, 0.0),
        Phase(0.50, 1.0, feed_mm_min, spindle_rpm),
        Phase(0.75, 0.6, 0.8 * feed_mm_min, 1.1 * spindle_rpm),
        Phase(0.92, 0.25, 0.5 * feed_mm_min, 1.3 * spindle_rpm),
        Phase(1.00, 0.0, 0.0, 0.0),
    )


PROGRAMS = (
    Program("O1001-synthetic-housing", 60.0, 1.00, 24, _phases(900.0, 6000.0)),
    Program("O1002-synthetic-flange", 45.0, 0.85, 30, _phases(1100.0, 7200.0)),
    Program("O2001-synthetic-shaft", 75.0, 1.15, 18, _phases(300.0, 2200.0)),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine tool and what sets it apart from its neighbours."""

    name: str
    line: str
    title: str
    programs: tuple[int, ...]
    """Indices into `PROGRAMS`, worked off in turn."""
    tool_life_parts: float
    stops_per_hour: float
    """Unplanned stops per hour of production at medium wear."""
    reject_ratio_new: float
    reject_ratio_worn: float
    power_idle_kw: float
    power_cut_kw: float
    break_offset_s: float
    """Where in the break rhythm of its line it stands when the plant starts."""


PLANT = "synthetic-plant-67"
PLANT_TITLE = "合成机加工厂 synthetic machining plant"
LINES = {"line-1": "铣削线 milling line (synthetic)", "line-2": "车铣线 turning line (synthetic)"}
UTILITIES = "utilities"
COMPRESSOR = "compressor-01"
METER = "meter-01"

BREAK_EVERY_S = 3000.0
BREAK_LENGTH_S = 240.0
SHIFT_LENGTH_S = 8 * 3600.0
SHIFTS_PER_DAY = 2
"""Two shifts of eight hours, then eight hours off; a four-minute break every fifty minutes, in process time."""

MACHINES = (
    Machine("mill-01", "line-1", "立式加工中心 1 (合成)", (0, 1), 26.0, 5.0, 0.010, 0.14, 1.4, 7.5, 2400.0),
    Machine("mill-02", "line-1", "立式加工中心 2 (合成)", (1, 0), 20.0, 8.0, 0.020, 0.20, 1.4, 7.5, 2400.0),
    Machine("mill-03", "line-2", "卧式加工中心 3 (合成)", (0,), 30.0, 4.0, 0.008, 0.10, 1.9, 11.0, 1200.0),
    Machine("lathe-01", "line-2", "数控车床 1 (合成)", (2,), 22.0, 6.0, 0.015, 0.16, 1.1, 6.0, 1200.0),
)
