"""The lives of spaces, members and entries as tables of steps. Pure.

Source: TC609-6-2025-01 §6.4 for request, audit, id and dissolution of a space; the four states of an entry are those of
one open implementation; refusal, suspension, withdrawal and their order are this platform's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Life(StrEnum):
    """Whose life."""

    SPACE = "space"
    MEMBER = "member"
    ENTRY = "entry"


class Standing(StrEnum):
    """Every state of the three lives."""

    REQUESTED = "requested"
    ACTIVE = "active"
    REFUSED = "refused"
    DISSOLVED = "dissolved"
    APPLIED = "applied"
    ADMITTED = "admitted"
    SUSPENDED = "suspended"
    EXPELLED = "expelled"
    LEFT = "left"
    ENDED = "ended"
    PENDING = "pending"
    AUDITED = "audited"
    REGISTERED = "registered"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What moves them on."""

    APPROVE = "approved"
    REFUSE = "refused"
    DISSOLVE = "dissolved"
    APPLY = "applied for"
    ADMIT = "admitted"
    SUSPEND = "suspended"
    RESUME = "resumed"
    EXPEL = "expelled"
    LEAVE = "left"
    END = "ended"
    AUDIT = "audited"
    REGISTER = "registered"
    PUBLISH = "published"
    WITHDRAW = "withdrawn"


EXPLAINED = frozenset({Step.REFUSE, Step.SUSPEND, Step.EXPEL, Step.WITHDRAW, Step.DISSOLVE})
"""Steps of an operator that take something away: whom it concerns reads why."""


class Hand(StrEnum):
    """Who takes a step."""

    OPERATOR = "operator"
    PARTY = "party"
    """The member itself, or the owner of the entry."""
    SPACE = "space"
    """What follows by itself, from the end of a space or of a membership."""


@dataclass(frozen=True, slots=True)
class Row:
    """One possible step."""

    life: Life
    before: Standing
    step: Step
    after: Standing
    hands: frozenset[Hand]


_O, _P, _S = frozenset({Hand.OPERATOR}), frozenset({Hand.PARTY}), frozenset({Hand.SPACE})


def _rows(life: Life, *rows: tuple[Standing, Step, Standing, frozenset[Hand]]) -> tuple[Row, ...]:
    return tuple(Row(life, *row) for row in rows)


_T, _D = Standing, Step
TABLE: tuple[Row, ...] = (
    *_rows(
        Life.SPACE,
        (_T.REQUESTED, _D.APPROVE, _T.ACTIVE, _O),
        (_T.REQUESTED, _D.REFUSE, _T.REFUSED, _O),
        (_T.ACTIVE, _D.DISSOLVE, _T.DISSOLVED, _O),
    ),
    *_rows(
        Life.MEMBER,
        (_T.APPLIED, _D.ADMIT, _T.ADMITTED, _O),
        (_T.APPLIED, _D.REFUSE, _T.REFUSED, _O),
        (_T.APPLIED, _D.LEAVE, _T.LEFT, _P),
        (_T.REFUSED, _D.APPLY, _T.APPLIED, _P),
        (_T.LEFT, _D.APPLY, _T.APPLIED, _P),
        (_T.ADMITTED, _D.SUSPEND, _T.SUSPENDED, _O),
        (_T.SUSPENDED, _D.RESUME, _T.ADMITTED, _O),
        (_T.ADMITTED, _D.EXPEL, _T.EXPELLED, _O),
        (_T.SUSPENDED, _D.EXPEL, _T.EXPELLED, _O),
        (_T.ADMITTED, _D.LEAVE, _T.LEFT, _P),
        (_T.SUSPENDED, _D.LEAVE, _T.LEFT, _P),
        (_T.APPLIED, _D.END, _T.ENDED, _S),
        (_T.ADMITTED, _D.END, _T.ENDED, _S),
        (_T.SUSPENDED, _D.END, _T.ENDED, _S),
    ),
    *_rows(
        Life.ENTRY,
        (_T.PENDING, _D.AUDIT, _T.AUDITED, _O),
        (_T.PENDING, _D.REFUSE, _T.REFUSED, _O),
        (_T.AUDITED, _D.REGISTER, _T.REGISTERED, _O),
        (_T.AUDITED, _D.REFUSE, _T.REFUSED, _O),
        (_T.REGISTERED, _D.PUBLISH, _T.ACTIVE, _P),
        (_T.PENDING, _D.WITHDRAW, _T.WITHDRAWN, _O | _P | _S),
        (_T.AUDITED, _D.WITHDRAW, _T.WITHDRAWN, _O | _P | _S),
        (_T.REGISTERED, _D.WITHDRAW, _T.WITHDRAWN, _O | _P | _S),
        (_T.ACTIVE, _D.WITHDRAW, _T.WITHDRAWN, _O | _P | _S),
    ),
)
BEGINNING: Mapping[Life, Standing] = {
    Life.SPACE: Standing.REQUESTED,
    Life.MEMBER: Standing.APPLIED,
    Life.ENTRY: Standing.PENDING,
}
_BY_STEP = {(row.life, row.before, row.step): row for row in TABLE}


def decide(life: Life, before: Standing, step: Step, hand: Hand) -> Standing | None:
    """Return the state after a step, None if this hand cannot take it from there.

    >>> decide(Life.ENTRY, Standing.PENDING, Step.PUBLISH, Hand.PARTY) is None
    True
    """
    row = _BY_STEP.get((life, before, step))
    return row.after if row is not None and hand in row.hands else None


def possible(life: Life, before: Standing, hand: Hand) -> list[Step]:
    """Return the steps that this hand can take from a state."""
    return [row.step for row in TABLE if row.life is life and row.before is before and hand in row.hands]
