"""Whether data hold what an app needs: pure judgements over what was counted.

Three outcomes. What could not be judged keeps the app from running just as something broken does: "unknown" is never
"good". An optional role may be left unbound; a role that is bound must hold, required or not.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from gongshu.apply.model import AssetBinding, BoundInput, Finding, Inputs, Outcome, SeriesFacts
from gongshu.apply.spec import AppSpec, InputSpec
from gongshu.apply.units import Units
from gongshu.model.ids import AssetId, SeriesId
from gongshu.model.series import Series

UNREADABLE = "the gate refuses it"


def judge_bindings(
    spec: AppSpec, binding: AssetBinding, known: Mapping[SeriesId, Series], units: Units
) -> tuple[list[Finding], dict[str, BoundInput]]:
    """Judge what can be said without a reading: bound, of the right kind, in a unit that converts.

    Return the findings and the inputs that passed all of it.
    """
    findings: list[Finding] = []
    usable: dict[str, BoundInput] = {}
    for wanted in spec.inputs:
        mine, passed = _judge_role(wanted, binding, known, units)
        findings += mine
        if passed is not None:
            usable[wanted.role] = passed
    return findings, usable


def judge_facts(inputs: Inputs, facts: Mapping[SeriesId, SeriesFacts], *, seen_until: datetime) -> list[Finding]:
    """Judge what the readings of the inputs must hold; `seen_until` is the end of the span, or now if earlier."""
    return [
        finding
        for asset, roles in inputs.items()
        for bound in roles.values()
        for finding in _judge_need(asset, bound, facts.get(bound.series.series_id), seen_until)
    ]


def _judge_role(
    wanted: InputSpec, binding: AssetBinding, known: Mapping[SeriesId, Series], units: Units
) -> tuple[list[Finding], BoundInput | None]:
    say = _Say(binding.asset, wanted)
    series_id = binding.roles.get(wanted.role)
    if series_id is None:
        remedy = f"bind a series to {wanted.role}, e.g. one named {', '.join(wanted.names[:3])}"
        missing = say.of("bound", Outcome.BROKEN, "no series", wanted.title_en, remedy)
        return [replace(missing, required=wanted.required)], None
    series = known.get(series_id)
    if series is None:
        return [
            say.of("bound", Outcome.BROKEN, f"series {series_id} does not exist", "a registered series", "bind another")
        ], None
    seen = series.sighting
    findings = [say.of("bound", Outcome.HOLDS, f"series {series_id} {seen.asset}/{seen.name}", "a registered series")]
    right = wanted.kind.takes(seen.value_type)
    findings.append(
        say.of(
            "kind",
            Outcome.HOLDS if right else Outcome.BROKEN,
            f"values of type {seen.value_type}",
            str(wanted.kind),
            "" if right else "bind a series of that kind",
        )
    )
    if not wanted.unit:
        return findings, BoundInput(wanted, series) if right else None
    conversion = units.convert(seen.unit, wanted.unit) if seen.unit else None
    if conversion is None:
        outcome = Outcome.BROKEN if seen.unit else Outcome.NOT_JUDGED
        remedy = f"bind a series in {wanted.unit}, or set the unit at the source"
        findings.append(say.of("unit", outcome, f"unit {seen.unit or 'unknown'}", wanted.unit, remedy))
        return findings, None
    note = "" if conversion.is_identity else f" (converted: × {conversion.factor:g} + {conversion.offset:g})"
    findings.append(say.of("unit", Outcome.HOLDS, f"unit {seen.unit}{note}", wanted.unit))
    return findings, BoundInput(wanted, series, conversion.factor, conversion.offset) if right else None


def _judge_need(asset: AssetId, bound: BoundInput, facts: SeriesFacts | None, seen_until: datetime) -> list[Finding]:
    wanted, need, say = bound.spec, bound.spec.need, _Say(asset, bound.spec)
    if facts is None or facts.withheld:
        remedy = "ask a security administrator to permit the app, or bind a series that it may read"
        seen = UNREADABLE if facts is None else f"the gate lets it out only changed: {facts.withheld}"
        return [say.of("readable", Outcome.NOT_JUDGED, seen, "readable by the app, unchanged", remedy)]
    in_force = 1 if facts.before is not None and need.gap_max_s is None else 0
    enough = facts.readings + in_force >= need.readings_min
    findings = [
        say.of(
            "readings",
            Outcome.HOLDS if enough else Outcome.BROKEN,
            f"{facts.readings} readings" + (" and one in force at the start" if in_force else ""),
            f"at least {need.readings_min}",
            "" if enough else "collect the source, or choose a span that has data",
        )
    ]
    if facts.readings:
        share = facts.good / facts.readings
        good = share >= need.good_ratio_min
        findings.append(
            say.of(
                "good",
                Outcome.HOLDS if good else Outcome.BROKEN,
                f"{share:.1%} of {facts.readings} readings good",
                f"at least {need.good_ratio_min:.0%}",
                "" if good else f"repair the source of {bound.series.sighting.address}",
            )
        )
    if need.gap_max_s is not None and facts.readings:
        small = facts.gap_s <= need.gap_max_s
        remedy = "" if small else "choose a span without the gap, or repair the collection"
        outcome = Outcome.HOLDS if small else Outcome.BROKEN
        seen = f"longest gap {facts.gap_s:.1f} s"
        findings.append(say.of("gap", outcome, seen, f"at most {need.gap_max_s:g} s", remedy))
    last = facts.last or facts.before
    if need.age_max_s is not None and last is not None:
        age_s = (seen_until - last).total_seconds()
        fresh = age_s <= need.age_max_s
        remedy = "" if fresh else f"start the collection of {wanted.role} again"
        outcome = Outcome.HOLDS if fresh else Outcome.BROKEN
        expected = f"at most {need.age_max_s:g} s before the end"
        findings.append(say.of("age", outcome, f"last reading {age_s:.1f} s before the end", expected, remedy))
    return findings


class _Say:
    """Makes the findings of one role."""

    def __init__(self, asset: AssetId, wanted: InputSpec) -> None:
        self._asset, self._wanted = asset, wanted

    def of(self, need: str, outcome: Outcome, seen: str, expected: str, remedy: str = "") -> Finding:
        return Finding(self._asset, self._wanted.role, need, outcome, seen, expected, remedy)
