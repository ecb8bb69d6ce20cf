"""How carefully data are to be treated, by two schemes that both apply."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class Grade(IntEnum):
    """一级, 二级, 三级; higher is stricter. Source: 工信厅信发〔2020〕6号, 第三章."""

    ONE = 1
    TWO = 2
    THREE = 3

    @property
    def term(self) -> str:
        """The Chinese term."""
        return ("一级", "二级", "三级")[self - 1]


class Importance(StrEnum):
    """一般, 重要, 核心. Source: 工信部网安〔2022〕166号, 第九至十一条."""

    GENERAL = "general"
    IMPORTANT = "important"
    CORE = "core"

    @property
    def term(self) -> str:
        """The Chinese term."""
        return {"general": "一般", "important": "重要", "core": "核心"}[self.value]

    @property
    def rank(self) -> int:
        """0, 1, 2: higher is stricter."""
        return ("general", "important", "core").index(self.value)


class GradeStanding(StrEnum):
    """Where a grade stands in its life."""

    PROPOSED = "proposed"
    """Made by rules; counts for protection, never for sharing."""
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    """Confirmed, but past its yearly review: no new sharing."""


@dataclass(frozen=True, slots=True)
class GradeLabel:
    """The grade of a dataset or column by both schemes, and whether a person stands behind it."""

    grade: Grade
    importance: Importance
    category: str
    """A code of the classification pack: `production.process_parameter`."""
    standing: GradeStanding
    valid_until: datetime | None
    """When the yearly review is due; None while proposed."""


def strictest(labels: "list[GradeLabel]") -> tuple[Grade, Importance]:
    """Return the highest grade and importance among the labels: a whole is never graded below its parts.

    Raises: ValueError if there is no label.
    Source: GB/T 43697-2024, 就高从严.
    """
    return max(label.grade for label in labels), max((label.importance for label in labels), key=lambda i: i.rank)
