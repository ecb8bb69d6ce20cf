"""Sequence numbers of one subscription: what came in order, what is missing, what came twice. Pure.

Source: OPC 10000-4 §5.13.1.1: sequence numbers grow by one with each notification message, wrap from 2^32-1 to 1, and
a keep-alive carries the number that the next notification message will have.
"""

from dataclasses import dataclass

_LAST = 2**32 - 1
GAP_MAX = 10_000
"""A larger jump is not a gap to be asked for again but another subscription's history."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a message stands to those before it."""

    missing: tuple[int, ...]
    """Sequence numbers to ask for again, before this message."""
    repeated: bool = False
    """It came already."""
    jumped: bool = False
    """Too far ahead to ask for: a number of messages that nobody can tell is lost."""


@dataclass(slots=True)
class SequenceLog:
    """The number expected next; the first message sets it."""

    expected: int | None = None

    def notification(self, number: int) -> Arrival:
        """Take a message with values."""
        arrival = self._arrival(number)
        if not arrival.repeated:
            self.expected = _after(number)
        return arrival

    def keep_alive(self, next_number: int) -> Arrival:
        """Take a keep-alive; it shows that all before `next_number` were sent."""
        arrival = self._arrival(next_number)
        self.expected = next_number if not arrival.repeated else self.expected
        return arrival

    def _arrival(self, number: int) -> Arrival:
        if self.expected is None or number == self.expected:
            return Arrival(())
        ahead = _distance(self.expected, number)
        if ahead > _LAST // 2:
            return Arrival((), repeated=True)
        if ahead > GAP_MAX:
            return Arrival((), jumped=True)
        missing, at = [], self.expected
        for _ in range(ahead):
            missing.append(at)
            at = _after(at)
        return Arrival(tuple(missing))


def _after(number: int) -> int:
    return number + 1 if number < _LAST else 1


def _distance(start: int, end: int) -> int:
    return (end - start) % _LAST
