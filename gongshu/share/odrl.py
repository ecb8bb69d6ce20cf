"""Terms as an ODRL policy, and back. What cannot be enforced is refused, never dropped.

The writer makes one permission for each operation (or one to `use`) with the same constraints, which all have to hold;
payment as its duty; deletion and notices as obligations; onward sharing as a prohibition. The reader takes that, and
whatever other connectors write for the same; anything else raises `TermsUnknown`: at offering, at agreeing and at every
data request. Constraints are read in `odrl_constraints`. See decisions 0042 and 0068.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from gongshu.model.ids import PartyId
from gongshu.share.dsp.reader import compact_name
from gongshu.share.errors import TermsUnknown
from gongshu.share.odrl_constraints import (
    AGGREGATE_MIN,
    COLUMNS,
    LEGAL_ONLY,
    ROWS,
    constraint_of,
    instant_text,
    names_of,
    read_constraint,
    row_constraint,
    seconds_of,
    text_of,
)
from gongshu.share.terms import NAME_MAX, Operation, Payment, Terms

Json = dict[str, Any]

__all__ = [
    "AGGREGATE_MIN",
    "COLUMNS",
    "LEGAL_ONLY",
    "ROWS",
    "agreement_policy",
    "canonical_text",
    "message_offer",
    "offer_policy",
    "read_terms",
    "text_hash",
]

EXPORT = "urn:gongshu:term:export"
"""ODRL has no action for taking data out of a system as a file."""
CURRENCY = "urn:iso:std:iso:4217:"

_POLICY_KEYS = frozenset(
    {
        "@id",
        "@type",
        "@context",
        "target",
        "assigner",
        "assignee",
        "timestamp",
        "permission",
        "prohibition",
        "obligation",
    }
)
_RULE_KEYS = frozenset({"action", "constraint", "target", "@type", "assigner", "assignee"})
_ACTIONS = {
    Operation.READ: "odrl:read",
    Operation.AGGREGATE: "odrl:aggregate",
    Operation.DERIVE: "odrl:derive",
    Operation.EXPORT: EXPORT,
}
_OPERATIONS = {compact_name(action): operation for operation, action in _ACTIONS.items()}


def offer_policy(terms: Terms, *, offer_id: str) -> Json:
    """Return the Offer of a catalogue: without target, which only a message carries."""
    return {"@id": offer_id, "@type": "Offer", **_rules(terms)}


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
        **_rules(terms),
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
    target = policy.get("target")
    found = _read_permissions(_rules_in(policy, "permission"), target)
    for duty in _rules_in(policy, "obligation"):
        _read_duty(duty, target, found)
    for prohibition in _rules_in(policy, "prohibition"):
        _read_prohibition(prohibition, target, found)
    restricts = {name: value for name, value in found.items() if value}
    return Terms(**restricts, unrestricted=not restricts)


def read_policy(policy: Mapping[str, Any]) -> tuple[Terms | None, str]:
    """Return the terms of an Offer or Agreement for somebody to look at, or None and what in it cannot be enforced."""
    try:
        return read_terms(policy), ""
    except TermsUnknown as obstacle:
        return None, str(obstacle)


# ---- writing ---------------------------------------------------------------------------------------------------------


def _rules(terms: Terms) -> Json:
    constraints, duties = _constraints(terms), _payment_duty(terms)
    actions = [_ACTIONS[operation] for operation in Operation if operation in terms.operations] or ["use"]
    extra: Json = {"constraint": constraints} if constraints else {}
    if duties:
        extra["duty"] = duties
    rules: Json = {"permission": [{"action": action, **extra} for action in actions]}
    if terms.delete_after_s is not None:
        kept = constraint_of("odrl:elapsedTime", "lteq", f"PT{terms.delete_after_s}S")
        rules["obligation"] = [{"action": "odrl:delete", "constraint": [kept]}]
    if terms.notify:
        told = constraint_of("odrl:recipient", "isAnyOf", sorted(terms.notify))
        rules.setdefault("obligation", []).append({"action": "odrl:inform", "constraint": [told]})
    if terms.no_onward:
        rules["prohibition"] = [{"action": "odrl:distribute"}]
    return rules


def _constraints(terms: Terms) -> list[Json]:
    found = []

    def names(left: str, values: frozenset[Any], operator: str = "isAnyOf") -> None:
        if values:
            found.append(constraint_of(left, operator, sorted(values)))

    def at_most(left: str, value: int | None, operator: str = "lteq") -> None:
        if value is not None:
            found.append(constraint_of(left, operator, str(value)))

    names("odrl:recipient", terms.parties)
    names("odrl:recipient", terms.groups, "isPartOf")
    if terms.not_before is not None:
        found.append(constraint_of("odrl:dateTime", "gteq", instant_text(terms.not_before)))
    if terms.until is not None:
        found.append(constraint_of("odrl:dateTime", "lteq", instant_text(terms.until)))
    if terms.duration_s is not None:
        found.append(constraint_of("odrl:elapsedTime", "lteq", f"PT{terms.duration_s}S"))
    at_most("odrl:count", terms.uses_max)
    names("odrl:purpose", terms.purposes)
    names("odrl:spatial", terms.places)
    names("odrl:systemDevice", terms.connectors)
    names(COLUMNS, terms.columns)
    at_most(ROWS, terms.rows_max)
    for condition in sorted(terms.rows_where, key=lambda c: (c.column, c.comparison, sorted(c.values))):
        found.append(row_constraint(condition))
    at_most(AGGREGATE_MIN, terms.aggregate_min, "gteq")
    names(LEGAL_ONLY, terms.legal_only)
    return found


def _payment_duty(terms: Terms) -> list[Json]:
    if terms.payment is None:
        return []
    amount = constraint_of("odrl:payAmount", "eq", terms.payment.amount) | {"unit": CURRENCY + terms.payment.currency}
    return [{"action": "odrl:compensate", "constraint": [amount]}]


# ---- reading ---------------------------------------------------------------------------------------------------------


def _rules_in(policy: Mapping[str, Any], name: str) -> list[Json]:
    rules = policy.get(name) or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise TermsUnknown(what=f"a {name} that is no object")
    return rules


def _read_permissions(permissions: list[Json], target: Any) -> Json:
    if not permissions:
        raise TermsUnknown(what="0 permissions (at least one is understood)")
    actions = [_action(permission, target, "permission", frozenset({"duty"})) for permission in permissions]
    found = _read_permission(permissions[0], target)
    for other in permissions[1:]:
        if _read_permission(other, target) != found:
            raise TermsUnknown(what="permissions with different constraints")
    if actions == ["use"]:
        return found
    operations = frozenset(_OPERATIONS[action] for action in actions if action in _OPERATIONS)
    if len(operations) != len(actions):
        raise TermsUnknown(what="an action other than use, read, aggregate and derive, or one of them twice")
    return found | {"operations": operations}


def _read_permission(permission: Json, target: Any) -> Json:
    found: Json = {}
    for constraint in _constraints_in(permission):
        read_constraint(constraint, found)
    duties = permission.get("duty") or []
    if not isinstance(duties, list) or not all(isinstance(duty, dict) for duty in duties):
        raise TermsUnknown(what="a duty that is no object")
    for duty in duties:
        _read_duty(duty, target, found)
    return found


def _constraints_in(rule: Json) -> list[Any]:
    constraints = rule.get("constraint") or []
    if not isinstance(constraints, list):
        raise TermsUnknown(what="constraints that are no list")
    return constraints


def _action(rule: Json, target: Any, kind: str, more: frozenset[str] = frozenset()) -> str:
    for key in rule:
        if key not in _RULE_KEYS | more:
            raise TermsUnknown(what=f"the property {str(key)[:NAME_MAX]!r} of a {kind}")
    if rule.get("target", target) != target:
        raise TermsUnknown(what=f"a {kind} for another target")
    action = rule.get("action")
    if not isinstance(action, str):
        raise TermsUnknown(what=f"a {kind} without a named action")
    return compact_name(action)


def _read_duty(duty: Json, target: Any, found: Json) -> None:
    action = _action(duty, target, "duty")
    constraints = _constraints_in(duty)
    reader = _DUTIES.get(action)
    if reader is None or len(constraints) != 1 or not isinstance(constraints[0], dict):
        raise TermsUnknown(what=f"the duty {action[:NAME_MAX]!r} in this form")
    name, value = reader(constraints[0])
    if name in found:
        raise TermsUnknown(what=f"the duty {action!r} twice")
    found[name] = value


def _read_prohibition(prohibition: Json, target: Any, found: Json) -> None:
    action = _action(prohibition, target, "prohibition")
    if action != "distribute" or _constraints_in(prohibition):
        raise TermsUnknown(what=f"the prohibition of {action[:NAME_MAX]!r} in this form")
    found["no_onward"] = True


def _delete_duty(constraint: Json) -> tuple[str, object]:
    left, operator, right = _parts(constraint)
    if left != "elapsedTime" or operator not in ("eq", "lteq"):
        raise TermsUnknown(what="a duty to delete other than within an elapsed time")
    return "delete_after_s", seconds_of(left, right)


def _inform_duty(constraint: Json) -> tuple[str, object]:
    left, operator, right = _parts(constraint)
    if left != "recipient":
        raise TermsUnknown(what="a duty to inform other than named parties")
    if operator == "isAnyOf" and isinstance(right, list) and len(right) > LISTENERS_MAX:
        raise TermsUnknown(what=f"a duty to inform more than {LISTENERS_MAX} parties")
    return "notify", names_of(left, operator, right)


def _pay_duty(constraint: Json) -> tuple[str, object]:
    unit = constraint.get("unit")
    left, operator, right = _parts({key: value for key, value in constraint.items() if key != "unit"})
    if left != "payAmount" or operator != "eq" or not (isinstance(unit, str) and unit.startswith(CURRENCY)):
        raise TermsUnknown(what="a duty to pay other than an amount in a currency of ISO 4217")
    payment = Payment(text_of(left, right), unit.removeprefix(CURRENCY))
    if not is_amount(payment):
        raise TermsUnknown(what="a duty to pay an amount that is no decimal number above 0")
    return "payment", payment


def _parts(constraint: Json) -> tuple[str, str, Any]:
    if set(constraint) - {"@type", "@id"} != {"leftOperand", "operator", "rightOperand"}:
        raise TermsUnknown(what="a duty with a constraint of another form")
    return compact_name(str(constraint["leftOperand"])), str(constraint["operator"]), constraint["rightOperand"]


LISTENERS_MAX = 16
"""Each use puts one notice a listener into the outbox; chosen by us."""


def is_amount(payment: Payment) -> bool:
    """True if the payment is a decimal number above 0 and a currency code.

    >>> is_amount(Payment("12.50", "CNY")), is_amount(Payment("0", "CNY")), is_amount(Payment("1e3", "CNY"))
    (True, False, False)
    """
    whole, point, part = payment.amount.partition(".")
    digits = whole + part
    written = digits.isascii() and digits.isdigit() and bool(whole) and (bool(part) or not point)
    currency = payment.currency
    is_code = len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    return written and len(payment.amount) <= 20 and digits.strip("0") != "" and is_code


_DUTIES = {"delete": _delete_duty, "inform": _inform_duty, "compensate": _pay_duty}
