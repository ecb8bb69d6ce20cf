"""The one query that a contract comes to: served to the partner, and shown before as a preview."""

from gongshu.model.access import Subject
from gongshu.model.dataset import Dataset
from gongshu.secure.gate import DatasetQuery
from gongshu.share.ports import GateDoor, Rows
from gongshu.share.terms import Terms

UNSTATED = "contract"
"""The purpose told to the gate where the contract asks for none and the partner states none."""


def read_under_terms(
    gate: GateDoor,
    subject: Subject,
    dataset: Dataset,
    terms: Terms,
    *,
    columns: tuple[str, ...] = (),
    purpose: str = "",
    rows_max: int | None = None,
) -> Rows:
    """Return the rows that the terms leave of a dataset, read through the gate as that subject.

    The columns asked for stay in the order asked; else those of the terms in the dataset's order; else all. The lower
    of both row bounds holds.
    """
    allowed = tuple(column.name for column in dataset.columns if column.name in terms.columns)
    names = columns or (allowed if terms.columns else None)
    bounds = [bound for bound in (terms.rows_max, rows_max) if bound is not None]
    query = DatasetQuery(dataset.dataset_id, columns=names, rows_max=min(bounds, default=None))
    return gate.read(subject, query, purpose=purpose or UNSTATED)
