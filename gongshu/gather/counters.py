"""What a source's owner sees of it: its state and what moved, as one small file that the collector keeps up to date.

The node, the command line and the pages read the file; nothing in the data path waits for it.
"""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class State(StrEnum):
    """Where a source stands."""

    STOPPED = "stopped"
    """Not wanted: no process runs."""
    STARTING = "starting"
    CONNECTING = "connecting"
    RUNNING = "running"
    """Connected, and values or signs of life come."""
    LOST = "lost"
    """No connection; tried again with growing delay."""
    FAILED = "failed"
    """Cannot work until somebody corrects something; tried again at the longest delay."""


@dataclass(slots=True)
class Counters:
    """Counted since the collector started; `started_at` says when that was."""

    state: State = State.STARTING
    started_at: datetime | None = None
    state_since: datetime | None = None
    read: int = 0
    """Readings stored, and acknowledged to the far end."""
    bad: int = 0
    """Of these, the ones whose status is bad."""
    lost: int = 0
    """Readings known to be lost."""
    losses: int = 0
    """Times that something was lost, also where the protocol cannot say how much."""
    undecodable: int = 0
    """Messages or frames that were not the protocol."""
    bytes: int = 0
    batches: int = 0
    tables: int = 0
    """Whole tables delivered (files)."""
    queued: int = 0
    """Readings that wait to be stored."""
    attempts: int = 0
    """Times that a connection was tried."""
    connects: int = 0
    last_value_at: datetime | None = None
    last_error_code: str = ""
    last_error: str = ""
    updated_at: datetime | None = None
    pid: int = 0

    def enter(self, state: State, now: datetime) -> None:
        """Change the state and note when; the same state again changes nothing."""
        if state is not self.state or self.state_since is None:
            self.state, self.state_since = state, now


def write_counters(file: Path, counters: Counters) -> None:
    """Replace the file whole, so that a reader never sees half of it."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(counters), default=_text), encoding="utf-8")
    partial.replace(file)


def read_counters(file: Path) -> Counters | None:
    """Return the counters last written, or None if there are none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    known = {field.name for field in fields(Counters)}
    values: dict[str, Any] = {name: _value(name, value) for name, value in found.items() if name in known}
    return Counters(**values)


def _text(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


def _value(name: str, value: object) -> object:
    if name == "state":
        return State(str(value))
    if name.endswith(("_at", "_since")) and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value
