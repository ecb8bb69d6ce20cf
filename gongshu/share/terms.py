"""The terms of a contract, and the one pure judgement that every phase asks: may this happen now?

Five terms bind at the provider: until a date, a number of uses, purposes, named parties, and columns (with a bound on
rows). They are judged when a catalogue is shown, when a contract is negotiated, when a transfer is requested and at
every data request. This module must not know ODRL, messages or tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import PartyId
from gongshu.share.errors import TermsInvalid

NAME_MAX = 200
"""Longest purpose, column or party id in terms; chosen by us."""
LIST_MAX = 1000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract allows; an empty field does not restrict."""

    parties: frozenset[PartyId] = frozenset()
    """Only these may see, agree and use."""
    until: datetime | None = None
    """The last moment of use, aware UTC."""
    uses_max: int | None = None
    """How many data requests may be served under one agreement."""
    purposes: frozenset[str] = frozenset()
    """Every data request states one of these."""
    columns: frozenset[str] = frozenset()
    """Only these columns exist for the partner."""
    rows_max: int | None = None
    """At most so many rows a data request."""
    unrestricted: bool = field(default=False, kw_only=True)
    """The explicit declaration 'no restriction' (数字合约: 未声明限制); without it, empty terms are refused."""

    @property
    def is_empty(self) -> bool:
        """True if nothing is restricted."""
        return self.bounds == Terms().bounds

    @property
    def bounds(self) -> tuple[object, ...]:
        """What counts when two sets of terms are compared; the declaration adds nothing to empty terms."""
        return (self.parties, self.until, self.uses_max, self.purposes, self.columns, self.rows_max)


class Phase(StrEnum):
    """When terms are judged."""

    CATALOGUE = "catalogue"
    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is the case at the moment of a judgement."""

    now: datetime
    party: PartyId
    phase: Phase
    uses: int = 0
    """Data requests already served under the agreement."""
    purpose: str = ""
    columns: frozenset[str] = frozenset()
    """The columns asked for by name; empty means all that the terms allow."""


def require_offerable(terms: Terms, *, now: datetime, columns: Sequence[str], named_exist: Sequence[PartyId]) -> None:
    """Return if the terms can be offered over a dataset with these columns.

    Raises: TermsInvalid if they are empty without being declared so, contradict themselves, lie in the past, name a
    column the dataset lacks, or a party that is not registered.
    """
    for reason in _faults(terms, now, columns, named_exist):
        raise TermsInvalid(reason=reason)


def judge_terms(terms: Terms, case: Circumstances) -> str | None:
    """Return why the terms forbid this, None if they allow it.

    What cannot be known in a phase is not judged in it: the purpose and the columns only at access.

    >>> from datetime import UTC
    >>> case = Circumstances(datetime(2026, 1, 2, tzinfo=UTC), PartyId("p"), Phase.ACCESS, uses=2)
    >>> judge_terms(Terms(uses_max=2), case)
    'its 2 uses are used up'
    """
    if terms.parties and case.party not in terms.parties:
        return "it is not made for this party"
    if terms.until is not None and case.now > terms.until:
        return f"it ended at {terms.until:%Y-%m-%dT%H:%M:%SZ}"
    if case.phase in (Phase.TRANSFER, Phase.ACCESS) and terms.uses_max is not None and case.uses >= terms.uses_max:
        return f"its {terms.uses_max} uses are used up"
    if case.phase is Phase.ACCESS:
        return _judge_access(terms, case)
    return None


def judge_grade(label: GradeLabel, terms: Terms) -> str | None:
    """Return why data of this grade must not be shared under the terms, None if they may.

    Judged anew in every phase: a dataset that is graded higher, or whose yearly review is overdue, stops flowing under
    agreements that stand.

    Source: decision 0041; GB/T 43697-2024 and 工信厅信发〔2020〕6号, 第三章 (三级 is not shared by default).
    """
    if label.grade is Grade.THREE:
        return f"it is graded {Grade.THREE.term}"
    if label.importance is not Importance.GENERAL:
        return f"it is {label.importance.term} data, which leave only by the procedure of the law"
    if label.standing is GradeStanding.PROPOSED:
        return "its grade is only proposed; a steward has to confirm it"
    if label.standing is GradeStanding.EXPIRED:
        return "the yearly review of its grade is overdue"
    if label.grade is Grade.TWO and not terms.parties:
        return f"it is graded {Grade.TWO.term} and may be offered to named parties only"
    return None


def _judge_access(terms: Terms, case: Circumstances) -> str | None:
    if terms.purposes and case.purpose not in terms.purposes:
        stated = f"the purpose {case.purpose[:NAME_MAX]!r}" if case.purpose else "a request without a purpose"
        return f"it does not cover {stated}"
    beyond = sorted(case.columns - terms.columns) if terms.columns else []
    if beyond:
        return f"it does not cover the column {beyond[0][:NAME_MAX]!r}"
    return None


def _faults(terms: Terms, now: datetime, columns: Sequence[str], named_exist: Sequence[PartyId]) -> list[str]:
    faults = []
    if terms.is_empty and not terms.unrestricted:
        faults.append("they restrict nothing")
    if terms.unrestricted and not terms.is_empty:
        faults.append("they declare no restriction and restrict at once")
    if terms.until is not None and terms.until <= now:
        faults.append("their end lies in the past")
    if (terms.uses_max is not None and terms.uses_max < 1) or (terms.rows_max is not None and terms.rows_max < 1):
        faults.append("a number of uses or rows is at least 1")
    names = [*terms.purposes, *terms.columns, *terms.parties]
    if any(not name or len(name) > NAME_MAX for name in names) or len(names) > LIST_MAX:
        faults.append(f"a purpose, column or party has 1 to {NAME_MAX} characters, {LIST_MAX} in all")
    missing = sorted(terms.columns - set(columns))
    if missing:
        faults.append(f"the dataset has no column {missing[0]!r}")
    strangers = sorted(terms.parties - set(named_exist))
    if strangers:
        faults.append(f"{strangers[0]} is not a registered party")
    return faults
