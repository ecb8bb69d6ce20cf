"""Plain JSON messages as samples: which topic, where the value, the time and the unit stand. Pure but for the types it
has seen: JSON writes 1 for 1.0, so a series that once had a fraction keeps it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from gongshu.gather.batch import INT64_MAX, INT64_MIN, Value, micros
from gongshu.gather.connector import Tag
from gongshu.gather.connectors.mqtt.config import JsonMap, TimeForm
from gongshu.gather.connectors.mqtt.model import Outcome, Sample
from gongshu.gather.connectors.mqtt.paths import PathMissing, parse_path, value_at
from gongshu.gather.connectors.mqtt.topics import match_topic
from gongshu.model.reading import STATUS_GOOD, STATUS_UNCERTAIN, ValueType

_PER_SECOND = {
    TimeForm.SECONDS: 1,
    TimeForm.MILLISECONDS: 1_000,
    TimeForm.MICROSECONDS: 1_000_000,
    TimeForm.NANOSECONDS: 1_000_000_000,
}
_EXACT_MAX = 2**53
_YEAR_9999_US = 253_402_300_799_000_000


@dataclass(frozen=True, slots=True)
class _Cell:
    """One value as it stands in a message."""

    key: str
    """Name of its field; empty for a value alone."""
    value: Any
    around: Any
    """The object it stands in, where its own time and unit may be."""


class JsonReader:
    """Reads messages by the maps of a config."""

    def __init__(self, maps: Sequence[JsonMap]) -> None:
        self._maps = maps
        self._tags: dict[str, Tag] = {}

    def read(self, topic: str, payload: bytes) -> Outcome:
        """Return what the message says. A topic that no map names says nothing; what is no JSON is counted."""
        outcome = Outcome()
        for rule in self._maps:
            levels = match_topic(rule.topic, topic)
            if levels is None:
                continue
            try:
                message = json.loads(payload)
                found = value_at(message, rule.value)
            except (ValueError, RecursionError, PathMissing):
                outcome.unusable += 1
                return outcome
            for cell in _cells(rule, found):
                self._add(outcome, rule, topic, dict(levels), message, cell)
            return outcome
        return outcome

    def _add(
        self, outcome: Outcome, rule: JsonMap, topic: str, levels: dict[str, str], message: Any, cell: _Cell
    ) -> None:
        time_us: int | None = None
        if rule.time:
            time_us = _time_us(_beside(cell, message, rule.time), rule.time_form)
            outcome.unusable += time_us is None
        unit = rule.unit
        if rule.unit_field:
            written = _beside(cell, message, rule.unit_field)
            unit = written if isinstance(written, str) else rule.unit
        name = rule.name.format(**levels) if rule.name else ""
        if not name:
            name = cell.key or levels.get("name") or topic.rpartition("/")[2]
        elif cell.key:
            name = f"{name}.{cell.key}"
        address = f"{topic}#{cell.key}" if cell.key else topic
        tag = self._tag(address, name, rule.asset.format(**levels), unit, cell.value, rule.types.get(name))
        status = STATUS_UNCERTAIN if cell.value is None else STATUS_GOOD
        outcome.samples.append(Sample(tag, _fitted(cell.value, tag.value_type), time_us, status))

    def _tag(self, address: str, name: str, path: str, unit: str, value: Any, declared: ValueType | None) -> Tag:
        known = self._tags.get(address)
        if declared is not None:
            value_type = declared
        elif value is None:
            value_type = known.value_type if known else ValueType.TEXT
        else:
            value_type = _joined(known.value_type if known else None, _type_of(value))
        if known is None or (known.value_type, known.unit) != (value_type, unit):
            known = self._tags[address] = Tag(address, name, value_type, path, unit)
        return known


def _cells(rule: JsonMap, found: Any) -> Iterator[_Cell]:
    elements = found if isinstance(found, list) and found and all(isinstance(e, dict) for e in found) else [found]
    for element in elements:
        if not isinstance(element, dict):
            yield _Cell("", element, element)
        elif rule.value_field:
            if rule.value_field in element:
                key = str(element.get(rule.name_field, "")) if rule.name_field else ""
                yield _Cell(key, element[rule.value_field], element)
        else:
            beside = {rule.name_field, rule.unit_field, *map(str, parse_path(rule.time)[:1])}
            yield from (_Cell(key, value, element) for key, value in element.items() if key not in beside)


def _beside(cell: _Cell, message: Any, path: str) -> Any:
    """What the path names in the object around the value, else in the message as a whole."""
    for place in (cell.around, message):
        try:
            return value_at(place, path)
        except PathMissing:
            continue
    return None


def _time_us(written: Any, form: TimeForm) -> int | None:
    """Microseconds since 1970, rounded down; None if it is no time of that form, or has no zone."""
    if isinstance(written, bool) or written is None:
        return None
    if form is TimeForm.ISO:
        try:
            moment = datetime.fromisoformat(str(written))
        except ValueError:
            return None
        return micros(moment.astimezone(UTC)) if moment.tzinfo else None
    try:
        exact = Decimal(str(written)) * 1_000_000 / _PER_SECOND[form]
        found = int(exact)
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return found if abs(found) <= _YEAR_9999_US else None


def _type_of(value: Any) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOL
        case int():
            if INT64_MIN <= value <= INT64_MAX:
                return ValueType.INT64
            return ValueType.UINT64 if 0 < value < 2**64 else ValueType.TEXT
        case float():
            return ValueType.FLOAT64
        case str():
            return ValueType.TEXT
        case list():
            return ValueType.ARRAY
    return ValueType.STRUCTURE


def _joined(known: ValueType | None, new: ValueType) -> ValueType:
    """A series of numbers with a fraction stays one; a series of whole numbers becomes one with its first fraction."""
    numbers = (ValueType.INT64, ValueType.FLOAT64)
    return ValueType.FLOAT64 if {known, new} == set(numbers) else new


def _fitted(value: Any, value_type: ValueType) -> Value:
    """Give a whole number to a series with fractions as a float, where that changes nothing."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and value_type in (ValueType.FLOAT64, ValueType.FLOAT32) and abs(value) <= _EXACT_MAX:
        return float(value)
    return value  # type: ignore[no-any-return]
