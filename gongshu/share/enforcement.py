"""Who makes a term come true: the class of each, shown wherever terms are shown. Pure."""

from dataclasses import dataclass, fields
from enum import StrEnum

from gongshu.share.terms import Terms


class Enforcement(StrEnum):
    """How far a reader may rely on a term."""

    HARD = "hard"
    """The provider's node makes it come true alone."""
    HARD_BOTH = "hard_both"
    """Both nodes make it come true if both are of this kind; the partner's declares it."""
    ATTESTED = "attested"
    """Somebody vouches for the fact that it is judged by; the fact itself is not seen."""
    LEGAL = "legal"
    """A promise in a contract; no program keeps it."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One term that restricts."""

    term: str
    """The field of `Terms`."""
    enforcement: Enforcement
    copies: Enforcement | None
    """The class for rows that were received; None where the term does not concern them."""


_H, _B, _A, _L = Enforcement.HARD, Enforcement.HARD_BOTH, Enforcement.ATTESTED, Enforcement.LEGAL

CLASSES: dict[str, tuple[Enforcement, Enforcement | None]] = {
    "parties": (_H, _B),
    "groups": (_H, None),
    "until": (_H, _B),
    "not_before": (_H, _B),
    "duration_s": (_H, _B),
    "uses_max": (_H, _B),
    "places": (_A, _A),
    "connectors": (_H, _B),
    "purposes": (_A, _A),
    "columns": (_H, None),
    "rows_max": (_H, None),
    "rows_where": (_H, None),
    "operations": (_H, _B),
    "aggregate_min": (_H, None),
    "delete_after_s": (_B, _B),
    "notify": (_H, None),
    "no_onward": (_B, _B),
    "payment": (_A, None),
}
"""By field: what holds for access, and what holds for copies. A stated purpose is judged, its truth is not seen;
a payment is what somebody confirmed."""


def enforcement_of(terms: Terms) -> list[Clause]:
    """Return each restricting term with its class, in the order of the fields.

    >>> [(clause.term, clause.enforcement.value) for clause in enforcement_of(Terms(uses_max=1, no_onward=True))]
    [('uses_max', 'hard'), ('no_onward', 'hard_both')]
    """
    empty, found = Terms(), []
    for name in (part.name for part in fields(Terms)):
        if name in CLASSES and getattr(terms, name) != getattr(empty, name):
            access, copies = CLASSES[name]
            if name in terms.legal_only:
                access, copies = _L, _L
            found.append(Clause(name, access, copies))
    return found
