"""What the machines show on OPC UA: names, types, units, ranges."""

from dataclasses import dataclass
from enum import StrEnum

from gongshu.simulate.machines import MACHINES, Machine


class TagType(StrEnum):
    """OPC UA built-in types that the plant uses."""

    DOUBLE = "Double"
    INT32 = "Int32"
    INT64 = "Int64"
    BOOLEAN = "Boolean"
    STRING = "String"


@dataclass(frozen=True, slots=True)
class Unit:
    """An engineering unit as OPC UA writes it. Source: OPC 10000-8 §5.6.4.3; UNECE Recommendation 20."""

    unece: str
    display: str
    description: str

    @property
    def unit_id(self) -> int:
        """The UNECE code's characters as one big-endian number.

        >>> CELSIUS.unit_id
        4408652
        """
        return int.from_bytes(self.unece.encode("ascii"), "big")


PERCENT = Unit("P1", "%", "percent")
RPM = Unit("RPM", "r/min", "revolutions per minute")
MM_PER_MIN = Unit("H81", "mm/min", "millimetre per minute")
CELSIUS = Unit("CEL", "°C", "degree Celsius")
MM_PER_S = Unit("C16", "mm/s", "millimetre per second")
KILOWATT = Unit("KWT", "kW", "kilowatt")
KILOWATT_HOUR = Unit("KWH", "kWh", "kilowatt hour")
SECOND = Unit("SEC", "s", "second")


@dataclass(frozen=True, slots=True)
class Tag:
    """One variable of one machine."""

    machine: Machine
    name: str
    type: TagType
    title: str
    unit: Unit | None = None
    low: float = 0.0
    high: float = 0.0
    """Engineering range; both 0 where the variable has none."""
    writable: bool = False

    @property
    def path(self) -> str:
        """`line-1/mill-01/spindle_load`: also the string identifier of its node."""
        return f"{self.machine.line}/{self.machine.name}/{self.name}"


_ANALOG = (
    ("spindle_load", "主轴负载 spindle load", PERCENT, 0.0, 150.0),
    ("spindle_speed", "主轴转速 spindle speed", RPM, 0.0, 12_000.0),
    ("feed_rate", "进给速度 feed rate", MM_PER_MIN, 0.0, 5_000.0),
    ("spindle_temperature", "主轴温度 spindle temperature", CELSIUS, 0.0, 120.0),
    ("vibration", "振动速度有效值 vibration velocity, RMS", MM_PER_S, 0.0, 20.0),
    ("tool_wear", "刀具磨损 tool wear", PERCENT, 0.0, 150.0),
    ("coolant_level", "冷却液液位 coolant level", PERCENT, 0.0, 100.0),
    ("power", "有功功率 active power", KILOWATT, 0.0, 30.0),
    ("energy", "有功电能 active energy", KILOWATT_HOUR, 0.0, 1e9),
)
_DISCRETE = (
    ("state_code", TagType.INT32, "设备状态 machine state", None),
    ("planned_busy", TagType.BOOLEAN, "计划忙碌 planned to be busy", None),
    ("stop_reason", TagType.STRING, "停机原因 stop reason", None),
    ("program", TagType.STRING, "加工程序 programme", None),
    ("part_count", TagType.INT64, "加工件数 parts made", None),
    ("reject_count", TagType.INT64, "不合格件数 rejected parts", None),
    ("ideal_cycle", TagType.DOUBLE, "理想节拍 planned run time per item", SECOND),
)
ANALOG_NAMES = tuple(row[0] for row in _ANALOG)
DISCRETE_NAMES = tuple(row[0] for row in _DISCRETE)


def machine_tags(machine: Machine) -> tuple[Tag, ...]:
    """Return the variables of one machine: those that flow first, then those that change by event, then a set-point."""
    return (
        *(Tag(machine, name, TagType.DOUBLE, title, unit, low, high) for name, title, unit, low, high in _ANALOG),
        *(Tag(machine, name, type_, title, unit) for name, type_, title, unit in _DISCRETE),
        Tag(machine, "feed_override", TagType.INT32, "进给倍率设定 feed override", PERCENT, 0.0, 120.0, writable=True),
    )


ALL_TAGS = tuple(tag for machine in MACHINES for tag in machine_tags(machine))
