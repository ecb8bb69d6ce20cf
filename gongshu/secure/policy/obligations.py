"""What a permit demands, written as annotations of the policy, and how several demands become one. Pure.

@mask("customer:hash, note:null")   @columns("time, value")   @row_filter("line = 'A'")   @rows_max("1000")
"""

import re
from collections.abc import Iterable, Mapping

from gongshu.model.access import Mask, Obligations

ANNOTATIONS = frozenset({"mask", "columns", "row_filter", "rows_max"})
NOTES = frozenset({"id", "ask"})

_MASK_RULE = re.compile(r"null|hash|partial|hour|round:-?\d{1,2}")
_COLUMN = re.compile(r"[^\s,:\"';()]{1,63}")
_STRICTNESS = ("null", "hash", "partial")


class ObligationInvalid(ValueError):
    """An annotation that cannot be carried out; internal, shown as a finding of the policy."""


def is_mask_rule(rule: str) -> bool:
    """True if the gate knows the rule.

    >>> is_mask_rule("round:2"), is_mask_rule("rot13")
    (True, False)
    """
    return _MASK_RULE.fullmatch(rule) is not None


def parse_obligations(annotations: Mapping[str, str]) -> Obligations:
    """Return what the annotations of one permit demand.

    Raises: ObligationInvalid. The row filter's SQL is checked by the gate's guard, not here.
    """
    masks = tuple(_parse_mask(part) for part in _parts(annotations.get("mask"), "mask"))
    columns = None
    if "columns" in annotations:
        columns = frozenset(_parse_column(part) for part in _parts(annotations["columns"], "columns"))
    filters: tuple[str, ...] = ()
    if "row_filter" in annotations:
        if not annotations["row_filter"].strip():
            raise ObligationInvalid("@row_filter is empty")
        filters = (annotations["row_filter"],)
    rows_max = None
    if "rows_max" in annotations:
        if not re.fullmatch(r"[1-9]\d{0,11}", annotations["rows_max"]):
            raise ObligationInvalid("@rows_max is a whole number above zero")
        rows_max = int(annotations["rows_max"])
    return Obligations(masks, columns, filters, rows_max)


def add_up(demands: Iterable[Obligations]) -> Obligations:
    """Return obligations at least as strict as each of the demands.

    Masks of one column become the strictest of them, column lists their intersection, row filters must all hold, the
    lowest row bound wins.
    """
    masks: dict[str, str] = {}
    columns: frozenset[str] | None = None
    filters: list[str] = []
    rows_max: int | None = None
    for demand in demands:
        for mask in demand.masks:
            name = mask.column.lower()
            masks[name] = strictest_rule(masks[name], mask.rule) if name in masks else mask.rule
        if demand.columns is not None:
            listed = frozenset(column.lower() for column in demand.columns)
            columns = listed if columns is None else columns & listed
        filters += [text for text in demand.row_filters if text not in filters]
        if demand.rows_max is not None:
            rows_max = demand.rows_max if rows_max is None else min(rows_max, demand.rows_max)
    ordered = tuple(Mask(column, masks[column]) for column in sorted(masks))
    return Obligations(ordered, columns, tuple(filters), rows_max)


def strictest_rule(one: str, other: str) -> str:
    """Return the stricter of two mask rules; rules that cannot be compared give `null`.

    >>> strictest_rule("hash", "partial"), strictest_rule("round:2", "round:0"), strictest_rule("hour", "round:1")
    ('hash', 'round:0', 'null')
    """
    if one == other:
        return one
    for rule in _STRICTNESS:
        if rule in (one, other):
            return rule
    if one.startswith("round:") and other.startswith("round:"):
        return min(one, other, key=lambda rule: int(rule.removeprefix("round:")))
    return "null"


def _parts(text: str | None, name: str) -> list[str]:
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ObligationInvalid(f"@{name} has an empty part")
    return parts


def _parse_mask(part: str) -> Mask:
    column, _, rule = part.partition(":")
    if not is_mask_rule(rule.strip()):
        raise ObligationInvalid(f"@mask knows null, hash, partial, hour and round:<digits>, not {rule.strip()!r}")
    return Mask(_parse_column(column.strip()), rule.strip())


def _parse_column(text: str) -> str:
    if not _COLUMN.fullmatch(text):
        raise ObligationInvalid(f"{text!r} is not a column's name")
    return text.lower()
