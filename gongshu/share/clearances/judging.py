"""What a grade demands before data go to a party, and whether it is there. Pure."""

from collections.abc import Collection

from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.share.clearances.model import Kind, PartyStanding
from gongshu.share.judging import is_place_within
from gongshu.share.terms import Terms

NAMES = {
    Kind.STRICT: "the strict procedure (named knowers, two approvals, watermark)",
    Kind.IMPORTANT: "an agreement, a check of the receiver and the six-aspect assessment",
    Kind.CROSS_BORDER: "a cross-border record",
}


def judge_grade(label: GradeLabel, terms: Terms, standings: Collection[PartyStanding] = ()) -> str | None:
    """Return why data of this grade must not go to any of these parties under the terms, None if they may.

    Judged anew in every phase: a dataset that is graded higher, changes its columns or whose review is overdue, and a
    clearance that ended, stop what flows under agreements that stand. A party that is not among the standings gets
    nothing by this answer.

    Source: decisions 0041 and 0072; 工信厅信发〔2020〕6号, 第十五条; 工信部网安〔2022〕166号, 第十八条.
    """
    if label.importance is Importance.CORE:
        return f"it is {label.importance.term} data, which do not leave"
    if label.standing is GradeStanding.PROPOSED:
        return "its grade is only proposed; a steward has to confirm it"
    if label.standing is GradeStanding.EXPIRED:
        return "the yearly review of its grade is overdue"
    if is_high(label) and not terms.parties:
        return f"it is graded {_grade_text(label)} and may be offered to named parties only"
    if needed_at_home(label) and not standings:
        return f"it is graded {_grade_text(label)}, and nothing is known about who would get it"
    for standing in standings:
        for kind in sorted(needed_kinds(label, standing)):
            if kind not in standing.in_force:
                return _missing(label, standing, kind)
    return None


def needed_kinds(label: GradeLabel, standing: PartyStanding) -> frozenset[Kind]:
    """Return the clearances without which data of this label do not go to this party.

    A party whose place nobody registered counts as outside from 二级 and 重要 on.
    """
    is_outside = not standing.is_inside if standing.place else is_high(label)
    return needed_at_home(label) | ({Kind.CROSS_BORDER} if is_outside else frozenset())


def needed_at_home(label: GradeLabel) -> frozenset[Kind]:
    """Return the clearances that the label itself demands, wherever the receiver is."""
    needed = {Kind.STRICT} if label.grade is Grade.THREE else set()
    return frozenset(needed | ({Kind.IMPORTANT} if label.importance is not Importance.GENERAL else set()))


def is_high(label: GradeLabel) -> bool:
    """True from 二级 or 重要 on."""
    return label.grade >= Grade.TWO or label.importance is not Importance.GENERAL


def is_inside(place: str, inside: Collection[str], outside: Collection[str]) -> bool:
    """True if the place lies inside of the country.

    >>> is_inside("CN-33", ["CN"], ["CN-HK"]), is_inside("CN-HK", ["CN"], ["CN-HK"]), is_inside("", ["CN"], [])
    (True, False, False)
    """
    return is_place_within(place, frozenset(inside)) and not is_place_within(place, frozenset(outside))


def _missing(label: GradeLabel, standing: PartyStanding, kind: Kind) -> str:
    seen = standing.why_not.get(kind, "there is none")
    if kind is Kind.CROSS_BORDER and not standing.place:
        return (
            f"it is graded {_grade_text(label)} and the place of {standing.party} is not registered "
            f"(`gongshu share place`); outside of the country it needs {NAMES[kind]}: {seen}"
        )
    why = f"goes to {standing.place}" if kind is Kind.CROSS_BORDER else f"is graded {_grade_text(label)}"
    return f"it {why} and needs {NAMES[kind]} for {standing.party}: {seen}"


def _grade_text(label: GradeLabel) -> str:
    parts = [label.grade.term] if label.grade > Grade.ONE or label.importance is Importance.GENERAL else []
    return " ".join(parts + ([label.importance.term] if label.importance is not Importance.GENERAL else []))
