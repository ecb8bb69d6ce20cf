"""Sensors that lie: stuck and drifting ones, told apart from machines that stand still or run otherwise. Pure.

Works on slices of time (some hundreds a series), never on single readings. *Stuck*: a series that moves when certain
others of its machine move (its partners, learnt from the rest of the span and from twin machines), and keeps one value
other than zero while they go on. *Drift*: a series follows others of its machine plus a straight line in time; the
line of this machine is far off the lines that the same series has on twin machines.
See docs/decisions/0030-a-lying-sensor-and-an-ill-plant.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SMOOTHINGS = (1.0, 0.3, 0.1)
"""How quickly each explaining series is followed, per slice: at once, and with two lags (heat follows load)."""
RIDGE = 1e-3
WARM_UP_RATIO = 0.1
"""The first slices only fill the lags."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Series × slice; a slice without readings carries the last value on."""

    low: Floats
    high: Floats
    mean: Floats
    last: Floats
    """NaN before the first reading."""

    @property
    def moved(self) -> Flags:
        """True where a series changed within the slice or since the one before."""
        before = np.concatenate([self.last[:, :1], self.last[:, :-1]], axis=1)
        with np.errstate(invalid="ignore"):
            moved: Flags = (self.high > self.low) | (self.last != before) & ~np.isnan(before)
        return moved


def build_slices(
    series: Sequence[int], count: int, rows: Mapping[str, npt.NDArray[np.generic]], before: Mapping[int, float]
) -> Slices:
    """Return the slices of some series from grouped rows.

    Shape: `rows` has equally long columns series_id, slice (0..count-1), low, high, mean, last; `before` is each
    series' last value before the first slice, for sources that report on change only.
    """
    index = {series_id: i for i, series_id in enumerate(series)}
    where = np.array([index[int(series_id)] for series_id in rows["series_id"]], dtype=np.int64)
    at = rows["slice"].astype(np.int64)
    grids = {}
    for name in ("low", "high", "mean", "last"):
        grid = np.full((len(series), count), np.nan)
        grid[where, at] = rows[name].astype(np.float64)
        grids[name] = grid
    for series_id, value in before.items():
        first = grids["last"][index[series_id]]
        if np.isnan(first[0]):
            first[0] = value
    last = _carry(grids["last"])
    for name in ("low", "high", "mean"):
        grids[name] = np.where(np.isnan(grids[name]), last, grids[name])
    return Slices(grids["low"], grids["high"], grids["mean"], last)


@dataclass(frozen=True, slots=True)
class Moves:
    """What moved on one machine: series name × slice."""

    names: tuple[str, ...]
    moved: Flags
    last: Floats


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run of slices in which a series should have moved and did not."""

    name: str
    first: int
    end: int


def find_stuck(
    own: Moves, twins: Sequence[Moves], *, slices_min: int, together_ratio_min: float
) -> tuple[list[Stuck], list[str]]:
    """Return the stuck runs, and the names of the series that could be judged at all."""
    runs: list[Stuck] = []
    judged: list[str] = []
    for row, name in enumerate(own.names):
        first, end = _longest_still_run(own.moved[row], own.last[row])
        rest = np.ones(own.moved.shape[1], dtype=np.bool_)
        rest[first:end] = False
        pools = [(own, rest), *((twin, np.ones(twin.moved.shape[1], dtype=np.bool_)) for twin in twins)]
        partners = _partners(name, pools, slices_min=slices_min, together_ratio_min=together_ratio_min)
        rows = [own.names.index(partner) for partner in partners if partner in own.names]
        if len(rows) < 2:
            continue
        judged.append(name)
        busy = own.moved[rows][:, first:end].mean(axis=0) > 0.5
        if busy.sum() >= slices_min:
            runs.append(Stuck(name, first, end))
    return runs, judged


PARTNERS_MAX = 3


def _partners(
    name: str, pools: Sequence[tuple[Moves, Flags]], *, slices_min: int, together_ratio_min: float
) -> list[str]:
    """Return the series that move when this one does, and rest when it rests, on every machine taken together."""
    both: dict[str, int] = {}
    either: dict[str, int] = {}
    for moves, kept in pools:
        if name not in moves.names:
            continue
        mine = moves.moved[moves.names.index(name)] & kept
        for row, other in enumerate(moves.names):
            if other != name:
                theirs = moves.moved[row] & kept
                both[other] = both.get(other, 0) + int((mine & theirs).sum())
                either[other] = either.get(other, 0) + int((mine | theirs).sum())
    ratios = {other: both[other] / count for other, count in either.items() if both[other] >= slices_min}
    close = sorted((other for other, ratio in ratios.items() if ratio >= together_ratio_min), key=lambda o: -ratios[o])
    return close[:PARTNERS_MAX]


def _longest_still_run(moved: Flags, last: Floats) -> tuple[int, int]:
    """Return the longest run without movement at a value other than zero: zero is a machine at rest."""
    still = ~moved & (last != 0.0) & ~np.isnan(last)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest])


@dataclass(frozen=True, slots=True)
class Trend:
    """What time adds to a series beyond what the others of its machine explain; units are the series' own."""

    over_span: float
    noise: float
    """Standard deviation of what is left."""
    explained_ratio: float
    """Share of the variance that the model explains."""
    steady: bool
    """Both halves of the span show it, with the same sign."""


EXPLAINING_MAX = 4


def find_trend(target: Floats, others: Floats) -> Trend | None:
    """Return the trend of a series, or None where there is too little to go by.

    Shape: `target` is one mean a slice, `others` series × slice; the closest few explain, at once and with lags.
    """
    count = len(target)
    keep = slice(int(count * WARM_UP_RATIO), None)
    if np.isnan(target).any() or target.std() == 0.0 or is_counter(target):
        return None
    time = np.arange(count) / count
    explaining = _closest(target, others)
    if not explaining:
        return None
    features = [np.ones(count), time, *(_follow(other, step) for other in explaining for step in SMOOTHINGS)]
    matrix, wanted = np.array(features).T[keep], target[keep]
    if len(wanted) < 2 * len(features):
        return None
    scale = matrix.std(axis=0)
    scale[scale == 0.0] = 1.0
    scaled = matrix / scale
    ridge = np.eye(scaled.shape[1]) * RIDGE * len(wanted)
    ridge[0, 0] = ridge[1, 1] = 0.0
    weights = np.linalg.solve(scaled.T @ scaled + ridge, scaled.T @ wanted)
    left = wanted - scaled @ weights
    slope = float(weights[1] / scale[1])
    unexplained = slope * time[keep] + left
    half = len(wanted) // 2
    slopes = [_slope(unexplained[:half]) * count, _slope(unexplained[half:]) * count]
    return Trend(
        over_span=slope,
        noise=float(left.std()),
        explained_ratio=1.0 - float(left.var() / wanted.var()) if wanted.var() else 0.0,
        steady=all(part * slope > 0.0 and abs(part) >= STEADY_RATIO * abs(slope) for part in slopes),
    )


STEADY_RATIO = 0.4
"""Each half has to show at least this share of the whole trend's slope. Our choice, on synthetic data."""


def is_counter(values: Floats) -> bool:
    """Return whether a series only grows, like an energy meter: its trend is its nature."""
    return bool((np.diff(values) >= 0.0).all())


def drift_ratio(own: Trend, twins: Sequence[Trend], *, spread_times: float, noise_times: float) -> float:
    """Return by how much a trend passes both bounds: more than 1 stands out from its noise and from its twins."""
    trends = np.array([twin.over_span for twin in twins])
    spread = max(float(trends.max() - trends.min()), float(np.median([twin.noise for twin in twins])))
    away = abs(own.over_span - float(np.median(trends)))
    bound = max(spread_times * spread, noise_times * own.noise)
    return away / bound if bound > 0.0 else 0.0


def _closest(target: Floats, others: Floats) -> list[Floats]:
    """The others that go most with the target once a straight line is taken off both."""
    flat = _detrend(target)
    scored = []
    for other in others:
        if not np.isnan(other).any() and other.std() > 0.0 and not is_counter(other):
            level = _detrend(_follow(other, SMOOTHINGS[1]))
            scored.append((abs(float(np.corrcoef(flat, level)[0, 1])), other))
    return [other for _, other in sorted(scored, key=lambda pair: -pair[0])[:EXPLAINING_MAX]]


def _detrend(values: Floats) -> Floats:
    time = np.arange(len(values)) - (len(values) - 1) / 2.0
    flat: Floats = values - values.mean() - _slope(values) * time
    return flat


def _slope(values: Floats) -> float:
    time = np.arange(len(values)) - (len(values) - 1) / 2.0
    return float((time @ values) / (time @ time))


def _follow(values: Floats, step: float) -> Floats:
    followed = np.empty_like(values)
    now = values[0]
    for at, value in enumerate(values):
        now = now + step * (value - now)
        followed[at] = now
    return followed


def _carry(grid: Floats) -> Floats:
    """Fill gaps of each row with the last value before them."""
    seen = np.where(~np.isnan(grid), np.arange(grid.shape[1]), 0)
    np.maximum.accumulate(seen, axis=1, out=seen)
    return np.take_along_axis(grid, seen, axis=1)
