"""The state of every edge node that a Sparkplug host follows: births, aliases, order, doubt, death. Pure: messages and
the time come in, samples and requests go out.

What is not certain is not used: a value under an alias means nothing without the birth that gave the alias, so after a
gap that does not close, values are left, counted, and the node is asked for a rebirth.
Source: Sparkplug 3.0 §5 (operational behavior), §6.4 (payload), tck-id-operational-behavior-host-reordering-*.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from gongshu.gather.batch import Value, micros
from gongshu.gather.connectors.mqtt.births import BD_SEQ, CONTROL_PREFIXES, Definition, Metrics, read_birth, status_of
from gongshu.gather.connectors.mqtt.datatypes import DataType, WireMismatch, decode_value
from gongshu.gather.connectors.mqtt.model import Outcome, Sample
from gongshu.gather.connectors.mqtt.payload import Payload
from gongshu.gather.connectors.mqtt.topics import SparkplugTopic, parse_sparkplug
from gongshu.model.reading import STATUS_BAD_NO_COMMUNICATION

_SEQUENCES = 256
"""`seq` runs from 0 to 255. Source: Sparkplug 3.0 §6.4.19."""
WINDOW = 32
"""So many messages may wait for one that was overtaken; more of them are no overtaking. Chosen: brokers that reorder do
so within a few messages, and a wait is bounded by time as well."""
_NODES_MAX = 10_000
_LAST_MS = 253_402_300_799_999


@dataclass(slots=True)
class _Node:
    """One edge node."""

    birth_sequence: int | None = None
    """bdSeq of the birth we follow; None while there is none."""
    next_seq: int = 0
    last_ms: int = 0
    own: Metrics = field(default_factory=Metrics)
    devices: dict[str, Metrics] = field(default_factory=dict)
    waiting: dict[int, tuple[SparkplugTopic, Any]] = field(default_factory=dict)
    waiting_since: datetime | None = None
    asked_at: datetime | None = None
    unsure: bool = True
    """True until a birth, and again after a gap that did not close."""

    def definition(self, metrics: Metrics, metric: Any) -> Definition | None:
        """The metric's declaration, by name or by alias; aliases are unique within the node with all its devices."""
        if metric.name:
            return metrics.by_name.get(metric.name)
        return metrics.by_alias.get(metric.alias) if metric.HasField("alias") else None


class SparkplugHost:
    """Follows all edge nodes whose messages it is given."""

    def __init__(self, *, reorder: timedelta, rebirth_every: timedelta, tags_max: int) -> None:
        self._reorder = reorder
        self._rebirth_every = rebirth_every
        self._tags_max = tags_max
        self._nodes: dict[tuple[str, str], _Node] = {}

    def receive(self, topic: str, body: bytes, now: datetime) -> Outcome:
        """Take one message, and what it lets go on. Topics that are not an edge node's say nothing."""
        outcome = Outcome()
        parsed = parse_sparkplug(topic)
        if parsed is None:
            return outcome
        payload = Payload()
        try:
            payload.ParseFromString(body)
        except (ProtobufError, ValueError, RuntimeError):
            outcome.unusable += 1
            return outcome
        key = (parsed.group, parsed.node)
        if key not in self._nodes and len(self._nodes) >= _NODES_MAX:
            outcome.unusable += 1
            return outcome
        node = self._nodes.setdefault(key, _Node())
        match parsed.kind:
            case "NBIRTH":
                self._node_birth(node, parsed, payload, outcome, now)
            case "NDEATH":
                self._node_death(node, payload, outcome)
            case _:
                self._ordered(node, key, parsed, payload, outcome, now)
        return outcome

    def tick(self, now: datetime) -> Outcome:
        """Let time pass: what waited too long for an overtaken message is given up, and a rebirth asked for."""
        outcome = Outcome()
        for key, node in self._nodes.items():
            if node.waiting_since is not None and now - node.waiting_since >= self._reorder:
                self._give_up(node, key, outcome, now)
            elif node.unsure and node.asked_at is not None and now - node.asked_at >= self._rebirth_every:
                self._ask(node, key, outcome, now)
        return outcome

    def forget_all(self) -> None:
        """The link to the broker was down: births may have been missed, so nothing declared is certain."""
        self._nodes.clear()

    def _node_birth(self, node: _Node, topic: SparkplugTopic, payload: Any, outcome: Outcome, now: datetime) -> None:
        if not payload.HasField("seq") or payload.seq >= _SEQUENCES:
            outcome.unusable += 1
            return
        outcome.lost_messages += len(node.waiting)
        node.waiting, node.waiting_since = {}, None
        metrics, ambiguous = read_birth(topic, payload.metrics, self._tags_max)
        node.own, node.devices = metrics, {}
        node.birth_sequence = next((_number(m) for m in payload.metrics if m.name == BD_SEQ), None)
        node.next_seq = (payload.seq + 1) % _SEQUENCES
        node.last_ms = payload.timestamp
        node.unsure = ambiguous
        node.asked_at = None
        if ambiguous:
            outcome.unusable += 1
            self._ask(node, (topic.group, topic.node), outcome, now)
            return
        self._born(metrics, payload, outcome)

    def _born(self, metrics: Metrics, payload: Any, outcome: Outcome) -> None:
        outcome.refused += [d.tag.address for d in metrics.by_name.values() if not d.held]
        for metric in payload.metrics:
            definition = metrics.by_name.get(metric.name)
            if definition is not None and definition.held:
                self._sample(definition, metric, payload, outcome)

    def _node_death(self, node: _Node, payload: Any, outcome: Outcome) -> None:
        """Only the death that belongs to the birth we follow counts: a will of an earlier connection comes late."""
        sequence = next((_number(m) for m in payload.metrics if m.name == BD_SEQ), None)
        if node.birth_sequence is not None and sequence not in (None, node.birth_sequence):
            return
        outcome.lost_messages += len(node.waiting)
        stale = [node.own, *node.devices.values()]
        node.own, node.devices, node.waiting, node.waiting_since = Metrics(), {}, {}, None
        node.birth_sequence, node.unsure, node.asked_at = None, True, None
        for metrics in stale:
            _end(metrics, outcome)

    def _ordered(
        self, node: _Node, key: tuple[str, str], topic: SparkplugTopic, payload: Any, outcome: Outcome, now: datetime
    ) -> None:
        if node.unsure:
            outcome.lost_messages += 1
            self._ask(node, key, outcome, now)
            return
        if not payload.HasField("seq") or payload.seq >= _SEQUENCES:
            outcome.unusable += 1
            return
        ahead = (payload.seq - node.next_seq) % _SEQUENCES
        if ahead == 0:
            self._apply(node, key, topic, payload, outcome, now)
            self._catch_up(node, key, outcome, now)
        elif ahead >= _SEQUENCES - WINDOW and payload.timestamp <= node.last_ms:
            return  # it came already: a bridge or a redelivery repeats it
        elif len(node.waiting) >= WINDOW:
            node.waiting[payload.seq] = (topic, payload)
            self._give_up(node, key, outcome, now)
        else:
            node.waiting[payload.seq] = (topic, payload)
            node.waiting_since = node.waiting_since or now

    def _catch_up(self, node: _Node, key: tuple[str, str], outcome: Outcome, now: datetime) -> None:
        """Apply what had overtaken the message that has now come."""
        while not node.unsure and node.next_seq in node.waiting:
            topic, payload = node.waiting.pop(node.next_seq)
            self._apply(node, key, topic, payload, outcome, now)
            node.waiting_since = now
        if not node.waiting:
            node.waiting_since = None

    def _give_up(self, node: _Node, key: tuple[str, str], outcome: Outcome, now: datetime) -> None:
        """The missing one may have been a birth with new aliases: what waits is not used."""
        outcome.lost_messages += len(node.waiting) + 1
        node.waiting, node.waiting_since, node.unsure = {}, None, True
        self._ask(node, key, outcome, now)

    def _ask(self, node: _Node, key: tuple[str, str], outcome: Outcome, now: datetime) -> None:
        if node.asked_at is None or now - node.asked_at >= self._rebirth_every:
            node.asked_at = now
            outcome.rebirths.append(key)

    def _apply(
        self, node: _Node, key: tuple[str, str], topic: SparkplugTopic, payload: Any, outcome: Outcome, now: datetime
    ) -> None:
        node.next_seq = (payload.seq + 1) % _SEQUENCES
        node.last_ms = payload.timestamp
        if topic.kind == "DBIRTH":
            metrics, ambiguous = read_birth(topic, payload.metrics, self._tags_max)
            others = (m for name, m in _scopes(node) if name != topic.device)
            if ambiguous or any(metrics.by_alias.keys() & other.by_alias.keys() for other in others):
                outcome.unusable += 1
            node.devices[topic.device] = metrics
            self._born(metrics, payload, outcome)
        elif topic.kind == "DDEATH":
            _end(node.devices.pop(topic.device, Metrics()), outcome)
        else:
            metrics_of = node.devices.get(topic.device) if topic.device else node.own
            if metrics_of is None:
                outcome.lost_messages += 1
                node.unsure = True
                self._ask(node, key, outcome, now)
                return
            self._data(node, key, metrics_of, payload, outcome, now)

    def _data(
        self, node: _Node, key: tuple[str, str], metrics: Metrics, payload: Any, outcome: Outcome, now: datetime
    ) -> None:
        for metric in payload.metrics:
            definition = node.definition(metrics, metric)
            if definition is None:
                if metric.name == BD_SEQ or metric.name.startswith(CONTROL_PREFIXES):
                    continue
                outcome.unusable += 1  # never declared: its birth must be missing
                self._ask(node, key, outcome, now)
            elif metric.HasField("datatype") and metric.datatype not in (definition.datatype, DataType.UNKNOWN):
                outcome.unusable += 1  # changed its type without a birth
                self._ask(node, key, outcome, now)
            elif definition.held:
                self._sample(definition, metric, payload, outcome)

    def _sample(self, definition: Definition, metric: Any, payload: Any, outcome: Outcome) -> None:
        value: Value = None
        if not metric.is_null:
            try:
                value = _native(decode_value(metric, definition.datatype), definition.datatype)
            except WireMismatch:
                outcome.unusable += 1
                return
        milliseconds = metric.timestamp if metric.HasField("timestamp") else payload.timestamp
        time_us = milliseconds * 1000 if 0 < milliseconds <= _LAST_MS else None
        outcome.samples.append(Sample(definition.tag, value, time_us, status_of(metric)))


def rebirth_request(now: datetime) -> bytes:
    """Return the payload of an NCMD that asks an edge node to say again what it has. Source: Sparkplug 3.0 §5.9."""
    payload = Payload(timestamp=micros(now) // 1000)
    payload.metrics.add(
        name="Node Control/Rebirth", timestamp=micros(now) // 1000, datatype=DataType.BOOLEAN, boolean_value=True
    )
    return bytes(payload.SerializeToString())


def _end(metrics: Metrics, outcome: Outcome) -> None:
    """Nothing is known of these from now on: no value, and our own time, as the standard has it (host UTC)."""
    outcome.samples += [
        Sample(definition.tag, None, None, STATUS_BAD_NO_COMMUNICATION)
        for definition in metrics.by_name.values()
        if definition.held
    ]


def _scopes(node: _Node) -> Iterator[tuple[str, Metrics]]:
    yield "", node.own
    yield from node.devices.items()


def _number(metric: Any) -> int:
    return int(metric.long_value or metric.int_value)


def _native(value: Any, datatype: int) -> Value:
    """Times become texts in ISO form; all else is a value already. Raises: WireMismatch for a time out of range."""
    if datatype == DataType.DATETIME:
        return _moment(value)
    if datatype == DataType.DATETIME_ARRAY:
        return [_moment(item) for item in value]
    return value  # type: ignore[no-any-return]


def _moment(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as cause:
        raise WireMismatch(f"{milliseconds} ms is no time before the year 10000") from cause


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
