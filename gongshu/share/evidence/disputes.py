"""How a delivery stands between two sides that both count it, and what a dispute may become. Pure.

`next_state` is the whole table. Both sides go through it by the same entries, each in the order of its own chain and of
the other's; whatever order the two chains interleave in, both end alike. `tests/unit/share/test_evidence_disputes.py`
tries every interleaving. A dispute never hangs: both sides settle it, either side ends the contract, or it lapses.
"""

from enum import StrEnum


class Standing(StrEnum):
    """How one delivery stands here."""

    WAITING_THEIRS = "waiting_theirs"
    """Our line is written; theirs is not here."""
    WAITING_OURS = "waiting_ours"
    """Their line is here; we have counted nothing like it yet."""
    AGREED = "agreed"
    DISPUTED = "disputed"
    """The figures differ, or a line is missing, or they say so; nobody has said how it is to end."""
    ANSWERED = "answered"
    """We have said whose figures count; they have not."""
    ASKED = "asked"
    """They have said whose figures count; we have not."""
    OPPOSED = "opposed"
    """Both have, and not the same; both may say it anew."""
    SETTLED = "settled"
    COVERED = "covered"
    """A stretch of a stream whose rows stand in other lines, drawn by who received them; it counts nothing."""
    ENDED = "ended"
    """The contract ended over it, or while it was open."""


class Event(StrEnum):
    """What can happen to it."""

    LINES_EQUAL = "lines_equal"
    LINES_DIFFER = "lines_differ"
    OVERDUE = "overdue"
    THEY_DISPUTE = "they_dispute"
    WE_CHOOSE = "we_choose"
    THEY_CHOOSE = "they_choose"
    CHOICES_MEET = "choices_meet"
    CHOICES_DIFFER = "choices_differ"
    LINES_COVER = "lines_cover"
    """The receiver's own lines reach to the end of a stretch that the sender drew a line over."""
    CONTRACT_ENDS = "contract_ends"


_S, _E = Standing, Event

OPEN = frozenset({_S.DISPUTED, _S.ANSWERED, _S.ASKED, _S.OPPOSED})
"""Standings that freeze the agreement."""
FINAL = frozenset({_S.AGREED, _S.SETTLED, _S.COVERED, _S.ENDED})
MAY_CHOOSE = frozenset({_S.DISPUTED, _S.ASKED, _S.OPPOSED})
"""Standings in which a person of this side may say how it is to end."""

_TABLE: dict[tuple[Standing, Event], Standing] = {
    **{(waiting, _E.LINES_EQUAL): _S.AGREED for waiting in (_S.WAITING_THEIRS, _S.WAITING_OURS)},
    **{
        (waiting, event): _S.DISPUTED
        for waiting in (_S.WAITING_THEIRS, _S.WAITING_OURS)
        for event in (_E.LINES_DIFFER, _E.OVERDUE, _E.THEY_DISPUTE)
    },
    **{(each, _E.LINES_EQUAL): _S.AGREED for each in OPEN},
    **{(each, _E.LINES_COVER): _S.COVERED for each in (_S.WAITING_THEIRS, _S.WAITING_OURS, *OPEN)},
    **{(each, _E.CONTRACT_ENDS): _S.ENDED for each in OPEN},
    (_S.DISPUTED, _E.WE_CHOOSE): _S.ANSWERED,
    (_S.DISPUTED, _E.THEY_CHOOSE): _S.ASKED,
    (_S.OPPOSED, _E.WE_CHOOSE): _S.ANSWERED,
    (_S.OPPOSED, _E.THEY_CHOOSE): _S.ASKED,
    **{(each, _E.CHOICES_MEET): _S.SETTLED for each in (_S.ANSWERED, _S.ASKED)},
    **{(each, _E.CHOICES_DIFFER): _S.OPPOSED for each in (_S.ANSWERED, _S.ASKED)},
}


def next_state(state: Standing, event: Event) -> Standing:
    """Return the standing after an event; what the table does not name changes nothing.

    >>> next_state(Standing.WAITING_THEIRS, Event.OVERDUE).value, next_state(Standing.AGREED, Event.OVERDUE).value
    ('disputed', 'agreed')
    """
    return _TABLE.get((state, event), state)
