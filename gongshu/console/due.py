"""What is due or wrong for a person today: pure, from facts that the home page gathers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gongshu.model.access import Role

STEWARDS = frozenset({Role.STEWARD})
ENGINEERS = frozenset({Role.ENGINEER, Role.STEWARD})
REPORTERS = frozenset({Role.STEWARD, Role.PRODUCT_OWNER})
WATCHERS = frozenset({Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})


class Weight(StrEnum):
    """How much a matter presses; also the colour of its word."""

    WRONG = "bad"
    DUE = "warn"
    OPEN = "accent"


@dataclass(frozen=True, slots=True)
class Due:
    """One line of the home page."""

    weight: Weight
    text: str
    """Key of the text."""
    path: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the services say today."""

    sources: int = 0
    sources_failing: tuple[str, ...] = ()
    losses: int = 0
    unconfirmed: int = 0
    expired: int = 0
    reports_refused: int = 0
    reports_waiting: int = 0
    members_late: int = 0
    denied: int = 0
    negotiations: int = 0
    accounts: int = 0


def list_due(facts: Facts, roles: frozenset[Role]) -> list[Due]:
    """Return what this person can do something about, the most pressing first."""
    found: list[Due] = []
    if roles & ENGINEERS:
        if facts.sources_failing:
            found.append(Due(Weight.WRONG, "due.sources_failing", "/sources", {"names": facts.sources_failing[:4]}))
        if facts.losses:
            found.append(Due(Weight.WRONG, "due.losses", "/sources", {"count": facts.losses}))
        if not facts.sources:
            found.append(Due(Weight.OPEN, "due.no_source", "/sources/add"))
    if roles & REPORTERS:
        if facts.reports_refused:
            found.append(Due(Weight.WRONG, "due.reports_refused", "/hub", {"count": facts.reports_refused}))
        if facts.reports_waiting:
            found.append(Due(Weight.DUE, "due.reports_waiting", "/hub", {"count": facts.reports_waiting}))
    if roles & STEWARDS:
        if facts.members_late:
            found.append(Due(Weight.DUE, "due.members_late", "/hub", {"count": facts.members_late}))
        if facts.expired:
            found.append(Due(Weight.DUE, "due.expired", "/catalogue?standing=expired", {"count": facts.expired}))
        if facts.unconfirmed:
            path = "/catalogue?standing=proposed"
            found.append(Due(Weight.DUE, "due.unconfirmed", path, {"count": facts.unconfirmed}))
    if roles & REPORTERS and facts.negotiations:
        found.append(Due(Weight.OPEN, "due.negotiations", "/sharing/agreements", {"count": facts.negotiations}))
    if roles & WATCHERS and facts.denied:
        found.append(Due(Weight.DUE, "due.denied", "/decisions?outcome=denied", {"count": facts.denied}))
    if Role.SYSTEM_ADMIN in roles and facts.accounts < 2:
        found.append(Due(Weight.OPEN, "due.accounts", "/accounts"))
    order = list(Weight)
    return sorted(found, key=lambda due: order.index(due.weight))
