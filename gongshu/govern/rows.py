"""Between the catalogue's rows and its values. Whether a confirmed grade has expired is read off the clock here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.govern import tables as t
from gongshu.govern.model import Change, ChangeKind, Evidence, Proposal
from gongshu.model.dataset import SERIES_COLUMNS, Column, Dataset, DatasetKind
from gongshu.model.grade import Grade, GradeLabel, GradeStanding, Importance
from gongshu.model.ids import AssetId, DatasetId, SeriesId, SourceId
from gongshu.model.reading import ValueType
from gongshu.model.series import Series, SeriesSighting

LOCK_KEY = 6_720_001
"""PostgreSQL advisory lock of catalogue writers; SQLite's BEGIN IMMEDIATE is one already."""


def lock_catalogue(connection: sa.Connection) -> None:
    """Let one writer at a time change the catalogue, among all processes; released with the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})


def next_value(connection: sa.Connection, name: str, step: int = 1) -> int:
    """Raise a counter by `step` and return its new value; the caller holds the catalogue's lock."""
    value = connection.execute(sa.select(t.counters.c.value).where(t.counters.c.name == name)).scalar()
    if value is None:
        connection.execute(t.counters.insert().values(name=name, value=step))
        return step
    connection.execute(t.counters.update().where(t.counters.c.name == name).values(value=value + step))
    return int(value) + step


def encode_proposal(proposal: Proposal) -> dict[str, Any]:
    """Return the proposal as JSON values."""
    return {
        "category": proposal.category,
        "category_2022": proposal.category_2022,
        "grade": int(proposal.grade),
        "importance": proposal.importance.value,
        "confidence": proposal.confidence,
        "evidence": [
            {
                "rule_id": evidence.rule_id,
                "seen": evidence.seen,
                "source": evidence.source,
                "text_zh": evidence.text_zh,
                "text_en": evidence.text_en,
            }
            for evidence in proposal.evidence
        ],
        "markers": list(proposal.markers),
        "packs": list(proposal.packs),
    }


def decode_proposal(raw: Mapping[str, Any]) -> Proposal:
    """Return the proposal that `encode_proposal` wrote."""
    return Proposal(
        category=raw["category"],
        category_2022=raw["category_2022"],
        grade=Grade(raw["grade"]),
        importance=Importance(raw["importance"]),
        confidence=raw["confidence"],
        evidence=tuple(Evidence(**evidence) for evidence in raw["evidence"]),
        markers=tuple(raw["markers"]),
        packs=tuple(raw["packs"]),
    )


def proposed_label(proposal: Proposal) -> dict[str, Any]:
    """Return the label columns of something nobody has confirmed."""
    return {
        "grade": int(proposal.grade),
        "importance": proposal.importance.value,
        "category": proposal.category,
        "standing": GradeStanding.PROPOSED.value,
        "valid_until": None,
        "proposal": encode_proposal(proposal),
    }


def decode_label(row: Any, now: datetime) -> GradeLabel:
    """Return a row's label as it stands at `now`."""
    standing = GradeStanding(row.standing)
    if standing is GradeStanding.CONFIRMED and row.valid_until is not None and now >= row.valid_until:
        standing = GradeStanding.EXPIRED
    return GradeLabel(
        grade=Grade(row.grade),
        importance=Importance(row.importance),
        category=row.category,
        standing=standing,
        valid_until=row.valid_until,
    )


def label_facts(label: GradeLabel) -> dict[str, Any]:
    """Return a label for the history."""
    return {
        "grade": int(label.grade),
        "importance": label.importance.value,
        "category": label.category,
        "standing": label.standing.value,
        "valid_until": label.valid_until.isoformat() if label.valid_until else None,
    }


def decode_dataset(row: Any, columns: Sequence[Any], series: Sequence[SeriesId], now: datetime) -> Dataset:
    """Return a catalogue entry; a column carries a label of its own only where it differs from the dataset's."""
    label = decode_label(row, now)
    kind = DatasetKind(row.kind)
    return Dataset(
        dataset_id=DatasetId(row.dataset_id),
        kind=kind,
        title=row.title,
        asset=AssetId(row.asset) if row.asset else None,
        table=row.lake_table,
        columns=SERIES_COLUMNS if kind is DatasetKind.SERIES else tuple(_column(c, label, now) for c in columns),
        series=tuple(series),
        label=label,
        owner=row.owner,
        first_seen=row.first_seen,
        origin=row.origin,
    )


def _column(row: Any, whole: GradeLabel, now: datetime) -> Column:
    own = decode_label(row, now)
    same = (own.grade, own.importance, own.category) == (whole.grade, whole.importance, whole.category)
    return Column(row.name, row.type, row.title, row.unit, None if same else own)


def decode_sighting(row: Any) -> SeriesSighting:
    """Return what is on record about a series."""
    return SeriesSighting(
        source_id=SourceId(row.source_id),
        address=row.address,
        asset=AssetId(row.asset),
        name=row.name,
        value_type=ValueType(row.value_type),
        unit=row.unit,
        title=row.title,
        writable=row.writable,
        protocol=row.protocol,
    )


def decode_series(row: Any) -> Series:
    """Return a registered series."""
    return Series(SeriesId(row.series_id), decode_sighting(row), row.first_seen)


def decode_change(row: Any) -> Change:
    """Return one line of history."""
    return Change(
        change_id=row.change_id,
        dataset_id=DatasetId(row.dataset_id),
        at=row.at,
        actor=row.actor,
        kind=ChangeKind(row.kind),
        reason=row.reason,
        before=row.before,
        after=row.after,
        audit_index=row.audit_index,
    )
