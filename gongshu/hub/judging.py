"""Whether a report is accepted: pure rules over a report, its agreement and what is there already."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gongshu.hub.errors import RevisionTaken
from gongshu.hub.indicators import judge_value
from gongshu.hub.model import Indicator, Report, Terms
from gongshu.hub.period import Period, bounds_of


@dataclass(frozen=True, slots=True)
class Known:
    """The newest accepted report of the same agreement and month."""

    revision: int
    preliminary: bool


def judge_report(
    report: Report, terms: Terms, indicators: Sequence[Indicator], known: Known | None, *, now: datetime
) -> tuple[str, ...]:
    """Return what is wrong with a report; empty means that it can be accepted. Values are never repeated in findings.

    `indicators` are those of the agreement. Signature and sender are proved before, the revision after.
    """
    findings = [*_judge_period(report, terms, now)]
    if report.province != terms.province:
        findings.append("it is addressed to another province")
    if report.division != terms.division:
        findings.append(f"its division is {report.division}, the agreement says {terms.division}")
    if known is not None and not known.preliminary and report.preliminary:
        findings.append("a final report is here already; a preliminary one cannot replace it")
    return (*findings, *_judge_values(report, indicators))


def require_next_revision(report: Report, known: Known | None) -> None:
    """Refuse a revision number that is used or leaves a gap.

    Raises: RevisionTaken.
    """
    expected = known.revision + 1 if known else 1
    if report.revision != expected:
        raise RevisionTaken(period=report.period, expected=expected, seen=report.revision)


def due_at(period: Period, terms: Terms) -> datetime:
    """Return when the final report of a month is due."""
    end = bounds_of(period, utc_offset_minutes=terms.utc_offset_minutes)[1]
    return end + timedelta(days=terms.due_days)


def is_covered(period: Period, terms: Terms) -> bool:
    """Return whether a month lies, at least in part, within the agreement's time."""
    start, end = bounds_of(period, utc_offset_minutes=terms.utc_offset_minutes)
    return start < terms.valid_until and terms.valid_from < end


def _judge_period(report: Report, terms: Terms, now: datetime) -> list[str]:
    start, end = bounds_of(report.period, utc_offset_minutes=terms.utc_offset_minutes)
    if not is_covered(report.period, terms):
        return ["the agreement does not cover this month"]
    if now < start:
        return ["this month has not begun"]
    if now < end and not report.preliminary:
        return ["this month is not over; mark the report as preliminary"]
    return []


def _judge_values(report: Report, indicators: Sequence[Indicator]) -> list[str]:
    findings = []
    agreed = {indicator.code: indicator for indicator in indicators}
    seen = [value.indicator for value in report.values]
    if missing := sorted(agreed.keys() - set(seen)):
        findings.append(f"agreed indicators are missing: {', '.join(missing)}")
    if extra := sorted(set(seen) - agreed.keys()):
        findings.append(f"indicators that were not agreed: {', '.join(extra)}")
    if len(seen) != len(set(seen)):
        findings.append("an indicator stands twice")
    for value in report.values:
        indicator = agreed.get(value.indicator)
        if indicator is None:
            continue
        if value.unit != indicator.unit:
            findings.append(f"{value.indicator} is in {value.unit!r}, not in {indicator.unit!r}")
        if finding := judge_value(value.value, indicator):
            findings.append(finding)
        if value.value is None and not value.reason:
            findings.append(f"{value.indicator} has neither a value nor a reason")
    return findings
