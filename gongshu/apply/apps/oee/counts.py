"""Which parts count: what a growing counter gained, when, and whether that time was planned and judged. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongshu.apply.apps.oee.steps import Bools, Floats, Micros, Steps
from gongshu.apply.apps.oee.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Gains:
    """One row for each reading at which the counter had grown, in order of time."""

    times: Micros
    amounts: NDArray[np.int64]
    judged: Bools
    """False where some of the time since the reading before was not judged, or that reading is too old."""
    planned: Bools
    """Whether the machine was planned to be busy just before."""
    resets: int
    """How often the counter fell: it is then taken to have begun again at 0."""


def find_gains(counter: Steps, timeline: Timeline, *, start: int, hold_us: int) -> Gains:
    """Return the gains from `start` to the timeline's end.

    A reading without a good one before it gains nothing: what was counted before it is not known.
    """
    usable = counter.good & np.isfinite(counter.values)
    times = counter.times[usable]
    values = counter.values[usable].astype(np.int64)
    if len(times) < 2:
        empty = np.zeros(0, np.int64)
        return Gains(empty, empty, empty.astype(np.bool_), empty.astype(np.bool_), 0)
    difference = np.diff(values)
    fell = difference < 0
    amounts = np.where(fell, values[1:], difference)
    at, since = times[1:], times[:-1]
    inside = (at >= start) & (at < timeline.edges[-1])
    keep = inside & (amounts > 0)
    lost = timeline.not_judged_until(at) - timeline.not_judged_until(since)
    judged = (lost == 0) & (at - since <= hold_us) & (since >= timeline.edges[0])
    index = np.clip(np.searchsorted(timeline.edges, at, side="left") - 1, 0, len(timeline.judged) - 1)
    return Gains(at[keep], amounts[keep], judged[keep], timeline.planned[index][keep], int((fell & inside).sum()))


def run_time_planned(gains: Gains, ideal: Steps, hold_us: int) -> tuple[Floats, Bools]:
    """Return, for each gain, the run time planned for its parts in seconds, and whether it is known.

    The planned run time in force just before a count is the one by which the part was made: a change of programme often
    comes in the same message as the last part of the old one.
    """
    index, known = ideal.before(gains.times, hold_us)
    per_part = ideal.values[index] if len(ideal) else np.full(len(gains.times), np.nan)
    known = known & np.isfinite(per_part) & (per_part > 0)
    return np.where(known, per_part * gains.amounts, 0.0), known
