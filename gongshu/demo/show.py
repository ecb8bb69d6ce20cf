"""The demo's state between its steps, and the small questions that several steps ask."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil

from gongshu.demo.cast import Cast
from gongshu.demo.errors import StepFailed
from gongshu.demo.stage import Stage

LOOK_EVERY_S = 0.2
PATIENCE_S = 180.0
"""A busy machine needs a minute for what takes seconds; what takes longer than this does not come at all."""


@dataclass(slots=True)
class Show:
    """What the steps hand to each other."""

    stage: Stage
    collect_s: float
    enterprise: Cast
    partner: Cast
    province: Cast
    say: Callable[[str], None]
    """Tells the person who watches what is going on."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    dataset_id: str = ""
    """The machine whose readings are shared."""
    agreement_id: str = ""
    oee_dataset_id: str = ""

    def party(self, name: str) -> str:
        """Return the party id of a node."""
        return self.stage.nodes[name].config.party_id

    def enterprise_now(self) -> datetime:
        """Return the time now, as this machine's nodes see it."""
        return datetime.now(UTC)

    def metrics(self) -> dict[str, float]:
        """Return the enterprise's counters as its Prometheus page shows them."""
        text = self.enterprise["engineer"].download("/metrics").decode()
        return {name: float(value) for name, value in (line.split() for line in text.splitlines())}

    def children(self, module: str) -> list[int]:
        """Return the process ids of the enterprise's children that run this module."""
        server = self.stage.nodes["enterprise"].process
        assert server is not None
        found = []
        for child in psutil.Process(server.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if module in child.cmdline():
                    found.append(child.pid)
        return found

    def rows(self, who: Any, sql: str, purpose: str = "demo") -> list[dict[str, Any]]:
        """Return the rows of a query through the enterprise's gate."""
        answer = who.call("POST", "/api/v1/sql", {"sql": sql, "purpose": purpose})
        return list(answer["rows"])


def require(holds: bool, what: str, expected: object, seen: object) -> None:
    """Fail the step unless it holds.

    Raises: StepFailed.
    """
    if not holds:
        raise StepFailed(what=what, expected=expected, seen=seen)


def wait_until(look: Callable[[], Any], what: str, *, is_reached: Callable[[Any], bool] = bool) -> Any:
    """Return the first answer of `look` that is what was waited for; a slow machine has minutes for it.

    Raises: StepFailed when it takes longer.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if is_reached(seen):
            return seen
        if time.monotonic() > deadline:
            raise StepFailed(what=what, expected=f"within {PATIENCE_S:g} s", seen=repr(seen)[:200])
        time.sleep(LOOK_EVERY_S)
