"""Brings a dataset's own label into line with its parts and parents, and its children into line with it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.govern import tables as t
from gongshu.govern.ledger import Ledger
from gongshu.govern.model import ChangeKind, Part, Proposal
from gongshu.govern.naming import search_text
from gongshu.govern.rows import decode_dataset, decode_label, decode_proposal, encode_proposal, label_facts
from gongshu.govern.whole import is_below, propose_whole
from gongshu.model.dataset import Dataset, DatasetKind
from gongshu.model.grade import GradeStanding
from gongshu.model.ids import DatasetId


def parts_of(connection: sa.Connection, row: Any, now: datetime) -> list[Part]:
    """Return the columns or series of a dataset's row, with their labels, in order."""
    table = t.series if row.kind == DatasetKind.SERIES.value else t.columns
    order = table.c.series_id if table is t.series else table.c.position
    rows = connection.execute(sa.select(table).where(table.c.dataset_id == row.dataset_id).order_by(order))
    return [Part(p.name, decode_label(p, now), decode_proposal(p.proposal), p.graded_alone) for p in rows]


def parents_of(connection: sa.Connection, dataset_id: DatasetId, now: datetime) -> list[Dataset]:
    """Return the datasets this one was made from; their columns and series are left out."""
    query = (
        sa.select(t.datasets)
        .join(t.lineage, t.lineage.c.parent == t.datasets.c.dataset_id)
        .where(t.lineage.c.child == dataset_id)
        .order_by(t.datasets.c.dataset_id)
    )
    return [decode_dataset(row, (), (), now) for row in connection.execute(query)]


def relabel(
    connection: sa.Connection, ledger: Ledger, dataset_id: DatasetId, *, reopens: bool, now: datetime
) -> list[int]:
    """Propose the dataset anew from its parts and parents; return the ids of the changes this made.

    A confirmed grade stays unless `reopens`, or the new proposal is stricter than what was confirmed then: it waits
    for the steward again, at the stricter of both.
    """
    row = connection.execute(sa.select(t.datasets).where(t.datasets.c.dataset_id == dataset_id)).one()
    parts, parents = parts_of(connection, row, now), parents_of(connection, dataset_id, now)
    if not parts:
        return []  # every series moved elsewhere: what was said of it stays
    proposal = propose_whole(parts, parents)
    names = [part.name for part in parts]
    values: dict[str, Any] = {
        "proposal": encode_proposal(proposal),
        "search_text": _search_text(connection, row, names, proposal),
    }
    before, changes = decode_label(row, now), []
    confirmed = row.standing == GradeStanding.CONFIRMED.value
    stricter = _is_stricter(proposal, decode_proposal(row.proposal))
    if not confirmed or reopens or stricter:
        grade = max(proposal.grade, before.grade) if confirmed else proposal.grade
        importance = (
            max(proposal.importance, before.importance, key=lambda i: i.rank) if confirmed else (proposal.importance)
        )
        values |= {
            "grade": int(grade),
            "importance": importance.value,
            "category": proposal.category,
            "standing": GradeStanding.PROPOSED.value,
            "valid_until": None,
        }
    connection.execute(t.datasets.update().where(t.datasets.c.dataset_id == dataset_id).values(**values))
    after = decode_label(
        connection.execute(sa.select(t.datasets).where(t.datasets.c.dataset_id == dataset_id)).one(), now
    )
    if before != after:
        changes.append(
            ledger.record(
                connection,
                dataset_id,
                ChangeKind.REPROPOSED,
                "system:catalogue",
                before=label_facts(before),
                after=label_facts(after),
            )
        )
        changes += relabel_children(connection, ledger, dataset_id, now=now)
    return changes


def relabel_children(connection: sa.Connection, ledger: Ledger, dataset_id: DatasetId, *, now: datetime) -> list[int]:
    """Propose anew what was made from this dataset; lineage has no cycles, so this ends."""
    children = connection.execute(sa.select(t.lineage.c.child).where(t.lineage.c.parent == dataset_id)).scalars().all()
    return [
        change for child in children for change in relabel(connection, ledger, DatasetId(child), reopens=False, now=now)
    ]


def _is_stricter(new: Proposal, old: Proposal) -> bool:
    return is_below(old.grade, old.importance, new.grade, new.importance)


def _search_text(connection: sa.Connection, row: Any, names: list[str], proposal: Proposal) -> str:
    table = t.series if row.kind == DatasetKind.SERIES.value else t.columns
    titles = connection.execute(sa.select(table.c.title).where(table.c.dataset_id == row.dataset_id)).scalars().all()
    return search_text([row.dataset_id, row.title, row.asset or "", row.origin, proposal.category, *names, *titles])
