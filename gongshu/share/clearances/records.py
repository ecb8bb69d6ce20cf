"""What the record of each procedure holds, and what is wrong with one. Pure.

A record is JSON with a closed form: what is not known here is refused, so that nobody believes in a field that is never
looked at.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gongshu.govern.stewardship import add_months
from gongshu.model.dataset import Dataset
from gongshu.model.grade import Importance
from gongshu.packs import Pack
from gongshu.share.clearances.judging import needed_at_home
from gongshu.share.clearances.model import Kind, PartyStanding

PACK = "network-data-security"
TEXT_MAX = 4000
NAME_MAX = 200
KNOWERS_MAX = 50
"""More names are no 'strictly controlled' circle. Chosen by us."""
DECIMALS_MAX = 9
MARKED_TYPE = "DOUBLE"

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """What a request is judged by."""

    kind: Kind
    dataset: Dataset
    standing: PartyStanding
    pack: Pack
    now: datetime
    valid_until: datetime


def find_faults(record: Record, case: Case) -> Iterator[str]:
    """Yield every reason why a clearance cannot be requested with this record."""
    label = case.dataset.label
    if case.kind is Kind.CROSS_BORDER and case.standing.is_inside:
        yield f"{case.standing.party} is registered in {case.standing.place}, which needs no cross-border record"
    if case.kind is not Kind.CROSS_BORDER and case.kind not in needed_at_home(label):
        yield f"the dataset is {label.grade.term} {label.importance.term}, which does not need this procedure"
    if case.valid_until <= case.now:
        yield "it would end in the past"
    if label.valid_until is None or case.valid_until > label.valid_until:
        due = f"{label.valid_until:%Y-%m-%d}" if label.valid_until else "unknown"
        yield f"it ends at the latest when the yearly review of the grade is due ({due})"
    yield from _FAULTS[case.kind](record, case)


def empty_record(kind: Kind, pack: Pack) -> dict[str, Any]:
    """Return the form of a record, to be filled in."""
    if kind is Kind.STRICT:
        return {"knowers": [{"name": "", "post": ""}], "mark": {"COLUMN": 3}}
    if kind is Kind.CROSS_BORDER:
        paths = " | ".join(_paths(pack))
        return {"path": paths, "reference": "", "issued_on": "2027-01-31", "valid_until": "2027-12-31"}
    aspects = {key: {"finding": "", "acceptable": False} for key in aspects_of(pack)}
    return {
        "agreement": {"reference": "", "signed_on": "2027-01-31"},
        "receiver_check": {"by": "", "on": "2027-01-31", "finding": ""},
        "assessment": {"by": "", "on": "2027-01-31", "aspects": aspects},
    }


def aspects_of(pack: Pack) -> dict[str, str]:
    """Return the six aspects: key and what is asked. Source: 国务院令第790号, 第三十一条."""
    return {item.key.rpartition(".")[2]: item.title_zh for item in pack.under("assessment.aspect")}


def mark_of(record: Record) -> dict[str, int]:
    """Return which columns of a strict record may carry the watermark, and at which decimal."""
    return {str(column): int(decimals) for column, decimals in record["mark"].items()}


def _strict_faults(record: Record, case: Case) -> Iterator[str]:
    yield from _form_faults(record, "the record", {"knowers", "mark"})
    knowers, mark = record.get("knowers"), record.get("mark")
    if not isinstance(knowers, list) or not 1 <= len(knowers) <= KNOWERS_MAX:
        yield f"knowers names 1 to {KNOWERS_MAX} persons"
    for knower in knowers if isinstance(knowers, list) else []:
        yield from _texts(knower, "a knower", {"name": NAME_MAX, "post": NAME_MAX})
    if not isinstance(mark, dict) or not mark:
        yield "mark names no column that may carry the watermark; without one nothing is delivered"
        return
    types = {column.name: column.type for column in case.dataset.columns}
    for column, decimals in mark.items():
        if types.get(column) != MARKED_TYPE:
            yield f"the column {str(column)[:NAME_MAX]!r} is no {MARKED_TYPE} column of the dataset"
        if not isinstance(decimals, int) or isinstance(decimals, bool) or not 1 <= decimals <= DECIMALS_MAX:
            yield f"the decimal that carries the watermark is 1 to {DECIMALS_MAX}"


def _important_faults(record: Record, case: Case) -> Iterator[str]:
    yield from _form_faults(record, "the record", {"agreement", "receiver_check", "assessment"})
    agreement, check, assessment = (record.get(name) for name in ("agreement", "receiver_check", "assessment"))
    yield from _texts(agreement, "agreement", {"reference": NAME_MAX}, "signed_on")
    yield from _past(agreement, "signed_on", "agreement", case.now)
    yield from _texts(check, "receiver_check", {"by": NAME_MAX, "finding": TEXT_MAX}, "on")
    yield from _past(check, "on", "receiver_check", case.now)
    yield from _past(assessment, "on", "assessment", case.now)
    if not isinstance(assessment, dict) or set(assessment) != {"by", "on", "aspects"}:
        yield "assessment holds by, on and aspects"
        return
    yield from _texts({"by": assessment["by"]}, "assessment", {"by": NAME_MAX})
    aspects, asked = assessment["aspects"], aspects_of(case.pack)
    if not isinstance(aspects, dict) or set(aspects) != set(asked):
        yield f"the assessment has a finding for each of {', '.join(asked)}"
        return
    for key, aspect in aspects.items():
        yield from _texts(aspect, f"the aspect {key}", {"finding": TEXT_MAX}, "acceptable")
        if not isinstance(aspect, dict) or aspect.get("acceptable") is not True:
            yield f"the aspect {key} is not found acceptable, so nothing can be cleared"
    months = int(case.pack.value("assessment.valid_months"))
    on = _day(assessment["on"])
    if on is not None and case.valid_until > add_months(_begin(on), months):
        yield f"it ends at the latest {months} months after the assessment"


def _cross_border_faults(record: Record, case: Case) -> Iterator[str]:
    yield from _form_faults(record, "the record", {"path", "reference", "issued_on", "valid_until"})
    paths = _paths(case.pack)
    path = record.get("path")
    if not isinstance(path, str) or path not in paths:
        yield f"path is one of {', '.join(paths)}"
    elif case.dataset.label.importance is not Importance.GENERAL and not paths[path]:
        yield "重要 data leave the country by security_assessment only"
    yield from _texts({"reference": record.get("reference")}, "the record", {"reference": NAME_MAX})
    yield from _past(record, "issued_on", "the record", case.now)
    until = _day(record.get("valid_until"))
    if until is None:
        yield "valid_until is a day as 2027-12-31"
    elif case.valid_until > _begin(until) + timedelta(days=1):
        yield "it ends at the latest with the record's valid_until"


_FAULTS: Mapping[Kind, Callable[[Record, Case], Iterator[str]]] = {
    Kind.STRICT: _strict_faults,
    Kind.IMPORTANT: _important_faults,
    Kind.CROSS_BORDER: _cross_border_faults,
}


def _paths(pack: Pack) -> dict[str, bool]:
    return {item.key.rpartition(".")[2]: bool(item.value) for item in pack.under("cross_border.path")}


def _form_faults(part: Record, what: str, names: set[str]) -> Iterator[str]:
    if set(part) != names:
        yield f"{what} holds {', '.join(sorted(names))} and nothing else"


def _texts(part: object, what: str, names: Mapping[str, int], *others: str) -> Iterator[str]:
    if not isinstance(part, dict) or set(part) != {*names, *others}:
        yield f"{what} holds {', '.join([*names, *others])} and nothing else"
        return
    for name, longest in names.items():
        if not isinstance(part[name], str) or not 0 < len(part[name].strip()) <= longest:
            yield f"{name} of {what} is a text of 1 to {longest} characters"


def _past(part: object, name: str, what: str, now: datetime) -> Iterator[str]:
    day = _day(part.get(name)) if isinstance(part, dict) else None
    # Dates are written where people are: a day east of Greenwich begins up to 14 hours before it does in UTC.
    if day is None or _begin(day) > now + timedelta(hours=14):
        yield f"{name} of {what} is a day that has begun, as 2027-01-31"


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
