"""What a column's values look like, as shares of the whole; the values themselves are not kept.

Vectorised over Arrow and NumPy; a sample of some thousand rows is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Letters = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

SAMPLE_ROWS_MAX = 10_000
_PHONE = r"^(\+?86[- ]?)?1[3-9]\d{9}$"
_LANDLINE = r"^(\+?86[- ]?)?0\d{2,3}[- ]\d{7,8}$"
_EMAIL = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$"
_ID_CARD = r"^[1-9]\d{5}(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[0-9X]$"
_USCC = r"^[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}$"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ID_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_ID_CHECKS = np.frombuffer(b"10X98765432", dtype=np.uint8)
"""Sources: GB 11643-1999 for identity numbers, GB 32100-2015 for credit codes (weights 3^i mod 31)."""


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


RATIO_MIN = 0.5
"""With a name that says so, half the values are enough: the rest may be mistyped or foreign. Our choice."""


def profile_column(column: pa.ChunkedArray | pa.Array) -> Profile:
    """Return the profile of a column's values, of at most the first `SAMPLE_ROWS_MAX`.

    Numbers are read as their digits only where they are whole, so that a telephone number stored as an integer counts
    when its name says so.
    """
    sample = column.slice(0, SAMPLE_ROWS_MAX)
    values = pc.drop_null(sample)
    count, rows = len(values), len(sample)
    if count == 0:
        return Profile(rows, 0, 0, pa.types.is_string(column.type))
    if not _can_be_text(column.type):
        return Profile(rows, count, 0, is_text=False)
    distinct = len(pc.unique(values))
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    return Profile(
        rows=rows,
        values=count,
        distinct=distinct,
        is_text=is_text,
        phone_ratio=max(_ratio(text, _PHONE), _ratio(text, _LANDLINE)),
        email_ratio=_ratio(text, _EMAIL),
        id_card_ratio=_checked_ratio(pc.utf8_upper(text), _ID_CARD, _id_card_holds),
        uscc_ratio=_checked_ratio(pc.utf8_upper(text), _USCC, _uscc_holds),
        is_flag=distinct <= 2 and count > 2,
    )


def _can_be_text(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_integer(type_)
        or pa.types.is_boolean(type_)
    )


def _ratio(text: pa.Array, pattern: str) -> float:
    return float(pc.mean(pc.match_substring_regex(text, pattern)).as_py() or 0.0)


def _checked_ratio(text: pa.Array, pattern: str, holds: Callable[[Letters], Flags]) -> float:
    shaped = text.filter(pc.match_substring_regex(text, pattern))
    if len(shaped) == 0:
        return 0.0
    letters = np.frombuffer("".join(shaped.to_pylist()).encode("ascii"), dtype=np.uint8).reshape(len(shaped), 18)
    return float(holds(letters).sum()) / len(text)


def _id_card_holds(letters: Letters) -> Flags:
    digits = letters[:, :17].astype(np.int64) - ord("0")
    checks: Flags = _ID_CHECKS[(digits @ _ID_WEIGHTS) % 11] == letters[:, 17]
    return checks


def _uscc_holds(letters: Letters) -> Flags:
    lookup = np.full(128, 0, dtype=np.int64)
    for value, letter in enumerate(_USCC_ALPHABET):
        lookup[ord(letter)] = value
    weights = np.array([pow(3, i, 31) for i in range(17)])
    values = lookup[letters]
    checks: Flags = (31 - values[:, :17] @ weights % 31) % 31 == values[:, 17]
    return checks
