"""What is written down about every decision and every change of governance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the audit log. It never carries a protected value or a secret."""

    at: datetime
    actor: str
    """A subject id, or `system:<part>`."""
    action: str
    """`<noun>.<verb past>`: `grade.confirmed`, `read.permitted`, `read.denied`, `agreement.finalized`."""
    object: str
    outcome: str
    """`ok`, `denied` or `failed`."""
    details: Mapping[str, str | int | float | bool | list[str] | None] = field(default_factory=dict)


class AuditSink(Protocol):
    """Where rooms write audit events; the record is on disk when the call returns."""

    def write(self, event: AuditEvent) -> int:
        """Store one event and return its index in the log."""
        ...


class AuditSinkOfMany(AuditSink, Protocol):
    """One that takes several events at once for less than one by one."""

    def write_many(self, events: Sequence[AuditEvent]) -> int:
        """Store events in this order, all or none, and return the first one's index in the log."""
        ...
