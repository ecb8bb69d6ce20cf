"""The declaration of an app: what it needs, what it makes, what can be set. Importable without the app's own code."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from gongshu.model.reading import ValueType

ParamValue = str | int | float | bool
Params = Mapping[str, ParamValue]


class ValueKind(StrEnum):
    """What sort of values a role takes."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"

    def takes(self, value_type: ValueType) -> bool:
        """Return whether a series of this type can play a role of this kind.

        >>> ValueKind.NUMBER.takes(ValueType.INT64), ValueKind.INTEGER.takes(ValueType.FLOAT64)
        (True, False)
        """
        return value_type in _KINDS[self]


_KINDS = {
    ValueKind.NUMBER: frozenset((ValueType.FLOAT32, ValueType.FLOAT64, ValueType.INT64)),
    ValueKind.INTEGER: frozenset((ValueType.INT64,)),
    ValueKind.BOOLEAN: frozenset((ValueType.BOOL,)),
    ValueKind.TEXT: frozenset((ValueType.TEXT,)),
}


@dataclass(frozen=True, slots=True)
class QualityNeed:
    """The least that the readings of a role must hold in the span asked for, or no result is given."""

    readings_min: int = 1
    """Within the span, or in force at its start for a value that is told only when it changes."""
    good_ratio_min: float = 0.9
    """Share of readings whose status is good."""
    gap_max_s: float | None = None
    """Longest time without a reading; None for values that are told only when they change."""
    age_max_s: float | None = None
    """How old the last reading may be at the end of the span (or now, if that is earlier); None: any age."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One role that a series plays for an asset."""

    role: str
    title_zh: str
    title_en: str
    kind: ValueKind
    unit: str = ""
    """UCUM; readings in another unit of the same dimension are converted, others are refused. Empty: no unit."""
    need: QualityNeed = QualityNeed()
    required: bool = True
    names: tuple[str, ...] = ()
    """Names that series of this role often have, likeliest first: they make suggestions, they decide nothing."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """A derived dataset that the app writes."""

    name: str
    title_zh: str
    title_en: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A setting of a run."""

    name: str
    title_zh: str
    title_en: str
    default: ParamValue
    unit: str = ""
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class AppSpec:
    """The frozen declaration of one app, found by the entry point group `gongshu.apps`."""

    name: str
    version: str
    title_zh: str
    title_en: str
    opens: str
    """`package.module:function`, loaded when the app runs; the function is an `AppProgram`."""
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    params: tuple[ParamSpec, ...]
    figures: tuple[str, ...]
    """The figures that can be opened, per asset: `availability`."""
    packs: tuple[str, ...]
    """Names of the standards packs that it computes by."""
    sources: tuple[str, ...]

    def input(self, role: str) -> InputSpec | None:
        """Return the role's declaration, or None if the app has no such role."""
        return next((wanted for wanted in self.inputs if wanted.role == role), None)
