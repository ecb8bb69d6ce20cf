"""A Sparkplug B edge node as values: what it says at birth, on change and at death. No network.

Two devices hang on it: the hall's climate sensor and the conveyor. Aliases are given at birth; data then carry the
alias and no name; `seq` counts 0..255 from each node birth; `bdSeq` ties a death to its birth.
Source: Sparkplug 3.0 §6.4 (payloads), §5 (operational behaviour).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from gongshu.simulate.machines import State
from gongshu.simulate.physics import PlantState

GROUP = "synthetic-hall-67"
NODE = "edge-1"
REBIRTH = "Node Control/Rebirth"


class Type(IntEnum):
    """Sparkplug data types that the edge node uses. Source: Sparkplug 3.0 §6.4.16."""

    INT32 = 3
    INT64 = 4
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured thing of a device."""

    device: str
    name: str
    type: Type
    unit: str
    """UCUM, carried in the birth's property `engUnit`."""


METRICS = (
    Metric("ambient-01", "temperature", Type.DOUBLE, "Cel"),
    Metric("ambient-01", "humidity", Type.DOUBLE, "%"),
    Metric("ambient-01", "dust", Type.FLOAT, "mg/m3"),
    Metric("conveyor-01", "speed", Type.DOUBLE, "m/min"),
    Metric("conveyor-01", "running", Type.BOOLEAN, ""),
    Metric("conveyor-01", "transported", Type.INT64, "{piece}"),
    Metric("conveyor-01", "tracking_offset", Type.INT32, "mm"),
    Metric("conveyor-01", "pallet", Type.STRING, ""),
)
DEVICES = tuple(dict.fromkeys(metric.device for metric in METRICS))

Values = Mapping[tuple[str, str], float | int | bool | str]


def measure(now: PlantState) -> Values:
    """Return what the two devices see of the plant.

    Shape: keyed by device and metric name, one entry for each of `METRICS`.
    """
    parts = int(now.parts.sum())
    busy = float((now.state == State.PRODUCING).mean())
    swing = (now.time_s % 97.0) / 97.0
    return {
        ("ambient-01", "temperature"): round(21.2 + 2.5 * busy + 0.3 * swing, 2),
        ("ambient-01", "humidity"): round(48.0 - 5.0 * busy + 2.0 * swing, 1),
        ("ambient-01", "dust"): round(0.08 + 0.22 * busy, 3),
        ("conveyor-01", "speed"): 12.0 if now.planned.any() else 0.0,
        ("conveyor-01", "running"): bool(now.planned.any()),
        ("conveyor-01", "transported"): parts,
        ("conveyor-01", "tracking_offset"): round(14.0 * (swing - 0.5)),
        ("conveyor-01", "pallet"): f"SYN-{parts // 4:05d}",
    }


class EdgeNode:
    """The edge node's counters; `payload_class` is the generated protobuf message."""

    def __init__(self, payload_class: Any, *, birth_death_number: int = 0) -> None:
        self._payload = payload_class
        self.birth_death_number = birth_death_number
        self._seq = 0
        self._last: dict[tuple[str, str], float | int | bool | str] = {}
        self._alias = {(m.device, m.name): number for number, m in enumerate(METRICS, start=1)}

    def death(self) -> bytes:
        """Return NDEATH: the number of the birth that it ends, and no `seq`."""
        payload = self._payload()
        self._add(payload, "bdSeq", Type.UINT64, self.birth_death_number)
        return bytes(payload.SerializeToString())

    def births(self, values: Values, time: datetime) -> list[tuple[str, bytes]]:
        """Return NBIRTH and one DBIRTH for each device, and start `seq` anew."""
        self._seq = 0
        self._last = dict(values)
        at = _milliseconds(time)
        node = self._payload(timestamp=at, seq=self._next())
        self._add(node, "bdSeq", Type.UINT64, self.birth_death_number)
        self._add(node, REBIRTH, Type.BOOLEAN, False)
        self._add(node, "Properties/Synthetic", Type.BOOLEAN, True)
        messages = [(self._topic("NBIRTH"), bytes(node.SerializeToString()))]
        for device in DEVICES:
            payload = self._payload(timestamp=at, seq=self._next())
            for metric in (m for m in METRICS if m.device == device):
                key = metric.device, metric.name
                made = self._add(payload, metric.name, metric.type, values[key], at=at)
                made.alias = self._alias[key]
                if metric.unit:
                    made.properties.keys.append("engUnit")
                    made.properties.values.add(type=Type.STRING, string_value=metric.unit)
            messages.append((self._topic("DBIRTH", device), bytes(payload.SerializeToString())))
        return messages

    def data(self, values: Values, time: datetime) -> Iterable[tuple[str, bytes]]:
        """Yield one DDATA for each device of which something changed since the last call."""
        at = _milliseconds(time)
        for device in DEVICES:
            changed = [
                m for m in METRICS if m.device == device and values[device, m.name] != self._last[device, m.name]
            ]
            if not changed:
                continue
            payload = self._payload(timestamp=at, seq=self._next())
            for metric in changed:
                key = metric.device, metric.name
                self._add(payload, None, metric.type, values[key], at=at).alias = self._alias[key]
                self._last[key] = values[key]
            yield self._topic("DDATA", device), bytes(payload.SerializeToString())

    def is_rebirth(self, command: bytes) -> bool:
        """Return whether an NCMD asks for a rebirth; bytes that are no payload ask for nothing."""
        from google.protobuf.message import DecodeError

        payload = self._payload()
        try:
            payload.ParseFromString(command)
        except DecodeError:
            return False
        return any(m.name == REBIRTH and m.boolean_value for m in payload.metrics)

    def _next(self) -> int:
        number = self._seq
        self._seq = (self._seq + 1) % 256
        return number

    @staticmethod
    def _topic(message: str, device: str = "") -> str:
        return "/".join(("spBv1.0", GROUP, message, NODE, *((device,) if device else ())))

    @staticmethod
    def _add(
        payload: Any, name: str | None, type_: Type, value: float | int | bool | str, *, at: int | None = None
    ) -> Any:
        metric = payload.metrics.add(datatype=type_)
        if name is not None:
            metric.name = name
        metric.timestamp = payload.timestamp if at is None else at
        if type_ is Type.DOUBLE:
            metric.double_value = value
        elif type_ is Type.FLOAT:
            metric.float_value = value
        elif type_ is Type.BOOLEAN:
            metric.boolean_value = value
        elif type_ is Type.STRING:
            metric.string_value = value
        elif type_ is Type.INT32:
            metric.int_value = int(value) & 0xFFFF_FFFF  # negative numbers travel as two's complement
        else:
            metric.long_value = int(value) & 0xFFFF_FFFF_FFFF_FFFF
        return metric


def command_topic() -> str:
    """Return the topic on which the node takes commands."""
    return f"spBv1.0/{GROUP}/NCMD/{NODE}"


def death_topic() -> str:
    """Return the topic on which the node's death is told."""
    return f"spBv1.0/{GROUP}/NDEATH/{NODE}"


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
