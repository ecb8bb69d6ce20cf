"""What a message says, as values."""

from dataclasses import dataclass, field

from gongshu.gather.batch import Value
from gongshu.gather.connector import Tag


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    tag: Tag
    value: Value
    time_us: int | None
    """Source time in microseconds since 1970 UTC; None where the message has none."""
    status: int


@dataclass(slots=True)
class Outcome:
    """What became of one message, or of time passing."""

    samples: list[Sample] = field(default_factory=list)
    rebirths: list[tuple[str, str]] = field(default_factory=list)
    """Edge nodes (group, node) to ask for a rebirth."""
    lost_messages: int = 0
    """Messages with values that cannot be used, or that never came: how many values they held nobody can tell."""
    unusable: int = 0
    """Messages or values that are not what the protocol says they should be."""
    refused: list[str] = field(default_factory=list)
    """Metrics of a type that a series cannot hold, by address; said once for each birth."""
