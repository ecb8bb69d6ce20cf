"""The register maps of the compressor and the energy meter, and how values become registers.

The two differ in word order and scaling on purpose, as devices from two makers do.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gongshu.simulate.machines import COMPRESSOR, METER
from gongshu.simulate.utilities import POWER_FACTOR, VOLTAGE_V, UtilityState

COMPRESSOR_UNIT = 1
METER_UNIT = 2


class Kind(StrEnum):
    """How a value lies in its registers; all big-endian inside a register."""

    FLOAT32 = "float32"
    INT16 = "int16"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"


class Area(StrEnum):
    """Where a value lies. Source: MODBUS Application Protocol V1.1b3 §4.3."""

    INPUT = "input"
    HOLDING = "holding"
    COIL = "coil"
    DISCRETE = "discrete"


@dataclass(frozen=True, slots=True)
class Register:
    """One line of a register map."""

    name: str
    unit_id: int
    area: Area
    address: int
    """From 0, as on the wire."""
    kind: Kind
    read: Callable[[UtilityState], float]
    unit: str = ""
    """UCUM."""
    scale: float = 1.0
    """Engineering value = register value × scale."""
    title: str = ""
    low_word_first: bool = False

    @property
    def device(self) -> str:
        """The machine's name."""
        return COMPRESSOR if self.unit_id == COMPRESSOR_UNIT else METER

    @property
    def count(self) -> int:
        """Registers (or bits) that it takes."""
        return {Kind.FLOAT32: 2, Kind.UINT32: 2, Kind.UINT64: 4}.get(self.kind, 1)


def _line_current(now: UtilityState) -> float:
    return now.total_kw * 1000.0 / (3 * VOLTAGE_V * POWER_FACTOR)


def _compressor(
    name: str, address: int, kind: Kind, read: Callable[[UtilityState], float], unit: str, title: str
) -> Register:
    return Register(name, COMPRESSOR_UNIT, Area.INPUT, address, kind, read, unit, 1.0, title)


REGISTERS = (
    _compressor("pressure", 0, Kind.FLOAT32, lambda s: s.pressure_bar, "bar", "管网压力 net pressure"),
    _compressor("flow", 2, Kind.FLOAT32, lambda s: s.flow_m3_min * 60.0, "m3/h", "用气量 air flow"),
    _compressor("power", 4, Kind.FLOAT32, lambda s: s.compressor_kw, "kW", "有功功率 active power"),
    _compressor(
        "discharge_temperature", 6, Kind.FLOAT32, lambda s: s.discharge_c, "Cel", "排气温度 discharge temperature"
    ),
    Register(
        "run_hours",
        COMPRESSOR_UNIT,
        Area.INPUT,
        8,
        Kind.UINT32,
        lambda s: s.run_s / 3600.0,
        "h",
        0.1,
        "运行小时 run hours",
    ),
    Register(
        "pressure_set_point",
        COMPRESSOR_UNIT,
        Area.HOLDING,
        0,
        Kind.UINT16,
        lambda _: 7.6,
        "bar",
        0.01,
        "压力设定 pressure set point",
    ),
    Register("loaded", COMPRESSOR_UNIT, Area.DISCRETE, 0, Kind.BOOL, lambda s: s.loaded, "", 1.0, "加载 loaded"),
    Register("running", COMPRESSOR_UNIT, Area.COIL, 0, Kind.BOOL, lambda _: True, "", 1.0, "运行 running"),
    Register(
        "power",
        METER_UNIT,
        Area.HOLDING,
        100,
        Kind.FLOAT32,
        lambda s: s.total_kw,
        "kW",
        1.0,
        "总有功功率 total active power",
        True,
    ),
    Register(
        "current", METER_UNIT, Area.HOLDING, 102, Kind.FLOAT32, _line_current, "A", 1.0, "线电流 line current", True
    ),
    Register(
        "voltage",
        METER_UNIT,
        Area.HOLDING,
        104,
        Kind.UINT16,
        lambda s: VOLTAGE_V - 0.01 * s.total_kw,
        "V",
        0.1,
        "相电压 phase voltage",
    ),
    Register(
        "frequency",
        METER_UNIT,
        Area.HOLDING,
        105,
        Kind.UINT16,
        lambda s: 50.0 + 0.0004 * (30.0 - s.total_kw),
        "Hz",
        0.01,
        "频率 frequency",
    ),
    Register(
        "ambient_temperature",
        METER_UNIT,
        Area.HOLDING,
        106,
        Kind.INT16,
        lambda _: 21.5,
        "Cel",
        0.1,
        "柜内温度 cabinet temperature",
    ),
    Register(
        "energy", METER_UNIT, Area.HOLDING, 110, Kind.UINT64, lambda s: s.energy_wh, "W.h", 1.0, "累计电能 energy", True
    ),
)


def encode_register(value: float, kind: Kind, *, scale: float, low_word_first: bool) -> list[int]:
    """Return the registers that hold an engineering value; a scaled whole number is cut to its nearest step.

    >>> encode_register(230.1, Kind.UINT16, scale=0.1, low_word_first=False)
    [2301]
    """
    if kind is Kind.BOOL:
        return [int(bool(value))]
    if kind is Kind.FLOAT32:
        packed = struct.pack(">f", value / scale)
    else:
        letter = {Kind.INT16: "h", Kind.UINT16: "H", Kind.UINT32: "I", Kind.UINT64: "Q"}[kind]
        packed = struct.pack(f">{letter}", round(value / scale))
    words = list(struct.unpack(f">{len(packed) // 2}H", packed))
    return words[::-1] if low_word_first else words
