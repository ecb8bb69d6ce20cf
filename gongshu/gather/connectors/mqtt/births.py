"""What a birth declares: the metrics of a node or device, their aliases, types and units. Pure.

Source: Sparkplug 3.0 §5.4 (birth), §6.4.6 (aliases), §6.4.14 (property sets).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gongshu.gather.connector import Tag
from gongshu.gather.connectors.mqtt.datatypes import value_type_of
from gongshu.gather.connectors.mqtt.topics import SparkplugTopic
from gongshu.model.reading import (
    STATUS_BAD,
    STATUS_BAD_NO_COMMUNICATION,
    STATUS_GOOD,
    STATUS_UNCERTAIN,
    ValueType,
)

BD_SEQ = "bdSeq"
CONTROL_PREFIXES = ("Node Control/", "Device Control/")
_UNIT_KEYS = ("engUnit", "Engineering Units", "engineeringUnits", "unit", "units", "Unit")
_QUALITY = "Quality"
_QUALITIES = {192: STATUS_GOOD, 0: STATUS_BAD, 500: STATUS_BAD_NO_COMMUNICATION}
"""The property Quality. Source: Sparkplug 3.0 §6.4.14, tck-id-payloads-propertyset-quality-value-value."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as its birth declared it."""

    tag: Tag
    datatype: int
    held: bool
    """False for a type that a series cannot hold (DataSet, Template)."""


@dataclass(slots=True)
class Metrics:
    """The metrics of a node or of one device."""

    by_name: dict[str, Definition] = field(default_factory=dict)
    by_alias: dict[int, Definition] = field(default_factory=dict)


def read_birth(topic: SparkplugTopic, metrics: Iterable[Any], metrics_max: int) -> tuple[Metrics, bool]:
    """Return what the birth declares, and whether an alias stands for two metrics, which makes data ambiguous.

    Commands (`Node Control/…`) and bdSeq are the protocol's own and no measured things.
    """
    found, ambiguous = Metrics(), False
    for metric in metrics:
        name = metric.name
        if not name or name == BD_SEQ or name.startswith(CONTROL_PREFIXES):
            continue
        if len(found.by_name) >= metrics_max:
            break
        value_type = value_type_of(metric.datatype)
        if value_type is None:
            tag = _tag(topic, name, metric, None)
            definition = Definition(tag, metric.datatype, held=False)
        else:
            definition = Definition(_tag(topic, name, metric, value_type), metric.datatype, held=True)
        found.by_name[name] = definition
        if metric.HasField("alias"):
            ambiguous |= metric.alias in found.by_alias
            found.by_alias[metric.alias] = definition
    return found, ambiguous


def status_of(metric: Any) -> int:
    """Return the status that a metric's property Quality means; without one, good.

    An unknown quality, and no value, are uncertain: unknown is never good.
    """
    if metric.HasField("properties"):
        properties = metric.properties
        for key, value in zip(properties.keys, properties.values, strict=False):
            if key == _QUALITY:
                # The type is Int32, so a negative code, which nobody defines, comes as a large one.
                return _QUALITIES.get(value.int_value or value.long_value, STATUS_UNCERTAIN)
    return STATUS_UNCERTAIN if metric.is_null else STATUS_GOOD


def _tag(topic: SparkplugTopic, name: str, metric: Any, value_type: Any) -> Tag:
    place = f"{topic.group}/{topic.node}/{topic.device}"
    path = place if topic.device else f"{topic.group}/{topic.node}"
    texts = {}
    if metric.HasField("properties"):
        texts = {k: v.string_value for k, v in zip(metric.properties.keys, metric.properties.values, strict=False)}
    unit = next((texts[key] for key in _UNIT_KEYS if texts.get(key)), "")
    return Tag(
        address=f"{place}/{name}",
        name=name,
        value_type=value_type or ValueType.STRUCTURE,
        path=path,
        unit=unit,
        title=metric.metadata.description if metric.HasField("metadata") else "",
    )
