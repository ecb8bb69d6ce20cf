"""What a step of the demo gives back."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen to hold, and what was seen to be refused."""

    holds: str
    refused: str

    def __str__(self) -> str:
        return f"{self.holds}; refused: {self.refused}"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One line of the demo's table."""

    name: str
    ok: bool
    seconds: float
    evidence: str

    def document(self) -> dict[str, Any]:
        """Return the line for programs."""
        return asdict(self)
