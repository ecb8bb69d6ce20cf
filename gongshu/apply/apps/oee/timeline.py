"""The period of one machine, cut into segments in which nothing changes, each planned or not, judged or not. Pure.

The segments cover the look-back too, because a part's making may begin before the period does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongshu.apply.apps.oee.steps import Bools, Micros, Steps

OFF = "OFF"
"""In a state map: time that is not planned."""
PRODUCING = "APT"
NO_REASON = "—"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Segments [edges[i], edges[i+1]), in order."""

    edges: Micros
    judged: Bools
    planned: Bools
    """Only where judged."""
    producing: Bools
    """Only where judged."""
    element: NDArray[Any]
    """Of the state map; empty where not judged."""
    reason: NDArray[Any]
    """The reason code in force; empty where there is none."""
    state: NDArray[np.int64]
    """The machine's own code; 0 where it is not known."""

    @property
    def starts(self) -> Micros:
        """Where each segment begins."""
        return self.edges[:-1]

    @property
    def lengths_us(self) -> Micros:
        """How long each segment is."""
        return np.diff(self.edges)

    def not_judged_until(self, times: Micros) -> Micros:
        """Return how much time before each of `times` was not judged, counted from the first edge."""
        lost = np.where(self.judged, 0, self.lengths_us)
        total = np.concatenate(([0], np.cumsum(lost)))
        index = np.clip(np.searchsorted(self.edges, times, side="right") - 1, 0, len(lost) - 1)
        inside = np.clip(times - self.edges[index], 0, self.lengths_us[index])
        result: Micros = total[index] + np.where(self.judged[index], 0, inside)
        return result


@dataclass(frozen=True, slots=True)
class MachineSteps:
    """What a timeline is cut from."""

    state: Steps
    planned: Steps | None
    reason: Steps | None
    silences: Micros | None
    """(n, 2): spans in which the heartbeat was silent; None where there is no heartbeat."""


def cut_timeline(
    machine: MachineSteps,
    state_map: Mapping[int, str],
    *,
    extra_edges: Micros,
    begin: int,
    end: int,
    now: int,
    hold_us: int,
) -> Timeline:
    """Return the timeline from `begin` to `end`; `extra_edges` (bucket bounds, the period's start) are cut at too.

    Nothing after `now` is judged: it has not happened.
    """
    parts = [np.array([begin, end, now]), extra_edges, machine.state.edges(hold_us)]
    for steps in (machine.planned, machine.reason):
        if steps is not None:
            parts.append(steps.edges(hold_us))
    if machine.silences is not None:
        parts.append(machine.silences.ravel())
    edges = np.unique(np.concatenate(parts).astype(np.int64))
    edges = edges[(edges >= begin) & (edges <= end)]
    starts = edges[:-1]
    index, known = machine.state.at(starts, hold_us)
    codes = machine.state.values[index] if len(machine.state) else np.zeros(len(starts))
    whole = known & np.isfinite(codes)
    state = np.where(whole, codes, 0).astype(np.int64)
    element = _mapped(state, state_map)
    known = whole & (element != "")
    planned, planned_known = _planned(machine.planned, starts, element, hold_us)
    judged = known & planned_known & ~_silent(machine.silences, starts) & (starts < now)
    return Timeline(
        edges=edges,
        judged=judged,
        planned=judged & planned,
        producing=judged & (element == PRODUCING),
        element=np.where(judged, element, ""),
        reason=_reasons(machine.reason, starts, hold_us),
        state=np.where(whole, state, 0),
    )


def _mapped(state: NDArray[np.int64], state_map: Mapping[int, str]) -> NDArray[Any]:
    element = np.full(len(state), "", dtype=object)
    for code, meaning in state_map.items():
        element[state == code] = meaning
    return element


def _planned(steps: Steps | None, starts: Micros, element: NDArray[Any], hold_us: int) -> tuple[Bools, Bools]:
    if steps is None:
        return element != OFF, np.ones(len(starts), np.bool_)
    index, known = steps.at(starts, hold_us)
    value = steps.values[index] if len(steps) else np.zeros(len(starts))
    return value == 1.0, known & np.isfinite(value)


def _silent(silences: Micros | None, starts: Micros) -> Bools:
    if silences is None or not len(silences):
        return np.zeros(len(starts), np.bool_)
    order = silences[np.argsort(silences[:, 0])]
    index = np.searchsorted(order[:, 0], starts, side="right") - 1
    silent: Bools = (index >= 0) & (starts < order[np.maximum(index, 0), 1])
    return silent


def _reasons(steps: Steps | None, starts: Micros, hold_us: int) -> NDArray[Any]:
    if steps is None or not len(steps):
        return np.full(len(starts), "", dtype=object)
    index, known = steps.at(starts, hold_us)
    texts = np.array([text or "" for text in steps.texts], dtype=object)
    return np.where(known, texts[index], "")
