"""Terms as an ODRL policy, and back. What cannot be enforced is refused, never dropped.

The writer makes one permission to `use` whose constraints all have to hold. The reader takes that, and whatever other
connectors write for the same; a prohibition, a duty, an alternative, an operand or an operator it does not know raises
`TermsUnknown`: at offering, at agreeing and at every data request. See decision 0042.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import orjson

from gongshu.model.ids import PartyId
from gongshu.share.dsp.reader import compact_name
from gongshu.share.errors import TermsUnknown
from gongshu.share.terms import NAME_MAX, Terms

Json = dict[str, Any]

COLUMNS = "urn:gongshu:term:columns"
ROWS = "urn:gongshu:term:rows"
"""Left operands of our own; ODRL has none for parts of a table."""

_POLICY_KEYS = frozenset({"@id", "@type", "@context", "target", "assigner", "assignee", "timestamp", "permission"})
_ACTIONS = frozenset({"use", "read"})
_UNTIL_OPERATORS = frozenset({"lteq", "lt"})


def offer_policy(terms: Terms, *, offer_id: str) -> Json:
    """Return the Offer of a catalogue: without target, which only a message carries."""
    return {"@id": offer_id, "@type": "Offer", "permission": [_permission(terms)]}


def message_offer(terms: Terms, *, offer_id: str, target: str) -> Json:
    """Return the Offer inside a message."""
    return offer_policy(terms, offer_id=offer_id) | {"target": target}


def agreement_policy(
    terms: Terms, *, agreement_id: str, target: str, assigner: PartyId, assignee: PartyId, at: datetime
) -> Json:
    """Return the Agreement that both parties keep."""
    return {
        "@id": agreement_id,
        "@type": "Agreement",
        "target": target,
        "assigner": assigner,
        "assignee": assignee,
        "timestamp": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z",
        "permission": [_permission(terms)],
    }


def canonical_text(policy: Mapping[str, Any]) -> str:
    """Return the policy as compact JSON with sorted keys: the same text, and so the same hash, on both sides."""
    return orjson.dumps(policy, option=orjson.OPT_SORT_KEYS).decode()


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text as hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_terms(policy: Mapping[str, Any]) -> Terms:
    """Return the terms of an Offer or Agreement in compact form.

    Raises: TermsUnknown, naming the first thing that cannot be enforced.
    """
    for key in policy:
        if key not in _POLICY_KEYS:
            raise TermsUnknown(what=f"the property {str(key)[:NAME_MAX]!r}")
    permissions = policy.get("permission") or []
    if len(permissions) != 1:
        raise TermsUnknown(what=f"{len(permissions)} permissions (one is understood)")
    permission = permissions[0]
    if not isinstance(permission, dict) or permission.get("action") not in _ACTIONS:
        raise TermsUnknown(what="an action other than use")
    for key in permission:
        if key not in ("action", "constraint", "target", "@type", "assigner", "assignee"):
            raise TermsUnknown(what=f"the property {str(key)[:NAME_MAX]!r} of a permission")
    if permission.get("target", policy.get("target")) != policy.get("target"):
        raise TermsUnknown(what="a permission for another target")
    found: Json = {}
    for constraint in permission.get("constraint") or []:
        _read_constraint(constraint, found)
    return Terms(**found, unrestricted=not found)


def _permission(terms: Terms) -> Json:
    constraints = []
    if terms.parties:
        constraints.append(_constraint("odrl:recipient", "isAnyOf", sorted(terms.parties)))
    if terms.until is not None:
        constraints.append(_constraint("odrl:dateTime", "lteq", f"{terms.until.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"))
    if terms.uses_max is not None:
        constraints.append(_constraint("odrl:count", "lteq", str(terms.uses_max)))
    if terms.purposes:
        constraints.append(_constraint("odrl:purpose", "isAnyOf", sorted(terms.purposes)))
    if terms.columns:
        constraints.append(_constraint(COLUMNS, "isAnyOf", sorted(terms.columns)))
    if terms.rows_max is not None:
        constraints.append(_constraint(ROWS, "lteq", str(terms.rows_max)))
    return {"action": "use", "constraint": constraints} if constraints else {"action": "use"}


def _constraint(left: str, operator: str, right: str | list[str]) -> Json:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _read_constraint(constraint: Any, found: Json) -> None:
    if not isinstance(constraint, dict):
        raise TermsUnknown(what="a constraint that is no object")
    if set(constraint) - {"@type"} == {"and"}:
        for part in constraint["and"]:
            _read_constraint(part, found)
        return
    if set(constraint) - {"@type", "@id"} != {"leftOperand", "operator", "rightOperand"}:
        keys = ", ".join(sorted(str(key)[:40] for key in constraint))
        raise TermsUnknown(what=f"a constraint of the form ({keys})")
    left = compact_name(str(constraint["leftOperand"]))
    reader = _READERS.get(left)
    if reader is None:
        raise TermsUnknown(what=f"the operand {left[:NAME_MAX]!r}")
    name, value = reader(left, str(constraint["operator"]), constraint["rightOperand"])
    if name in found:
        raise TermsUnknown(what=f"the operand {left!r} twice")
    found[name] = value


def _names(left: str, operator: str, right: Any) -> frozenset[str]:
    values = right if isinstance(right, list) else [right]
    if operator not in ("isAnyOf", "eq") or (operator == "eq" and len(values) != 1) or not values:
        raise TermsUnknown(what=f"the operator {operator[:40]!r} with {left!r}")
    if not all(isinstance(value, str) and 0 < len(value) <= NAME_MAX for value in values):
        raise TermsUnknown(what=f"a value of {left!r} that is no short text")
    return frozenset(values)


def _number(left: str, operator: str, right: Any) -> int:
    text = right if isinstance(right, str) else ""
    if operator != "lteq" or not (text.isascii() and text.isdigit()) or not 0 < len(text) <= 12 or int(text) < 1:
        raise TermsUnknown(what=f"{left!r} other than 'lteq' a positive whole number")
    return int(text)


def _until(left: str, operator: str, right: Any) -> datetime:
    if operator not in _UNTIL_OPERATORS or not isinstance(right, str) or len(right) > 64:
        raise TermsUnknown(what=f"{left!r} other than 'lteq' a time")
    try:
        moment = datetime.fromisoformat(right)
        is_day = len(right) == len("2026-01-01") and date.fromisoformat(right) is not None
    except ValueError as cause:
        raise TermsUnknown(what=f"a value of {left!r} that is no time") from cause
    if moment.tzinfo is None and not is_day:
        raise TermsUnknown(what=f"a value of {left!r} without a time zone")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[str, str, Any], tuple[str, object]]] = {
    "recipient": lambda left, op, right: ("parties", _names(left, op, right)),
    "dateTime": lambda left, op, right: ("until", _until(left, op, right)),
    "count": lambda left, op, right: ("uses_max", _number(left, op, right)),
    "purpose": lambda left, op, right: ("purposes", _names(left, op, right)),
    COLUMNS: lambda left, op, right: ("columns", _names(left, op, right)),
    ROWS: lambda left, op, right: ("rows_max", _number(left, op, right)),
}
