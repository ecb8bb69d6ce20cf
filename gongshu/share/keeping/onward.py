"""Is one set of terms at least as strict as another? Pure, field by field; a field that is not known here is not.

What was received may be offered on only under terms that take away at least what the received contract takes away.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from gongshu.share.judging import is_place_within
from gongshu.share.terms import Terms

IGNORED = frozenset({"parties", "groups", "connectors", "payment", "notify", "unrestricted", "legal_only"})
"""Who the first contract is made with, and what it cost, binds its own two sides: an offer names its own."""


def why_looser(offered: Terms, received: Terms) -> str | None:
    """Return which term of an offer is looser than the contract under which the data came, None if none is.

    >>> why_looser(Terms(purposes=frozenset({"a", "b"})), Terms(purposes=frozenset({"a"})))
    'its purposes go beyond the contract under which the data were received'
    """
    if received.no_onward:
        return "the contract under which the data were received forbids to hand them on"
    for part in fields(Terms):
        if part.name in IGNORED:
            continue
        is_strict = _COMPARISONS.get(part.name)
        mine, theirs = getattr(offered, part.name), getattr(received, part.name)
        if is_strict is None:
            return f"its {part.name} cannot be compared with the contract under which the data were received"
        if not is_strict(mine, theirs):
            return f"its {part.name} go beyond the contract under which the data were received"
    return None


def _is_at_most(mine: Any, theirs: Any) -> bool:
    return theirs is None or (mine is not None and mine <= theirs)


def _is_at_least(mine: Any, theirs: Any) -> bool:
    return theirs is None or (mine is not None and mine >= theirs)


def _is_part(mine: Any, theirs: Any) -> bool:
    """A list of what is allowed: empty allows all, so it is a part of an empty list alone."""
    return not theirs or (bool(mine) and mine <= theirs)


def _demands_all(mine: Any, theirs: Any) -> bool:
    return bool(theirs <= mine)


def _is_within(mine: Any, theirs: Any) -> bool:
    return not theirs or (bool(mine) and all(is_place_within(place, theirs) for place in mine))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "until": _is_at_most,
    "not_before": _is_at_least,
    "duration_s": _is_at_most,
    "uses_max": _is_at_most,
    "purposes": _is_part,
    "columns": _is_part,
    "rows_max": _is_at_most,
    "rows_where": _demands_all,
    "places": _is_within,
    "operations": _is_part,
    "aggregate_min": _is_at_least,
    "delete_after_s": _is_at_most,
    "no_onward": _is_at_least,
}
