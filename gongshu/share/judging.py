"""The one pure judgement that every phase asks: do the terms allow this now?

One small judge a term, in a table. What cannot be known in a phase is not judged in it; what a judge cannot evaluate is
denied. Three fields are carried out where rows are read instead (`columns` also here): `rows_max`, `rows_where`,
`notify`. See decisions 0042 and 0068.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from gongshu.share.terms import NAME_MAX, Circumstances, Operation, Phase, Terms

Judge = Callable[[Terms, Circumstances], str | None]

ALWAYS = frozenset(Phase)
AT_PROVIDER = ALWAYS - {Phase.KEEP}
UNDER_AGREEMENT = frozenset({Phase.TRANSFER, Phase.ACCESS, Phase.KEEP})
AT_DATA = frozenset({Phase.ACCESS, Phase.KEEP})

CARRIED_OUT_IN_READING = frozenset({"rows_max", "rows_where", "notify"})
"""Restrictions that are no yes or no: they shape the query, or are an act before it."""
DECLARATIONS = frozenset({"unrestricted", "legal_only"})


class Forbidden(NamedTuple):
    """What stands against a use."""

    term: str
    """The field of `Terms` that decided; empty where it was none."""
    why: str
    whose: str = ""
    """The contract and the copy that it stands against, where it is one of several."""

    @property
    def said(self) -> str:
        """All of it in one sentence."""
        return f"{self.whose}: {self.why}" if self.whose else self.why


def judge_terms(terms: Terms, case: Circumstances) -> str | None:
    """Return why the terms forbid this, None if they allow it.

    >>> from datetime import UTC
    >>> from gongshu.model.ids import PartyId
    >>> case = Circumstances(datetime(2026, 1, 2, tzinfo=UTC), PartyId("p"), Phase.ACCESS, uses=2)
    >>> judge_terms(Terms(uses_max=2), case)
    'its 2 uses are used up'
    """
    found = find_forbidden(terms, case)
    return None if found is None else found.why


def find_forbidden(terms: Terms, case: Circumstances) -> Forbidden | None:
    """Return the first term that forbids this, and why; None if they allow it."""
    for name, phases, judge in JUDGES:
        if case.phase not in phases:
            continue
        try:
            why_not = judge(terms, case)
        except Exception as fault:  # noqa: BLE001  # whatever goes wrong in a judgement, the answer is no
            return Forbidden(name, f"its term {name} cannot be judged ({type(fault).__name__})")
        if why_not:
            return Forbidden(name, why_not)
    return None


def end_of(terms: Terms, agreed_at: datetime) -> datetime | None:
    """Return the last moment of use under an agreement made then; None if it has no end.

    >>> from datetime import UTC
    >>> end_of(Terms(duration_s=60), datetime(2026, 1, 2, tzinfo=UTC)).minute
    1
    """
    ends = [terms.until] if terms.until is not None else []
    if terms.duration_s is not None:
        ends.append(agreed_at + timedelta(seconds=terms.duration_s))
    return min(ends, default=None)


def is_place_within(place: str, allowed: frozenset[str]) -> bool:
    """True if the place is one of these or a part of one.

    >>> is_place_within("CN-33", frozenset({"CN"})), is_place_within("CN", frozenset({"CN-33"}))
    (True, False)
    """
    return any(place == wide or place.startswith(f"{wide}-") for wide in allowed if wide)


def _party(terms: Terms, case: Circumstances) -> str | None:
    return "it is not made for this party" if terms.parties and case.party not in terms.parties else None


def _groups(terms: Terms, case: Circumstances) -> str | None:
    return "this party is in none of its groups" if terms.groups and not terms.groups & case.groups else None


def _until(terms: Terms, case: Circumstances) -> str | None:
    if terms.until is not None and case.now > terms.until:
        return f"it ended at {terms.until:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _not_before(terms: Terms, case: Circumstances) -> str | None:
    if terms.not_before is not None and case.now < terms.not_before:
        return f"it begins at {terms.not_before:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _duration(terms: Terms, case: Circumstances) -> str | None:
    if terms.duration_s is None:
        return None
    if case.agreed_at is None:
        return "it is not known when it was agreed"
    end = case.agreed_at + timedelta(seconds=terms.duration_s)
    return f"it ended at {end:%Y-%m-%dT%H:%M:%SZ}" if case.now > end else None


def _uses(terms: Terms, case: Circumstances) -> str | None:
    if terms.uses_max is not None and case.uses >= terms.uses_max:
        return f"its {terms.uses_max} uses are used up"
    return None


def _places(terms: Terms, case: Circumstances) -> str | None:
    if terms.places and not is_place_within(case.place, terms.places):
        where = f"the place {case.place[:NAME_MAX]!r}" if case.place else "a party whose place is not registered"
        return f"it does not cover {where}"
    return None


def _connectors(terms: Terms, case: Circumstances) -> str | None:
    if terms.connectors and case.connector not in terms.connectors:
        return "it is made for another connector's key"
    return None


def _purposes(terms: Terms, case: Circumstances) -> str | None:
    if terms.purposes and case.purpose not in terms.purposes:
        stated = f"the purpose {case.purpose[:NAME_MAX]!r}" if case.purpose else "a request without a purpose"
        return f"it does not cover {stated}, only: {', '.join(sorted(terms.purposes))[:NAME_MAX]}"
    return None


def _columns(terms: Terms, case: Circumstances) -> str | None:
    beyond = sorted(case.columns - terms.columns) if terms.columns else []
    return f"it does not cover the column {beyond[0][:NAME_MAX]!r}" if beyond else None


def _operations(terms: Terms, case: Circumstances) -> str | None:
    # A copy holds what was permitted to leave; reading it, or counting over it, is what it was received for.
    is_reading_a_copy = case.phase is Phase.KEEP and case.operation in (Operation.READ, Operation.AGGREGATE)
    if terms.operations and case.operation not in terms.operations and not is_reading_a_copy:
        return f"it does not cover the operation {case.operation}"
    return None


def _aggregate_min(terms: Terms, case: Circumstances) -> str | None:
    if terms.aggregate_min is not None and case.operation is not Operation.AGGREGATE:
        return f"only aggregates over groups of at least {terms.aggregate_min} rows leave"
    return None


def _delete_after(terms: Terms, case: Circumstances) -> str | None:
    if terms.delete_after_s is None:
        return None
    if case.phase is not Phase.KEEP:
        return _only_kept(terms, case, "delete_after_s", "deletes what it received in time")
    if case.received_at is None:
        return "it is not known when the copy was received"
    is_let_out = case.operation is Operation.EXPORT and Operation.EXPORT not in terms.operations
    if is_let_out and "delete_after_s" not in terms.legal_only:
        return "it demands deletion, and a file cannot be followed"
    end = case.received_at + timedelta(seconds=terms.delete_after_s)
    return f"the copy was to be deleted at {end:%Y-%m-%dT%H:%M:%SZ}" if case.now > end else None


def _no_onward(terms: Terms, case: Circumstances) -> str | None:
    if not terms.no_onward:
        return None
    if case.phase is not Phase.KEEP:
        return _only_kept(terms, case, "no_onward", "keeps what it received to itself")
    if case.is_onward:
        return "it forbids to hand data on"
    if case.operation is Operation.EXPORT and "no_onward" not in terms.legal_only:
        return "it forbids to hand data on, and a file cannot be followed"
    return None


def _only_kept(terms: Terms, case: Circumstances, name: str, what: str) -> str | None:
    if name in terms.legal_only or case.keeps_terms:
        return None
    return f"the partner's node does not declare that it {what}"


def _payment(terms: Terms, case: Circumstances) -> str | None:
    if terms.payment is not None and not case.is_paid:
        return f"its payment of {terms.payment.amount} {terms.payment.currency} is not confirmed"
    return None


_WHEN_AGREEING = AT_PROVIDER - {Phase.CATALOGUE}

JUDGES: tuple[tuple[str, frozenset[Phase], Judge], ...] = (
    ("parties", ALWAYS, _party),
    ("groups", AT_PROVIDER, _groups),
    ("until", ALWAYS, _until),
    ("not_before", UNDER_AGREEMENT, _not_before),
    ("duration_s", UNDER_AGREEMENT, _duration),
    ("uses_max", UNDER_AGREEMENT, _uses),
    ("places", ALWAYS, _places),
    ("connectors", ALWAYS, _connectors),
    ("payment", frozenset({Phase.TRANSFER, Phase.ACCESS}), _payment),
    ("purposes", AT_DATA, _purposes),
    ("columns", AT_DATA, _columns),
    ("operations", AT_DATA, _operations),
    ("aggregate_min", frozenset({Phase.ACCESS}), _aggregate_min),
    ("delete_after_s", _WHEN_AGREEING | {Phase.KEEP}, _delete_after),
    ("no_onward", _WHEN_AGREEING | {Phase.KEEP}, _no_onward),
)
"""Every restricting field but those carried out in reading, with the phases in which it is judged."""
