"""Catalogue values as plain rows for HTTP answers, command line and exports. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from gongshu.govern.model import Change, Evidence, Part, Proposal, ReviewDue
from gongshu.model.dataset import Column, Dataset
from gongshu.model.grade import GradeLabel
from gongshu.packs import Pack, PackItem

Row = dict[str, Any]

STANDING_TERMS: Mapping[str, str] = {"proposed": "待确认", "confirmed": "已确认", "expired": "已过期"}


def label_row(label: GradeLabel) -> Row:
    """Return a label with both schemes' terms."""
    return {
        "grade": int(label.grade),
        "grade_term": label.grade.term,
        "importance": label.importance.value,
        "importance_term": label.importance.term,
        "category": label.category,
        "standing": label.standing.value,
        "standing_term": STANDING_TERMS[label.standing.value],
        "valid_until": _iso(label.valid_until),
    }


def dataset_row(dataset: Dataset) -> Row:
    """Return a catalogue entry without its columns."""
    return {
        "dataset_id": dataset.dataset_id,
        "title": dataset.title,
        "kind": dataset.kind.value,
        "asset": dataset.asset,
        "origin": dataset.origin,
        "owner": dataset.owner,
        "series": len(dataset.series),
        "columns": len(dataset.columns),
        "first_seen": _iso(dataset.first_seen),
        **label_row(dataset.label),
    }


def column_row(column: Column) -> Row:
    """Return a column; `label` is null where the dataset's own label holds."""
    row = {"name": column.name, "type": column.type, "title": column.title, "unit": column.unit}
    return row | {"label": label_row(column.label) if column.label else None}


def proposal_row(proposal: Proposal) -> Row:
    """Return a proposal with its reasons."""
    return {
        "category": proposal.category,
        "category_2022": proposal.category_2022,
        "grade": int(proposal.grade),
        "grade_term": proposal.grade.term,
        "importance": proposal.importance.value,
        "importance_term": proposal.importance.term,
        "confidence": proposal.confidence,
        "markers": list(proposal.markers),
        "evidence": [evidence_row(evidence) for evidence in proposal.evidence],
        "packs": list(proposal.packs),
    }


def evidence_row(evidence: Evidence) -> Row:
    """Return one reason."""
    return asdict(evidence)


def part_row(part: Part) -> Row:
    """Return a column or series with its label and proposal."""
    return {
        "name": part.name,
        **label_row(part.label),
        "graded_alone": part.graded_alone,
        "proposal": proposal_row(part.proposal),
    }


def change_row(change: Change) -> Row:
    """Return one line of history."""
    return asdict(change) | {"at": _iso(change.at), "kind": change.kind.value}


def review_row(review: ReviewDue) -> Row:
    """Return one review that is due."""
    row = {"dataset_id": review.dataset_id, "title": review.title, "why": review.why, "due_at": _iso(review.due_at)}
    return row | label_row(review.label)


def pack_row(pack: Pack) -> Row:
    """Return a pack without its items."""
    return {
        "pack": pack.name,
        "version": pack.version,
        "title_zh": pack.title_zh,
        "title_en": pack.title_en,
        "source": pack.source,
        "effective_from": _day(pack.effective_from),
        "effective_to": _day(pack.effective_to),
        "items": len(pack.items),
        "digest": pack.digest,
    }


def item_row(item: PackItem) -> Row:
    """Return one number or code with where it stands and how sure that is."""
    return {
        "pack": item.pack,
        "version": item.version,
        "key": item.key,
        "value": item.value,
        "title_zh": item.title_zh,
        "title_en": item.title_en,
        "source": item.source,
        "clause": item.clause,
        "confidence": item.confidence.value,
        "confidence_term": item.confidence.term,
        "effective_from": _day(item.effective_from),
        "effective_to": _day(item.effective_to),
    }


LIST_COLUMNS: Sequence[tuple[str, str]] = (
    ("number", "序号"),
    ("dataset_id", "数据集标识"),
    ("title", "名称"),
    ("domain", "数据域"),
    ("category_title", "子类"),
    ("category_2022", "类别（2022办法）"),
    ("grade_term", "级别"),
    ("importance_term", "重要程度"),
    ("standing_term", "状态"),
    ("valid_until", "有效期至"),
    ("owner", "责任人"),
    ("origin", "来源"),
    ("parts", "字段或测点数"),
    ("basis", "依据"),
)
"""The columns of the enterprise's classification list (企业工业数据分类清单), in order: key and heading."""


def classification_rows(entries: Sequence[tuple[Dataset, Proposal]], guide: Pack, measures: Pack) -> list[Row]:
    """Return the enterprise's classification list, one row a dataset."""
    rows = []
    for number, (dataset, proposal) in enumerate(entries, start=1):
        label = dataset.label
        domain = guide.item(f"domain.{label.category.split('.')[0]}")
        rows.append(
            {
                "number": number,
                "domain": domain.title_zh,
                "category_title": guide.item(f"category.{label.category}").title_zh,
                "parts": len(dataset.series) or len(dataset.columns),
                "basis": "; ".join(
                    p.split(" #")[0] for p in proposal.packs if p.startswith((guide.name, measures.name))
                ),
            }
            | {key: dataset_row(dataset)[key] for key in _FROM_DATASET}
            | {"category_2022": measures.value(f"class.{proposal.category_2022}")}
        )
    return rows


_FROM_DATASET = (
    "dataset_id",
    "title",
    "grade_term",
    "importance_term",
    "standing_term",
    "valid_until",
    "owner",
    "origin",
)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _day(day: object) -> str | None:
    return str(day) if day else None
