"""The plant as one thing that is told the time and answers with what changed.

It takes whole steps of the physics, so that a seed gives the same history whatever the rhythm of the calls. What
changes by event carries the time of its own step; what flows carries the time of the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np

from gongshu.simulate.machines import MACHINES, State
from gongshu.simulate.physics import DRAWS, STEP_S, PlantState, build_shop, start_state, step
from gongshu.simulate.sensors import BAD_SENSOR_FAILURE, Analog, Discrete, report_analog, report_discrete
from gongshu.simulate.tags import ANALOG_NAMES
from gongshu.simulate.utilities import UtilityState, step_utilities

STEPS_PER_CALL_MAX = 2_000
"""A plant that was suspended catches up in slices of this many steps, so that its servers keep answering."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a server is to show."""

    machine: int
    tag: str
    time: datetime
    value: float | int | bool | str
    status: int = 0


@dataclass(frozen=True, slots=True)
class Truth:
    """One line of the ground truth: a machine changed its state."""

    time: datetime
    machine: str
    state: State
    reason: str
    parts: int
    rejects: int
    planned: bool


class Clockwork:
    """The plant's state and its random numbers; no clock of its own."""

    def __init__(self, *, seed: int, speed: float, started_at: datetime) -> None:
        self.speed = speed
        self._seed = seed
        self.started_at = started_at
        self._random = np.random.default_rng(seed)
        self.shop = build_shop()
        self.state: PlantState = start_state(self.shop, self._random.random((3, len(MACHINES))))
        self.utilities = UtilityState()
        self._steps = 0
        self._discrete: Discrete | None = None
        self._analog: Analog | None = None

    @property
    def time(self) -> datetime:
        """The wall time of the last step taken."""
        return self.started_at + timedelta(seconds=self._steps * STEP_S / self.speed)

    def advance(self, now: datetime) -> tuple[list[Change], list[Truth]]:
        """Take every step that is due at `now` and return what to show, in order of time, and what truly happened."""
        due = int((now - self.started_at).total_seconds() * self.speed / STEP_S) - self._steps
        changes: list[Change] = []
        truths: list[Truth] = []
        if self._discrete is None:
            self._compare(changes, truths)
        for _ in range(min(due, STEPS_PER_CALL_MAX)):
            draws = self._random.random((DRAWS + 1, len(MACHINES)))
            self.state = step(self.state, self.shop, draws[:DRAWS], speed=self.speed)
            self.utilities = step_utilities(
                self.utilities,
                running=int((self.state.state == State.PRODUCING).sum()),
                machines_kw=float(self.state.power_kw.sum()),
                draw=float(draws[DRAWS, 0]),
                speed=self.speed,
            )
            self._steps += 1
            self._compare(changes, truths)
        if due > 0 or self._analog is None:
            changes.extend(self._flow())
        return changes, truths

    def _flow(self) -> Sequence[Change]:
        noise = self._noise()
        before, self._analog = self._analog, report_analog(self.state, noise, self._analog)
        rows, bad, at = self._analog.values.tolist(), self._analog.bad.tolist(), self.time
        was = None if before is None else before.values.tolist()
        was_bad = None if before is None else before.bad.tolist()
        return [
            Change(machine, name, at, rows[i][machine], BAD_SENSOR_FAILURE if bad[i][machine] else 0)
            for i, name in enumerate(ANALOG_NAMES)
            for machine in range(len(MACHINES))
            if was is None
            or was_bad is None
            or rows[i][machine] != was[i][machine]
            or bad[i][machine] != was_bad[i][machine]
        ]

    def _noise(self) -> np.ndarray:
        """Noise of its own stream, so that how often values are shown does not change what happens."""
        return np.random.default_rng((self._seed, self._steps)).standard_normal((len(ANALOG_NAMES), len(MACHINES)))

    def _compare(self, changes: list[Change], truths: list[Truth]) -> None:
        before, self._discrete = self._discrete, report_discrete(self.state, self.shop, speed=self.speed)
        if before == self._discrete:
            return
        at = self.time
        for field in fields(Discrete):
            new: tuple[float | int | bool | str, ...] = getattr(self._discrete, field.name)
            old = None if before is None else getattr(before, field.name)
            changes.extend(
                Change(machine, field.name, at, value)
                for machine, value in enumerate(new)
                if old is None or old[machine] != value
            )
        for machine, spec in enumerate(MACHINES):
            state, reason = self._discrete.state_code[machine], self._discrete.stop_reason[machine]
            if before is None or before.state_code[machine] != state or before.stop_reason[machine] != reason:
                truths.append(
                    Truth(
                        time=at,
                        machine=spec.name,
                        state=State(state),
                        reason=reason,
                        parts=self._discrete.part_count[machine],
                        rejects=self._discrete.reject_count[machine],
                        planned=self._discrete.planned_busy[machine],
                    )
                )
