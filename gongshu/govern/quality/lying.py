"""Finds the sensors of a dataset that lie, by comparing within its machine and with other machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from gongshu.govern.quality.model import Finding, Measure
from gongshu.govern.quality.series_facts import Queryable, read_last_before, read_slices
from gongshu.govern.quality.shape import Floats, Moves, Slices, Trend, build_slices, drift_ratio, find_stuck, find_trend
from gongshu.model.reading import ValueType
from gongshu.model.series import Series
from gongshu.packs import Pack

SERIES_MAX = 200
"""A machine with more flowing series is judged on its first so many; our bound on cost."""
PEERS_MAX = 8
FLOWING_MIN = 3
STUCK = ("同组测点在变化，本测点停在同一值", "The machine's other series move and this one keeps one value")
DRIFT = ("扣除工况后仍持续偏移，与同类设备不同", "Moves steadily beyond what its machine explains, unlike its peers")


@dataclass(frozen=True, slots=True)
class Machine:
    """The flowing series of one asset."""

    series: tuple[Series, ...]


def flowing(series: Sequence[Series]) -> Machine:
    """Return the series that flow: floating-point measurements that no client sets."""
    kept = [s for s in series if s.sighting.value_type in (ValueType.FLOAT32, ValueType.FLOAT64)]
    return Machine(tuple(s for s in kept if not s.sighting.writable)[:SERIES_MAX])


def judge_shapes(
    lake: Queryable,
    own: Machine,
    peers: Sequence[Machine],
    readings: Mapping[int, int],
    *,
    start: datetime,
    end: datetime,
    limits: Pack,
) -> tuple[Measure, Measure]:
    """Return the measures of stuck and of drifting sensors; B counts the sensors that could be judged.

    Cost: one pass over the readings of the machine and its peers.
    """
    count = int(limits.value("shape.slices"))
    enough = [s for s in own.series if readings.get(s.series_id, 0) >= limits.value("shape.readings_min")]
    if len(enough) < FLOWING_MIN:
        few = ("可分析的连续测点不足三个", "Fewer than three flowing series have enough readings")
        return _silent("shape.stuck", few), _silent("shape.drift", few)
    twins = peers[:PEERS_MAX]
    everyone = [s.series_id for machine in (own, *twins) for s in machine.series]
    rows = read_slices(lake, everyone, start, end, count)
    begun = {int(series_id) for series_id in rows["series_id"][rows["slice"] == 0]}
    late = [series_id for series_id in everyone if series_id not in begun]
    before = read_last_before(lake, late, start) if late else {}
    present = sorted({int(series_id) for series_id in np.unique(rows["series_id"])} | before.keys())
    slices = build_slices(present, count, rows, before)
    index = {series_id: row for row, series_id in enumerate(present)}
    width = (end - start) / count
    return (
        _judge_stuck(_moves(own, slices, index), [_moves(twin, slices, index) for twin in twins], start, width, limits),
        _judge_drift(
            _means(own, slices, index, readings, int(limits.value("drift.readings_min"))),
            [_means(twin, slices, index) for twin in twins],
            limits,
        ),
    )


def _moves(machine: Machine, slices: Slices, index: Mapping[int, int]) -> Moves:
    known = [s for s in machine.series if s.series_id in index]
    rows = [index[s.series_id] for s in known]
    return Moves(tuple(s.sighting.name for s in known), slices.moved[rows], slices.last[rows])


def _means(
    machine: Machine,
    slices: Slices,
    index: Mapping[int, int],
    readings: Mapping[int, int] | None = None,
    readings_min: int = 0,
) -> dict[str, Floats]:
    """Return each series' coarser means by name; series that hardly move explain nothing and are left out.

    With `readings`, the answer is empty unless some series has `readings_min` of them: drift needs a long look.
    """
    if readings is not None and max(readings.values(), default=0) < readings_min:
        return {}
    coarse = slices.mean.reshape(len(slices.mean), -1, COARSER).mean(axis=2)
    moved = slices.moved.mean(axis=1)
    rows = {s.sighting.name: index[s.series_id] for s in machine.series if s.series_id in index}
    return {name: coarse[row] for name, row in rows.items() if moved[row] >= MOVING_RATIO_MIN}


COARSER = 4
MOVING_RATIO_MIN = 0.3
"""Our choices: drift is slow, so it is looked for on means of four slices of series that move in a third of them."""


def _judge_stuck(own: Moves, twins: Sequence[Moves], start: datetime, width: timedelta, limits: Pack) -> Measure:
    runs, judged = find_stuck(
        own,
        twins,
        slices_min=int(limits.value("stuck.slices_min")),
        together_ratio_min=float(limits.value("stuck.together_ratio_min")),
    )
    findings = tuple(
        Finding(
            "shape.stuck",
            "0301",
            run.name,
            run.end - run.first,
            ((start + run.first * width).isoformat(), (start + run.end * width).isoformat()),
            *STUCK,
        )
        for run in runs
    )
    alone = ("没有测点随同组其他测点变化", "No series moves together with others of its machine")
    reason = ("", "") if judged else alone
    return Measure("0301", "shape.stuck", len(judged) - len(runs), len(judged), False, *reason, findings=findings)


def _judge_drift(own: Mapping[str, Floats], twins: Sequence[Mapping[str, Floats]], limits: Pack) -> Measure:
    """Name the worst drift first and leave it out of what explains the others: they would seem to drift against it."""
    drifting: list[str] = []
    judged: set[str] = set()
    while len(drifting) < DRIFTING_MAX:
        ratios = _ratios(own, twins, frozenset(drifting), limits)
        judged |= ratios.keys()
        worst = max(ratios, key=lambda name: ratios[name], default=None)
        if worst is None or ratios[worst] <= 1.0:
            break
        drifting.append(worst)
    findings = tuple(Finding("shape.drift", "0301", name, 1, (), *DRIFT) for name in drifting)
    few = ("读数太少，或没有足够的同类设备可比", "Too few readings, or too few machines with the same series")
    reason = ("", "") if judged else few
    return Measure("0301", "shape.drift", len(judged) - len(drifting), len(judged), False, *reason, findings=findings)


DRIFTING_MAX = 3


def _ratios(
    own: Mapping[str, Floats], twins: Sequence[Mapping[str, Floats]], known: frozenset[str], limits: Pack
) -> dict[str, float]:
    """Return how far each series that is not known to drift stands out; 0 where its trend is not a steady one."""
    ratios = {}
    for name in own.keys() - known:
        mine = _trend_of(name, own, known)
        others = [found for twin in twins if name in twin and (found := _trend_of(name, twin, known)) is not None]
        if mine is None or len(others) < limits.value("drift.peers_min"):
            continue
        believed = mine.steady and mine.explained_ratio >= limits.value("drift.explained_ratio_min")
        ratios[name] = believed * drift_ratio(
            mine,
            others,
            spread_times=float(limits.value("drift.spread_times")),
            noise_times=float(limits.value("drift.noise_times")),
        )
    return ratios


def _trend_of(name: str, machine: Mapping[str, Floats], known: frozenset[str]) -> Trend | None:
    others = [values for other, values in sorted(machine.items()) if other != name and other not in known]
    return find_trend(machine[name], np.array(others)) if others else None


def _silent(rule_id: str, reason: tuple[str, str]) -> Measure:
    return Measure("0301", rule_id, 0, 0, False, *reason)
