"""A mark in the lowest permitted decimal of some values, by which a leaked copy names who received it. Pure.

A value is read as its shortest decimal text. The digit at the marked decimal is hidden; what is left, with a key of the
dataset, chooses about one value in eight. Of those, half carry a bit of the receiving party, half a bit of the one
delivery: the digit is made even or odd, by one step, without carry, never to zero. No row order, column name or key
column is needed to find the mark again: it survives sorting, cutting, dropped columns, merging, CSV and JSON. It does
not survive rounding below the marked decimal, another unit, noise in it, or aggregation; whoever compares two parties'
copies sees where they differ. The method is Agrawal's and Kiernan's (VLDB 2002) with the value as its own key.
See decision 0072.
"""

import hashlib
import hmac
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SHARE = 16
"""One value in so many carries a bit of the party, one a bit of the delivery: half of them are changed. Ours."""
CHANCE_MAX = 1e-6
"""A party is named only where chance would name it less often than this. Ours."""
_PARTY, _DELIVERY = 0, 1


@dataclass(frozen=True, slots=True)
class Suspect:
    """A party, or one delivery to it, and how well a file fits its mark."""

    name: str
    seen: int
    """Different values of the file that would carry its bits."""
    hits: int
    """Of those, how many do."""
    chance: float
    """Probability that chance alone brings so many hits to any of the suspects; 1.0 says nothing."""

    @property
    def is_named(self) -> bool:
        """True if chance is no explanation."""
        return self.chance < CHANCE_MAX


@dataclass(frozen=True, slots=True)
class Marking:
    """The keys of one delivery."""

    secret: bytes
    """Of the dataset."""
    party: str
    delivery: str

    def mark(self, value: float, decimals: int) -> float:
        """Return the value as this delivery carries it; it differs by at most one step of the marked decimal.

        >>> Marking(b"k", "p", "d").mark(2.0, 3)
        2.0
        """
        split = hidden(value, decimals)
        if split is None:
            return value
        masked, at, text = split
        owner = _owner(self.secret, masked)
        if owner is None:
            return value
        bit = bit_of(self.secret, self.party if owner == _PARTY else self.delivery, masked)
        digit = int(text[at])
        if digit % 2 == bit:
            return value
        marked = f"{text[:at]}{_other(digit)}{text[at + 1 :]}"
        return float(marked) if repr(float(marked)) == marked else value  # a neighbour may be no number


def hidden(value: float, decimals: int) -> tuple[str, int, str] | None:
    """Return a value's text without the digit at a decimal, where that digit stands, and the text; None if it has none.

    >>> hidden(12.345, 2)
    ('12.3*5', 4, '12.345')
    """
    text = repr(value)
    point = text.find(".")
    at = point + decimals
    if point < 0 or at >= len(text) or not text[point + 1 :].isdigit() or (at == len(text) - 1 and text[at] == "0"):
        return None
    return f"{text[:at]}*{text[at + 1 :]}", at, text


def bit_of(secret: bytes, name: str, masked: str) -> int:
    """Return the bit that a party or delivery leaves in one value."""
    return hmac.digest(secret, f"bit\x00{name}\x00{masked}".encode(), "sha256")[0] & 1


def choose(secret: bytes, values: Iterable[float], decimals: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the values that would carry bits, without their digit, with its parity: of parties, of deliveries.

    A value that is there with both parities, as when two copies were merged, says nothing and is left out.
    """
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for value in values:
        split = hidden(value, decimals)
        if split is None:
            continue
        masked, at, text = split
        owner = _owner(secret, masked)
        if owner is not None:
            parity = int(text[at]) % 2
            found[owner][masked] = parity if found[owner].get(masked, parity) == parity else -1
    party, delivery = ({masked: p for masked, p in part.items() if p >= 0} for part in found)
    return party, delivery


def judge(secret: bytes, seen: Mapping[str, int], names: Iterable[str]) -> Iterator[Suspect]:
    """Yield how well each name fits what was seen, its chance counted for all names together."""
    asked = list(names)
    for name in asked:
        hits = sum(bit_of(secret, name, masked) == parity for masked, parity in seen.items())
        yield Suspect(name, len(seen), hits, min(1.0, len(asked) * chance_of(len(seen), hits)))


def chance_of(seen: int, hits: int) -> float:
    """Return the probability of so many hits or more by tossing a coin.

    >>> round(chance_of(10, 10) * 1024, 9), chance_of(0, 0)
    (1.0, 1.0)
    """
    if hits <= seen / 2:
        return 1.0
    logs = [_log_choose(seen, k) - seen * math.log(2) for k in range(hits, seen + 1)]
    top = max(logs)
    return min(1.0, math.exp(top) * sum(math.exp(log - top) for log in logs))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _owner(secret: bytes, masked: str) -> int | None:
    first = hashlib.blake2b(masked.encode(), key=secret, digest_size=2).digest()
    number = int.from_bytes(first, "big") % SHARE
    return number if number in (_PARTY, _DELIVERY) else None


def _other(digit: int) -> int:
    """The neighbour of the other parity: never zero, never a carry."""
    return digit - 1 if digit == 9 else digit + 1
