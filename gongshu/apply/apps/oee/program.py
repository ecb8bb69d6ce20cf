"""One run of OEE: readings of all machines in, figures and tables out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gongshu.apply.apps.oee.counts import Gains, find_gains, run_time_planned
from gongshu.apply.apps.oee.factors import FACTORS, INDEX, Amounts, evaluate_all, make_term, open_figures
from gongshu.apply.apps.oee.steps import Micros, Steps, steps_of
from gongshu.apply.apps.oee.timeline import NO_REASON, OFF, MachineSteps, Timeline, cut_timeline
from gongshu.apply.errors import ParameterInvalid
from gongshu.apply.model import AppCall, AppResult, AssetResult, BoundInput, Term
from gongshu.model.ids import AssetId, SeriesId
from gongshu.packs import Pack

APP = "oee"
BUCKETS_MAX = 50_000
STEP_ROLES = ("state", "planned_busy", "part_count", "reject_count", "ideal_cycle", "stop_reason")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Settings:
    """The run's parameters, checked, in microseconds."""

    begin: int
    """Where the look-back begins."""
    start: int
    end: int
    now: int
    bounds: Micros
    """Of the buckets, the period's start and end included."""
    hold: int
    silence_max_s: float
    state_map: Mapping[int, str]


def compute(call: AppCall) -> AppResult:
    """Return OEE of each bound machine over the period and by bucket, and its stops by reason.

    Raises: ParameterInvalid, Denied.
    Cost: one read a machine's dataset of the values that are told when they change, and one scan of its heartbeat.
    """
    settings = read_settings(call)
    pack = call.packs["iso-22400-2"]
    bound = [b for roles in call.inputs.values() for role, b in roles.items() if role in STEP_ROLES]
    look_back = 2 * timedelta(microseconds=settings.hold)
    readings = call.source.read(sorted({b.series.series_id for b in bound}), call.start - look_back, call.end)
    silences = _silences(call, settings)
    machines = [_Machine(asset, roles, readings, silences, settings) for asset, roles in sorted(call.inputs.items())]
    return AppResult(
        assets=tuple(machine.result(pack) for machine in machines),
        outputs={
            "oee_machine": _table(call, "oee_machine", [row for m in machines for row in m.buckets(pack)]),
            "oee_stops": _table(call, "oee_stops", [row for m in machines for row in m.stops()]),
        },
        readings=len(readings),
        digest=_digest(readings, silences),
    )


def _silences(call: AppCall, settings: Settings) -> pa.Table:
    """Return the heartbeats' silences, looking as far past both ends as a silence may last: so where a period is cut
    does not change what is judged."""
    hearts = sorted({roles["heartbeat"].series.series_id for roles in call.inputs.values() if "heartbeat" in roles})
    margin = timedelta(seconds=settings.silence_max_s)
    until = max(min(call.end + margin, call.now), call.end)
    begin = _moment(settings.begin) - margin
    return call.source.gaps(hearts, begin, until, gap_min_s=settings.silence_max_s)


def read_settings(call: AppCall) -> Settings:
    """Return the parameters of a run.

    Raises: ParameterInvalid.
    """
    start, end = _micros(call.start), _micros(call.end)
    hold = round(float(call.params["hold_max_s"]) * 1e6)
    bucket = round(float(call.params["bucket_s"]) * 1e6)
    bounds = np.array([start, end])
    if bucket:
        count = (end - start) // bucket + 2
        if count > BUCKETS_MAX:
            seen = f"{call.params['bucket_s']} ({count} buckets)"
            raise ParameterInvalid(app=APP, parameter="bucket_s", seen=seen, expected=f"at most {BUCKETS_MAX} buckets")
        inner = np.arange(start // bucket + 1, -(-end // bucket)) * bucket
        bounds = np.concatenate(([start], inner, [end]))
    return Settings(
        begin=start - hold,
        start=start,
        end=end,
        now=_micros(call.now),
        bounds=bounds.astype(np.int64),
        hold=hold,
        silence_max_s=float(call.params["silence_max_s"]),
        state_map=parse_state_map(str(call.params["state_map"]), call.packs["iso-22400-2"]),
    )


def parse_state_map(text: str, pack: Pack) -> dict[int, str]:
    """Return what each state code means.

    Raises: ParameterInvalid if it is not `code=element,…`, with elements of the pack that are times, or OFF.
    """
    times = {item.key.removeprefix("element.") for item in pack.under("element") if item.value["unit"] == "s"}
    known = (times - {"PBT", "PRI", "PRI_PQ"}) | {OFF}
    meaning: dict[int, str] = {}
    for part in text.split(","):
        code, _, element = part.strip().partition("=")
        if not code.strip().lstrip("-").isdecimal() or element.strip() not in known or int(code) in meaning:
            expected = f"write CODE=ELEMENT,… with each code once and elements of {', '.join(sorted(known))}"
            raise ParameterInvalid(app=APP, parameter="state_map", seen=part.strip(), expected=expected)
        meaning[int(code)] = element.strip()
    return meaning


class _Machine:
    """The timeline and counts of one machine."""

    def __init__(
        self,
        asset: AssetId,
        roles: Mapping[str, BoundInput],
        readings: pa.Table,
        silences: pa.Table,
        settings: Settings,
    ) -> None:
        self._asset, self._roles, self._settings = asset, roles, settings
        self._steps = {
            role: steps_of(readings, b.series.series_id, factor=b.factor, offset=b.offset)
            for role, b in roles.items()
            if role in STEP_ROLES
        }
        self._silences = _spans(silences, roles["heartbeat"].series.series_id) if "heartbeat" in roles else None
        s, hold = settings, settings.hold
        machine = MachineSteps(
            self._steps["state"], self._steps.get("planned_busy"), self._steps.get("stop_reason"), self._silences
        )
        self.timeline: Timeline = cut_timeline(
            machine, s.state_map, extra_edges=s.bounds, begin=s.begin, end=s.end, now=s.now, hold_us=hold
        )
        self.parts: Gains = find_gains(self._steps["part_count"], self.timeline, start=s.start, hold_us=hold)
        self.rejects: Gains = find_gains(self._steps["reject_count"], self.timeline, start=s.start, hold_us=hold)
        self._run_time_s, self._run_time_known = run_time_planned(self.parts, self._steps["ideal_cycle"], hold)

    def amounts(self, bounds: Micros) -> list[Amounts]:
        """Return the elements of each span between two neighbouring bounds, which are edges of the timeline."""
        t, p, r = self.timeline, self.parts, self.rejects
        pbt_us = _add_up(t.starts, t.lengths_us * t.planned, bounds)
        apt_us = _add_up(t.starts, t.lengths_us * (t.planned & t.producing), bounds)
        counted = p.judged & p.planned
        parts = _add_up(p.times, p.amounts * counted, bounds)
        rejects = _add_up(r.times, r.amounts * (r.judged & r.planned), bounds)
        run_time_s = _add_up(p.times, self._run_time_s * counted, bounds)
        unknown = _add_up(p.times, (counted & ~self._run_time_known) * 1, bounds)
        return [
            Amounts(
                pbt_s=pbt_us[i] / 1e6,
                apt_s=apt_us[i] / 1e6,
                pri_pq_s=run_time_s[i] if unknown[i] == 0 else None,
                parts=int(parts[i]),
                rejects=int(rejects[i]),
            )
            for i in range(len(bounds) - 1)
        ]

    def buckets(self, pack: Pack) -> list[dict[str, Any]]:
        """Return one row a bucket."""
        t, bounds = self.timeline, self._settings.bounds
        idle_us = _add_up(t.starts, t.lengths_us * (t.judged & ~t.planned), bounds)
        lost_us = _add_up(t.starts, t.lengths_us * ~t.judged, bounds)
        return [
            {
                "asset": self._asset,
                "bucket_start": _moment(int(bounds[i])),
                "bucket_end": _moment(int(bounds[i + 1])),
                "pbt_s": amounts.pbt_s,
                "apt_s": amounts.apt_s,
                "not_planned_s": idle_us[i] / 1e6,
                "not_judged_s": lost_us[i] / 1e6,
                "parts": amounts.parts,
                "rejects": amounts.rejects,
                "pri_pq_s": amounts.pri_pq_s,
                **evaluate_all(amounts, pack),
            }
            for i, amounts in enumerate(self.amounts(bounds))
        ]

    def stops(self) -> list[dict[str, Any]]:
        """Return planned time without production by reason, the longest first; a stop is counted where it begins."""
        t = self.timeline
        stopped = t.planned & ~t.producing
        reasons = np.where(t.reason == "", NO_REASON, t.reason)
        keys = np.array([f"{r}\n{e}" for r, e in zip(reasons.tolist(), t.element.tolist(), strict=True)], dtype=object)
        keys = np.where(stopped, keys, "")
        begins = stopped & (keys != np.concatenate(([""], keys[:-1])))
        inside = t.starts >= self._settings.start
        rows = []
        for key in sorted(set(keys[stopped & inside].tolist())):
            mine = inside & (keys == key)
            reason, _, element = key.partition("\n")
            rows.append(
                {
                    "asset": self._asset,
                    "reason": reason,
                    "element": element,
                    "duration_s": _seconds(t.lengths_us[mine]),
                    "stops": int((begins & mine).sum()),
                }
            )
        return sorted(rows, key=lambda row: (-row["duration_s"], row["reason"]))

    def result(self, pack: Pack) -> AssetResult:
        """Return the figures of the whole period, opened, and the numbers beside them."""
        s, t = self._settings, self.timeline
        (amounts,) = self.amounts(np.array([s.start, s.end]))
        terms = {key: self._term(key, value, pack) for key, value in amounts.elements().items()}
        inside = t.starts >= s.start
        notes: dict[str, float | int | str | None] = {
            "period_s": (s.end - s.start) / 1e6,
            "not_planned_s": _seconds(t.lengths_us[inside & t.judged & ~t.planned]),
            "not_judged_s": _seconds(t.lengths_us[inside & ~t.judged]),
            "produced_unplanned_s": _seconds(t.lengths_us[inside & t.producing & ~t.planned]),
            "parts_unplanned": int(self.parts.amounts[self.parts.judged & ~self.parts.planned].sum()),
            "parts_not_judged": int(self.parts.amounts[~self.parts.judged].sum()),
            "counter_resets": self.parts.resets + self.rejects.resets,
            "unknown_states": ",".join(map(str, sorted(self._unknown_states(inside)))),
        }
        for code in sorted(set(t.state[inside & (t.state != 0)].tolist())):
            notes[f"state_{code}_s"] = _seconds(t.lengths_us[inside & (t.state == code)])
        return AssetResult(self._asset, open_figures(amounts, terms, pack), notes)

    def _unknown_states(self, inside: NDArray[np.bool_]) -> set[int]:
        return set(self.timeline.state[inside].tolist()) - self._settings.state_map.keys() - {0}

    def _term(self, key: str, value: float | None, pack: Pack) -> Term:
        roles = _ROLES_OF[key]
        used, excluded, series = 0, 0, []
        for role in roles:
            if (bound := self._roles.get(role)) is None:
                continue
            series.append(bound.series.series_id)
            if (steps := self._steps.get(role)) is not None:
                good, bad = self._count(steps)
                used, excluded = used + good, excluded + bad
        return replace(make_term(key, value, pack), series=tuple(series), readings=used, excluded=excluded)

    def _count(self, steps: Steps) -> tuple[int, int]:
        """Readings used and left out: within the period, and the one in force at its start."""
        first = max(int(np.searchsorted(steps.times, self._settings.start, side="right")) - 1, 0)
        good = steps.good[first:]
        return int(good.sum()), int((~good).sum())


_ROLES_OF = {
    "PBT": ("planned_busy", "state", "heartbeat"),
    "APT": ("state", "planned_busy", "heartbeat"),
    "PRI_PQ": ("ideal_cycle", "part_count", "state", "planned_busy"),
    "PQ": ("part_count", "state", "planned_busy"),
    "GQ": ("part_count", "reject_count", "state", "planned_busy"),
}
"""Which roles make each element; the heartbeat only takes time away."""


def _table(call: AppCall, name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    schema = next(output.schema for output in call.spec.outputs if output.name == name)
    return pa.Table.from_pylist([{**row, "run_id": call.run_id} for row in rows], schema=schema)


def _spans(gaps: pa.Table, series_id: SeriesId) -> Micros:
    mine = gaps.filter(pc.equal(gaps["series_id"], int(series_id)))
    pairs = [mine[name].cast(pa.int64()).to_numpy() for name in ("gap_start", "gap_end")]
    return np.stack(pairs, axis=1)


def _digest(readings: pa.Table, silences: pa.Table) -> str:
    """SHA-256 over what was read, column by column, whatever the chunks it came in."""
    total = hashlib.sha256()
    for table in (readings, silences):
        for column in table.columns:
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            if pa.types.is_string(column.type):
                total.update("\x00".join(f"={t}" if t is not None else "-" for t in column.to_pylist()).encode())
            else:
                total.update(np.ascontiguousarray(column.to_numpy()).tobytes())
    return total.hexdigest()


def _add_up(times: Micros, amounts: NDArray[Any], bounds: Micros) -> list[float]:
    """Return the sum of the amounts whose time lies in each span; whole microseconds stay exact as doubles."""
    index = np.searchsorted(bounds, times, side="right") - 1
    inside = (index >= 0) & (index < len(bounds) - 1)
    sums: list[float] = np.bincount(index[inside], amounts[inside], minlength=len(bounds) - 1).tolist()
    return sums


def _seconds(lengths_us: Micros) -> float:
    return int(lengths_us.sum()) / 1e6


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(micros))


__all__ = ["FACTORS", "INDEX", "Settings", "compute", "parse_state_map", "read_settings"]
