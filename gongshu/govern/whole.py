"""A whole and its parts: what a dataset is proposed as, given its columns or series and what it was made from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gongshu.govern.model import Evidence, Part, Proposal, grade_text
from gongshu.model.dataset import Dataset
from gongshu.model.grade import Grade, Importance

STRICTEST_SOURCE = "GB/T 43697-2024 就高从严 [待确认]"
EVIDENCE_MAX = 12


def propose_whole(parts: Sequence[Part], parents: Sequence[Dataset]) -> Proposal:
    """Return the proposal for a dataset: the commonest category, the strictest grade of its parts and parents.

    Shape: at least one part; a table without columns is never registered.

    Source: GB/T 43697-2024, 就高从严; annex I for derived data.
    """
    labels = [part.label for part in parts] + [parent.label for parent in parents]
    proposals = [part.proposal for part in parts]
    grade = max([label.grade for label in labels] + [proposal.grade for proposal in proposals])
    importance = max(
        [label.importance for label in labels] + [proposal.importance for proposal in proposals],
        key=lambda found: found.rank,
    )
    votes: Counter[str] = Counter()
    for proposal in proposals:
        votes[proposal.category] += max(1, round(100 * proposal.confidence))
    category = votes.most_common(1)[0][0]
    first = max(proposals, key=lambda proposal: (proposal.category == category, proposal.grade, proposal.confidence))
    return Proposal(
        category=category,
        category_2022=first.category_2022,
        grade=grade,
        importance=importance,
        confidence=round(sum(p.confidence for p in proposals) / len(proposals), 2),
        evidence=(*_composition(parts, grade), *_inherited(parents), *_deciding(parts, grade, importance))[
            :EVIDENCE_MAX
        ],
        markers=tuple(sorted({marker for proposal in proposals for marker in proposal.markers})),
        packs=tuple(sorted({pack for proposal in proposals for pack in proposal.packs})),
    )


def _composition(parts: Sequence[Part], grade: Grade) -> tuple[Evidence, ...]:
    counts = Counter(part.proposal.category for part in parts)
    at_grade = sum(1 for part in parts if max(part.label.grade, part.proposal.grade) == grade)
    seen = ", ".join(f"{category} × {count}" for category, count in counts.most_common(5))
    return (
        Evidence(
            "whole.parts",
            seen,
            STRICTEST_SOURCE,
            f"共 {len(parts)} 个字段或测点，其中 {at_grade} 个按{grade.term}；整体不低于其组成部分",
            f"{len(parts)} columns or series, {at_grade} of them at grade {int(grade)}; a whole is not below its parts",
        ),
    )


def _inherited(parents: Sequence[Dataset]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            "lineage.parent",
            parent.dataset_id,
            STRICTEST_SOURCE,
            f"由 {parent.dataset_id}（{grade_text(parent.label.grade, parent.label.importance)}）加工而来，"
            "建议不低于来源",
            f"Made from {parent.dataset_id} (grade {int(parent.label.grade)}, {parent.label.importance.value}); "
            "proposed not below its source",
        )
        for parent in parents
    )


def _deciding(parts: Sequence[Part], grade: Grade, importance: Importance) -> tuple[Evidence, ...]:
    """The evidence of the part that sets the grade, told with the part's name."""
    strict = [p for p in parts if p.proposal.grade == grade and p.proposal.importance == importance]
    strict = strict or [p for p in parts if p.proposal.grade == grade]
    if not strict:
        return ()
    part = max(strict, key=lambda p: (len(p.proposal.markers), p.proposal.confidence))
    return tuple(replace(e, seen=f"{part.name}: {e.seen}") for e in part.proposal.evidence)


def is_below(grade: Grade, importance: Importance, than_grade: Grade, than_importance: Importance) -> bool:
    """Return whether either scheme would be lower.

    >>> is_below(Grade.TWO, Importance.GENERAL, Grade.TWO, Importance.IMPORTANT)
    True
    """
    return grade < than_grade or importance.rank < than_importance.rank
