"""One constraint of an ODRL policy as one field of the terms, and back. Pure; `odrl` puts whole policies together."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from gongshu.share.dsp.messages import EDC_NAMESPACE
from gongshu.share.dsp.reader import compact_name
from gongshu.share.errors import TermsUnknown
from gongshu.share.terms import LEGAL_ONLY_ALLOWED, NAME_MAX, Comparison, RowCondition

Json = dict[str, Any]

COLUMNS = "urn:gongshu:term:columns"
ROWS = "urn:gongshu:term:rows"
ROW = "urn:gongshu:term:row:"
"""Followed by the column's name, percent-encoded: what holds for each row."""
AGGREGATE_MIN = "urn:gongshu:term:aggregate_min"
LEGAL_ONLY = "urn:gongshu:term:legal_only"
"""Left operands of our own; ODRL has none for parts of a table, and none for classes of enforcement."""

ROW_CONDITIONS_MAX = 32
IN_FORCE = f"{EDC_NAMESPACE}inForceDate"
"""The one left operand that an EDC as it comes evaluates; read, never written."""
_FROM_AGREEMENT = re.compile(r"contract[Aa]greement\+([0-9]{1,10})([smhd])", re.ASCII)
_DURATION = re.compile(r"P(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,12})S)?)?", re.ASCII)


def constraint_of(left: str, operator: str, right: str | list[str]) -> Json:
    """Return the constraint in compact form."""
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def row_constraint(condition: RowCondition) -> Json:
    """Return a condition on rows; its values travel as text, and the column's type says how they are read."""
    values = sorted(condition.values)
    right = values if condition.comparison is Comparison.AMONG else values[0]
    return constraint_of(ROW + quote(condition.column, safe=""), condition.comparison.value, right)


def instant_text(at: datetime) -> str:
    """Return an xsd:dateTime in UTC, to the microsecond."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def read_constraint(constraint: Any, found: Json) -> None:
    """Add to `found` what one constraint says.

    Raises: TermsUnknown.
    """
    if not isinstance(constraint, dict):
        raise TermsUnknown(what="a constraint that is no object")
    if set(constraint) - {"@type"} == {"and"}:
        parts = constraint["and"]
        for part in parts if isinstance(parts, list) else [parts]:
            read_constraint(part, found)
        return
    if set(constraint) - {"@type", "@id"} != {"leftOperand", "operator", "rightOperand"}:
        keys = ", ".join(sorted(str(key)[:40] for key in constraint))
        raise TermsUnknown(what=f"a constraint of the form ({keys})")
    left = compact_name(str(constraint["leftOperand"]))
    operator, right = str(constraint["operator"]), constraint["rightOperand"]
    if left.startswith(ROW):
        _add_row_condition(left, operator, right, found)
        return
    reader = _READERS.get(left)
    if reader is None:
        raise TermsUnknown(what=f"the operand {left[:NAME_MAX]!r}")
    name, value = reader(left, operator, right)
    if name in found:
        raise TermsUnknown(what=f"the operand {left!r} twice")
    found[name] = value


def names_of(left: str, operator: str, right: Any) -> frozenset[str]:
    """Return the texts that a constraint names. Raises: TermsUnknown."""
    values = right if isinstance(right, list) else [right]
    if operator not in ("isAnyOf", "isPartOf", "eq") or (operator == "eq" and len(values) != 1) or not values:
        raise TermsUnknown(what=f"the operator {operator[:40]!r} with {left!r}")
    return frozenset(text_of(left, value) for value in values)


def text_of(left: str, value: Any) -> str:
    """Return a value that is a short text. Raises: TermsUnknown."""
    if not isinstance(value, str) or not 0 < len(value) <= NAME_MAX:
        raise TermsUnknown(what=f"a value of {left!r} that is no short text")
    return value


def seconds_of(left: str, right: Any) -> int:
    """Return an xsd:duration of days, hours, minutes and seconds. Raises: TermsUnknown, also for months and years.

    >>> seconds_of("elapsedTime", "P1DT1H")
    90000
    """
    match = _DURATION.fullmatch(right) if isinstance(right, str) else None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not 0 < total < SECONDS_MAX:
        raise TermsUnknown(what=f"a value of {left!r} that is no length of time in days, hours, minutes and seconds")
    return total


SECONDS_MAX = 100 * 366 * 86_400
"""Longest duration in terms, a century: no clock overflows. Chosen by us."""


def _add_row_condition(left: str, operator: str, right: Any, found: Json) -> None:
    values = right if isinstance(right, list) else [right]
    column = unquote(left.removeprefix(ROW))
    is_known = operator in set(Comparison) and (operator == Comparison.AMONG or not isinstance(right, list))
    if not is_known or not values or not 0 < len(column) <= NAME_MAX:
        raise TermsUnknown(what=f"the operator {operator[:40]!r} with {left[:NAME_MAX]!r}")
    if not all(isinstance(value, str) and len(value) <= NAME_MAX for value in values):
        raise TermsUnknown(what=f"a value of {left[:NAME_MAX]!r} that is no short text")
    condition = RowCondition(column, Comparison(operator), frozenset(values))
    kept = found.get("rows_where", frozenset())
    if len(kept) >= ROW_CONDITIONS_MAX:
        raise TermsUnknown(what=f"more than {ROW_CONDITIONS_MAX} conditions on rows")
    found["rows_where"] = kept | {condition}


def _number(left: str, operator: str, right: Any, wanted: str = "lteq") -> int:
    text = right if isinstance(right, str) else ""
    if operator != wanted or not (text.isascii() and text.isdigit()) or not 0 < len(text) <= 12 or int(text) < 1:
        raise TermsUnknown(what=f"{left!r} other than {wanted!r} a positive whole number")
    return int(text)


def _instant(left: str, operator: str, right: Any) -> tuple[str, datetime]:
    if operator not in ("lteq", "lt", "gteq") or not isinstance(right, str) or len(right) > 64:
        raise TermsUnknown(what=f"{left!r} other than 'lteq' or 'gteq' a time")
    try:
        moment = datetime.fromisoformat(right)
        is_day = len(right) == len("2026-01-01") and date.fromisoformat(right) is not None
    except ValueError as cause:
        raise TermsUnknown(what=f"a value of {left!r} that is no time") from cause
    if moment.tzinfo is None and not is_day:
        raise TermsUnknown(what=f"a value of {left!r} without a time zone")
    try:
        at = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if operator == "lt":
            at -= timedelta(microseconds=1)
    except OverflowError as cause:
        raise TermsUnknown(what=f"a value of {left!r} beyond all times") from cause
    return ("not_before" if operator == "gteq" else "until"), at


def _duration(left: str, operator: str, right: Any) -> tuple[str, int]:
    if operator != "lteq":
        raise TermsUnknown(what=f"{left!r} other than 'lteq' a length of time")
    return "duration_s", seconds_of(left, right)


def _recipient(left: str, operator: str, right: Any) -> tuple[str, frozenset[str]]:
    return ("groups" if operator == "isPartOf" else "parties"), names_of(left, operator, right)


def _plain_names(field: str) -> "Reader":
    def read(left: str, operator: str, right: Any) -> tuple[str, object]:
        if operator == "isPartOf" and field != "places":
            raise TermsUnknown(what=f"the operator 'isPartOf' with {left!r}")
        return field, names_of(left, operator, right)

    return read


def _legal_only(left: str, operator: str, right: Any) -> tuple[str, frozenset[str]]:
    names = names_of(left, operator, right)
    if operator == "isPartOf" or names - LEGAL_ONLY_ALLOWED:
        raise TermsUnknown(what=f"a value of {left!r} other than {', '.join(sorted(LEGAL_ONLY_ALLOWED))}")
    return "legal_only", names


def _in_force(left: str, operator: str, right: Any) -> tuple[str, object]:
    """EDC's own operand: a moment, or a length of time from the agreement. Source: EDC 0.14.1, policy functions."""
    match = _FROM_AGREEMENT.fullmatch(right) if isinstance(right, str) else None
    if match is None:
        return _instant(left, operator, right)
    if operator != "lteq":
        raise TermsUnknown(what=f"{left!r} other than 'lteq' a length of time from the agreement")
    seconds = int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]
    if not 0 < seconds < SECONDS_MAX:
        raise TermsUnknown(what=f"a value of {left!r} that is no length of time within a century")
    return "duration_s", seconds


Reader = Callable[[str, str, Any], tuple[str, object]]

_READERS: dict[str, Reader] = {
    "recipient": _recipient,
    "dateTime": _instant,
    "elapsedTime": _duration,
    "count": lambda left, op, right: ("uses_max", _number(left, op, right)),
    "purpose": _plain_names("purposes"),
    "spatial": _plain_names("places"),
    "systemDevice": _plain_names("connectors"),
    COLUMNS: _plain_names("columns"),
    ROWS: lambda left, op, right: ("rows_max", _number(left, op, right)),
    AGGREGATE_MIN: lambda left, op, right: ("aggregate_min", _number(left, op, right, "gteq")),
    LEGAL_ONLY: _legal_only,
    IN_FORCE: _in_force,
}
