"""What is hashed for one audit record: canonical JSON bytes.

Keys sorted, no spaces, UTF-8, no NaN, times in UTC with six digits. The bytes are kept as they are and never made
again from fields, so no reader has to agree with us about numbers.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gongshu.model.audit import AuditEvent

TEXT_MAX = 4000
"""Longer texts are cut, with a mark: one caller cannot fill the log. Our choice."""


def encode_leaf(index: int, event: AuditEvent) -> bytes:
    """Return the leaf of the event at this index.

    Raises: ValueError if the details hold a number that JSON lacks.
    """
    body = {
        "action": _text(event.action),
        "actor": _text(event.actor),
        "at": encode_time(event.at),
        "details": {_text(name): _value(value) for name, value in event.details.items()},
        "index": index,
        "object": _text(event.object),
        "outcome": _text(event.outcome),
        "v": 1,
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def decode_details(leaf: bytes) -> Mapping[str, Any]:
    """Return the details held in a leaf."""
    details: Mapping[str, Any] = json.loads(leaf)["details"]
    return details


def encode_time(at: datetime) -> str:
    """Return the time in UTC with microseconds.

    >>> encode_time(datetime(2026, 1, 2, tzinfo=UTC))
    '2026-01-02T00:00:00.000000Z'
    """
    assert at.tzinfo is not None, "times are aware UTC"
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _value(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_text(str(item)) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(str(value))


def _text(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be written down
    return clean if len(clean) <= TEXT_MAX else f"{clean[:TEXT_MAX]}… ({len(clean)} characters)"
