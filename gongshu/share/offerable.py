"""Can these terms be offered at all? They restrict or say that they do not, and contradict nothing. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from gongshu.model.ids import PartyId
from gongshu.share.errors import TermsInvalid
from gongshu.share.odrl import LISTENERS_MAX, is_amount
from gongshu.share.odrl_constraints import ROW_CONDITIONS_MAX, SECONDS_MAX
from gongshu.share.row_values import read_row_value
from gongshu.share.terms import (
    GROUP_ROWS_MIN,
    LEGAL_ONLY_ALLOWED,
    LIST_MAX,
    NAME_MAX,
    Comparison,
    Operation,
    RowCondition,
    Terms,
)

_PLACE = re.compile(r"[A-Z]{2}(-[0-9A-Za-z]{1,12}){0,4}", re.ASCII)
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_ORDERED = frozenset({Comparison.BELOW, Comparison.AT_MOST, Comparison.ABOVE, Comparison.AT_LEAST})


def is_place(text: str) -> bool:
    """True if the text can name a place.

    >>> is_place("CN-33"), is_place("hangzhou")
    (True, False)
    """
    return _PLACE.fullmatch(text) is not None


def is_fingerprint(text: str) -> bool:
    """True if the text is `sha256:` and 64 hexadecimal digits."""
    return _FINGERPRINT.fullmatch(text) is not None


def require_offerable(
    terms: Terms,
    *,
    now: datetime,
    columns: Mapping[str, str],
    named_exist: Sequence[PartyId],
    groups_exist: Collection[str] = (),
) -> None:
    """Return if the terms can be offered over a dataset with these columns (name to DuckDB type).

    Raises: TermsInvalid if they are empty without being declared so, contradict themselves, lie in the past, name a
    column the dataset lacks, or a party or group that is not registered.
    """
    for reason in _faults(terms, now, columns, named_exist, groups_exist):
        raise TermsInvalid(reason=reason)


def _faults(
    terms: Terms,
    now: datetime,
    columns: Mapping[str, str],
    named_exist: Sequence[PartyId],
    groups_exist: Collection[str],
) -> Iterator[str]:
    if terms.is_empty and not terms.unrestricted:
        yield "they restrict nothing"
    if terms.unrestricted and not terms.is_empty:
        yield "they declare no restriction and restrict at once"
    yield from _time_faults(terms, now)
    if (terms.uses_max is not None and terms.uses_max < 1) or (terms.rows_max is not None and terms.rows_max < 1):
        yield "a number of uses or rows is at least 1"
    names = [*terms.purposes, *terms.columns, *terms.parties, *terms.groups]
    if any(not name or len(name) > NAME_MAX for name in names) or len(names) > LIST_MAX:
        yield f"a purpose, column, party or group has 1 to {NAME_MAX} characters, {LIST_MAX} in all"
    for missing in sorted(terms.columns - set(columns)):
        yield f"the dataset has no column {missing!r}"
    for stranger in sorted((terms.parties | terms.notify) - set(named_exist)):
        yield f"{stranger} is not a registered party (`gongshu share join`)"
    for unknown in sorted(terms.groups - set(groups_exist)):
        yield f"there is no group {unknown!r}"
    yield from _form_faults(terms)
    yield from _operation_faults(terms)
    if len(terms.rows_where) > ROW_CONDITIONS_MAX:
        yield f"there are more than {ROW_CONDITIONS_MAX} conditions on rows"
    for condition in sorted(terms.rows_where, key=lambda part: (part.column, part.comparison)):
        yield from _row_faults(condition, columns)


def _time_faults(terms: Terms, now: datetime) -> Iterator[str]:
    if terms.until is not None and terms.until <= now:
        yield "their end lies in the past"
    if terms.until is not None and terms.not_before is not None and terms.until < terms.not_before:
        yield "they end before they begin"
    for name, value in (("duration", terms.duration_s), ("time to deletion", terms.delete_after_s)):
        if value is not None and not 0 < value < SECONDS_MAX:
            yield f"a {name} is at least a second and below a century"


def _form_faults(terms: Terms) -> Iterator[str]:
    if any(not is_place(place) for place in terms.places) or len(terms.places) > LIST_MAX:
        yield "a place is an ISO 3166 code as CN or CN-33"
    if any(not is_fingerprint(key) for key in terms.connectors) or len(terms.connectors) > LIST_MAX:
        yield "a connector is named by its key's fingerprint, sha256: and 64 hexadecimal digits"
    if len(terms.notify) > LISTENERS_MAX:
        yield f"at most {LISTENERS_MAX} parties are notified"
    if terms.payment is not None and not is_amount(terms.payment):
        yield "a payment is a decimal number above 0 and a currency as CNY"
    if terms.legal_only - LEGAL_ONLY_ALLOWED:
        yield f"only {' and '.join(sorted(LEGAL_ONLY_ALLOWED))} can be left to law"
    if any(not getattr(terms, name) for name in terms.legal_only & LEGAL_ONLY_ALLOWED):
        yield "what is left to law is not among the terms"


def _operation_faults(terms: Terms) -> Iterator[str]:
    reads, counts = Operation.READ in terms.operations, Operation.AGGREGATE in terms.operations
    if terms.operations and not reads and not counts:
        yield "without reading or aggregating nothing can be received"
    if terms.aggregate_min is not None and (reads or not counts):
        yield "a smallest group means that aggregate is among the operations and read is not"
    if counts and not reads and terms.aggregate_min is None:
        yield "where only aggregates leave, a smallest group has to be named"
    if terms.aggregate_min is not None and terms.aggregate_min < GROUP_ROWS_MIN:
        yield f"a smallest group has at least {GROUP_ROWS_MIN} rows"


def _row_faults(condition: RowCondition, columns: Mapping[str, str]) -> Iterator[str]:
    kind = columns.get(condition.column)
    if kind is None:
        yield f"the dataset has no column {condition.column!r} to choose rows by"
        return
    if not condition.values or (condition.comparison is not Comparison.AMONG and len(condition.values) != 1):
        yield f"the condition on {condition.column!r} has to name one value"
    if kind.upper() == "BOOLEAN" and condition.comparison in _ORDERED:
        yield f"the column {condition.column!r} has no order"
    if any(len(value) > NAME_MAX for value in condition.values):
        yield f"a value of a condition has at most {NAME_MAX} characters"
    for value in sorted(condition.values):
        try:
            read_row_value(value, kind)
        except ValueError as cause:
            yield f"the condition on {condition.column!r} cannot be read: {cause}"
