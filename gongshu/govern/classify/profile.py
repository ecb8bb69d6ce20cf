"""What a column's values look like, as shares of the whole; the values themselves are not kept.

Vectorised over Arrow and NumPy; a sample of some thousand rows is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gongshu.packs import Packs

Letters = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

SAMPLE_ROWS_MAX = 10_000
_PHONE = r"^(\+?86[- ]?)?1[3-9]\d{9}$"
_LANDLINE = r"^(\+?86[- ]?)?0\d{2,3}[- ]\d{7,8}$"
_EMAIL = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$"


@dataclass(frozen=True, slots=True)
class CheckRules:
    """How the check characters of identity numbers and credit codes are made, from their packs."""

    id_pattern: str
    id_weights: tuple[int, ...]
    id_checks: str
    uscc_alphabet: str
    uscc_weights: tuple[int, ...]
    uscc_modulus: int

    @classmethod
    def of(cls, packs: Packs) -> "CheckRules":
        """Return the rules of GB 11643 and GB 32100 in force."""
        citizen, organisation = packs.get("gb-11643"), packs.get("gb-32100")
        return cls(
            id_pattern=citizen.value("id_card.pattern"),
            id_weights=tuple(citizen.value("id_card.weights")),
            id_checks=citizen.value("id_card.checks"),
            uscc_alphabet=organisation.value("uscc.alphabet"),
            uscc_weights=tuple(organisation.value("uscc.weights")),
            uscc_modulus=organisation.value("uscc.modulus"),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares are of the values that are there, 0..1."""

    rows: int
    values: int
    """Values that are not null."""
    distinct: int
    is_text: bool
    phone_ratio: float = 0.0
    email_ratio: float = 0.0
    id_card_ratio: float = 0.0
    """With a right check digit and a possible birth date."""
    uscc_ratio: float = 0.0
    """With a right check character."""
    is_flag: bool = False
    """At most two different values, as in yes and no."""

    def allows(self, marker: str) -> bool:
        """Return whether values like these can be of the personal kind that a name suggests."""
        match marker:
            case "personal.phone":
                return self.phone_ratio >= RATIO_MIN
            case "personal.email":
                return self.email_ratio >= RATIO_MIN
            case "personal.id_card":
                return self.is_text and self.id_card_ratio >= RATIO_MIN
            case "personal.name" | "personal.address":
                return self.is_text and not self.is_flag
            case _:
                return not self.is_flag

    def supports(self, marker: str, share_min: float) -> bool:
        """Return whether the values alone look like the personal kind."""
        shares = {
            "personal.phone": self.phone_ratio,
            "personal.email": self.email_ratio,
            "personal.id_card": self.id_card_ratio,
        }
        return self.is_text and shares.get(marker, 0.0) >= share_min


RATIO_MIN = 0.5
"""With a name that says so, half the values are enough: the rest may be mistyped or foreign. Our choice."""


def profile_column(column: pa.ChunkedArray | pa.Array, rules: CheckRules) -> Profile:
    """Return the profile of a column's values, of at most the first `SAMPLE_ROWS_MAX`.

    Whole numbers are read as their digits, so that a telephone number stored as an integer counts when its name says
    so; other types are only counted.
    """
    sample = column.slice(0, SAMPLE_ROWS_MAX)
    values = pc.drop_null(sample)
    count, rows = len(values), len(sample)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if count == 0 or not (is_text or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        return Profile(rows, count, 0, is_text)
    distinct = len(pc.unique(values))
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    upper = pc.utf8_upper(text)
    uscc_pattern = f"^[{rules.uscc_alphabet}]{{2}}[0-9]{{6}}[{rules.uscc_alphabet}]{{10}}$"
    return Profile(
        rows=rows,
        values=count,
        distinct=distinct,
        is_text=is_text,
        phone_ratio=max(_ratio(text, _PHONE), _ratio(text, _LANDLINE)),
        email_ratio=_ratio(text, _EMAIL),
        id_card_ratio=_checked_ratio(upper, rules.id_pattern, lambda letters: _id_card_holds(letters, rules)),
        uscc_ratio=_checked_ratio(upper, uscc_pattern, lambda letters: _uscc_holds(letters, rules)),
        is_flag=distinct <= 2 and count > 2,
    )


def _ratio(text: pa.Array, pattern: str) -> float:
    return float(pc.mean(pc.match_substring_regex(text, pattern)).as_py() or 0.0)


def _checked_ratio(text: pa.Array, pattern: str, holds: Callable[[Letters], Flags]) -> float:
    shaped = text.filter(pc.match_substring_regex(text, pattern))
    if len(shaped) == 0:
        return 0.0
    letters = np.frombuffer("".join(shaped.to_pylist()).encode("ascii"), dtype=np.uint8).reshape(len(shaped), 18)
    return float(holds(letters).sum()) / len(text)


def _id_card_holds(letters: Letters, rules: CheckRules) -> Flags:
    digits = letters[:, :17].astype(np.int64) - ord("0")
    checks = np.frombuffer(rules.id_checks.encode("ascii"), dtype=np.uint8)
    held: Flags = checks[(digits @ np.array(rules.id_weights)) % len(checks)] == letters[:, 17]
    return held


def _uscc_holds(letters: Letters, rules: CheckRules) -> Flags:
    lookup = np.zeros(128, dtype=np.int64)
    for value, letter in enumerate(rules.uscc_alphabet):
        lookup[ord(letter)] = value
    values = lookup[letters]
    sums = values[:, :17] @ np.array(rules.uscc_weights)
    held: Flags = (rules.uscc_modulus - sums % rules.uscc_modulus) % rules.uscc_modulus == values[:, 17]
    return held
