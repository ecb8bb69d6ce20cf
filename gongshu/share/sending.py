"""When to send again, and what an answer means: pure rules about messages on an unreliable wire."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Outcome(StrEnum):
    """What a sending came to."""

    CONFIRMED = "confirmed"
    RETRY = "retry"
    """Nobody knows, or the other side asks for patience: ask for its state, then send again."""
    REFUSED = "refused"
    """It understood and said no: its state decides."""


@dataclass(frozen=True, slots=True)
class Retries:
    """The bounds of retrying: twenty attempts within about an hour. Ours, not the standard's."""

    first_ms: int = 500
    factor: float = 2.0
    longest_s: float = 300.0
    attempts_max: int = 20
    not_found_max: int = 3
    """How often a 404 is taken for 'not yet': the peer may still be storing the process."""
    conflict_max: int = 9
    """How often a 409 is taken for 'not yet' where nothing says that the message is not due: for a minute at least.
    Other connectors show a state before they have stored it, show none while they store the first answer, and may lock
    a process for a minute, as EDC 0.14.1 does after a message that came twice."""


NOT_FOUND, CONFLICT = 404, 409
PATIENT = frozenset({408, 425, 429})
"""Answers below 500 that ask to come back."""


def judge_status(status_code: int | None, *, attempts: int, retries: Retries) -> Outcome:
    """Return what an answer means; None stands for no answer.

    >>> judge_status(503, attempts=1, retries=Retries()).value, judge_status(400, attempts=1, retries=Retries()).value
    ('retry', 'refused')
    """
    if status_code is None or status_code >= 500 or status_code in PATIENT:
        return Outcome.RETRY
    if 200 <= status_code < 300:
        return Outcome.CONFIRMED
    if status_code == NOT_FOUND and attempts < retries.not_found_max:
        return Outcome.RETRY
    return Outcome.REFUSED


def plan_delay(attempts: int, retries: Retries, *, jitter: float) -> timedelta:
    """Return how long to wait before the next attempt; `jitter` in 0..1 spreads senders over half of it.

    >>> plan_delay(1, Retries(), jitter=0.0).total_seconds(), plan_delay(99, Retries(), jitter=1.0).total_seconds()
    (0.25, 300.0)
    """
    grown = min(retries.longest_s, retries.first_ms / 1000 * retries.factor ** min(attempts - 1, 30))
    return timedelta(seconds=grown * (0.5 + jitter / 2))
