"""What the owner of a Modbus device tells us: where it is, and its register map."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from gongshu.gather.connector import ConnectorConfig, setting
from gongshu.gather.connectors.modbus.registers import WORDS, ByteOrder, RegisterType, WordOrder
from gongshu.model.reading import ValueType

ADDRESS_MAX = 65_535
REGISTERS_MAX = 125
"""Most registers in one answer. Source: MODBUS Application Protocol V1.1b3 §6.3."""
BITS_MAX = 2_000
"""Most coils or discrete inputs in one answer. Source: the same, §6.1."""


class Space(StrEnum):
    """The four tables of a device. Source: MODBUS Application Protocol V1.1b3 §4.3."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def is_bits(self) -> bool:
        """True where one address is one bit."""
        return self in (Space.COIL, Space.DISCRETE)


class ModbusTag(BaseModel):
    """One value of the register map."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = setting(zh="名称", en="Short name of the value", example="spindle_load", min_length=1, max_length=200)
    space: Space = setting(Space.HOLDING, zh="数据区", en="coil, discrete, input or holding", example="holding")
    address: int = setting(
        zh="地址",
        en="Address on the wire, from 0: 40001 of a manual is 0",
        example=40,
        ge=0,
        le=ADDRESS_MAX,
    )
    type: RegisterType = setting(
        RegisterType.UINT16, zh="数据类型", en="How the registers are read; bits are always bool", example="float32"
    )
    bit: int | None = setting(
        None, zh="位", en="Bit of a register that is a bool, 0 the lowest", example=3, ge=0, le=15
    )
    words: int | None = setting(
        None, zh="寄存器数", en="Registers of a string", unit="registers", example=8, ge=1, le=REGISTERS_MAX
    )
    word_order: WordOrder = setting(
        WordOrder.HIGH_FIRST, zh="字序", en="Which register of a longer number comes first", example="high_first"
    )
    byte_order: ByteOrder = setting(
        ByteOrder.HIGH_FIRST, zh="字节序", en="Which byte of a register comes first", example="high_first"
    )
    encoding: str = setting("ascii", zh="字符编码", en="Encoding of a string", example="gb18030")
    scale: float = setting(1.0, zh="比例", en="The value is raw x scale + offset", example=0.1)
    offset: float = setting(0.0, zh="偏移", en="The value is raw x scale + offset", example=-40.0)
    unit: str = setting("", zh="单位", en="Unit of the scaled value, UCUM where there is one", example="Cel")
    deadband: float | None = setting(
        None,
        zh="死区",
        en="Deliver only larger changes; 0: every change; none: every poll",
        example=0.5,
        ge=0,
    )
    interval_s: float | None = setting(
        None, zh="采集周期", en="Own poll interval; none: that of the source", unit="s", example=1.0, ge=0.01, le=86_400
    )
    unit_id: int | None = setting(
        None, zh="从站号", en="Own unit id behind a gateway; none: that of the source", example=2, ge=0, le=255
    )
    asset: str = setting("", zh="资产", en="Place below the source's asset", example="spindle")
    title: str = setting("", zh="显示名", en="Name as people read it", example="主轴负载")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.space.is_bits and "type" in self.model_fields_set and self.type is not RegisterType.BOOL:
            raise ValueError(f"a {self.space} is a bool")
        if self.bit is not None and (self.space.is_bits or self.type is not RegisterType.BOOL):
            raise ValueError("`bit` goes with a bool in a register")
        if self.is_bool and not self.space.is_bits and self.bit is None:
            raise ValueError("a bool in a register needs `bit`")
        if (self.type is RegisterType.STRING) != (self.words is not None):
            raise ValueError("`words` goes with type string, and only with it")
        if self.is_scaled and (self.is_bool or self.type is RegisterType.STRING):
            raise ValueError("only numbers can be scaled")
        if self.deadband and (self.is_bool or self.type is RegisterType.STRING):
            raise ValueError("a deadband above 0 goes with numbers")
        if self.address + self.width - 1 > ADDRESS_MAX:
            raise ValueError("the value reaches beyond address 65535")
        try:
            "".encode(self.encoding)
        except LookupError as cause:
            raise ValueError(f"unknown encoding {self.encoding!r}") from cause
        return self

    @property
    def is_bool(self) -> bool:
        """True for every coil and discrete input, and for a bit of a register."""
        return self.space.is_bits or self.type is RegisterType.BOOL

    @property
    def is_scaled(self) -> bool:
        """True where the value is not the raw number."""
        return (self.scale, self.offset) != (1.0, 0.0)

    @property
    def width(self) -> int:
        """Addresses that the value takes."""
        return 1 if self.is_bool else self.words or WORDS[self.type]

    @property
    def value_type(self) -> ValueType:
        """What the series holds."""
        if self.is_bool:
            return ValueType.BOOL
        if self.is_scaled:
            return ValueType.FLOAT64
        return _VALUE_TYPES[self.type]

    def key(self, unit_id: int) -> str:
        """The tag's address, which names it for good: `1/holding/40:float32`, `1/holding/7.3:bool`."""
        kind = RegisterType.BOOL if self.is_bool else self.type
        words = f"[{self.words}]" if self.words else ""
        bit = f".{self.bit}" if self.bit is not None else ""
        return f"{self.unit_id if self.unit_id is not None else unit_id}/{self.space}/{self.address}{bit}:{kind}{words}"


_VALUE_TYPES = {
    RegisterType.INT16: ValueType.INT64,
    RegisterType.UINT16: ValueType.INT64,
    RegisterType.INT32: ValueType.INT64,
    RegisterType.UINT32: ValueType.INT64,
    RegisterType.INT64: ValueType.INT64,
    RegisterType.UINT64: ValueType.UINT64,
    RegisterType.FLOAT32: ValueType.FLOAT32,
    RegisterType.FLOAT64: ValueType.FLOAT64,
    RegisterType.STRING: ValueType.TEXT,
}


class ModbusConfig(ConnectorConfig):
    """One Modbus TCP device, or a gateway with several units behind it."""

    host: str = setting(zh="主机", en="Address of the device", example="192.168.1.20", min_length=1)
    port: int = setting(502, zh="端口", en="TCP port", example=502, ge=1, le=65_535)
    unit_id: int = setting(1, zh="从站号", en="Unit id of the device", example=1, ge=0, le=255)
    interval_s: float = setting(
        1.0, zh="采集周期", en="How often the tags are polled", unit="s", example=1.0, ge=0.01, le=86_400
    )
    gap_max: int = setting(
        8, zh="合并间隙", en="Unused addresses that are read along to save a request", unit="registers", example=8, ge=0
    )
    registers_max: int = setting(
        REGISTERS_MAX,
        zh="单次寄存器上限",
        en="Most registers in one request",
        unit="registers",
        example=REGISTERS_MAX,
        ge=4,
        le=REGISTERS_MAX,
    )
    repeat_after_s: float = setting(
        60.0,
        zh="重发间隔",
        en="A value within its deadband is repeated after so long",
        unit="s",
        example=60.0,
        gt=0,
    )
    tags: tuple[ModbusTag, ...] = setting(
        zh="点表",
        en="The register map",
        example=[{"name": "spindle_load", "address": 40, "type": "float32", "unit": "%"}],
        min_length=1,
        max_length=50_000,
    )

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        seen: dict[str, str] = {}
        for tag in self.tags:
            key = tag.key(self.unit_id)
            if key in seen:
                raise ValueError(f"{tag.name!r} and {seen[key]!r} are both {key}")
            seen[key] = tag.name
            if tag.width > self.registers_max:
                raise ValueError(f"{tag.name!r} is longer than registers_max")
        return self

    @property
    def endpoint(self) -> str:
        """`modbus://host:port`."""
        return f"modbus://{self.host}:{self.port}"
