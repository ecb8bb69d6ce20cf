"""Data that came from a partner, in words: its name where the origin and the title hold an id."""

from collections.abc import Mapping

from gongshu.model.dataset import Dataset
from gongshu.share.keeping.ending import MARK

PARTNER = "partner:"
"""Begins the origin of what was received under a contract; the provider's id follows."""


def provider_of(dataset: Dataset) -> str:
    """Return the id of the party that the data came from under a contract, empty for data of our own."""
    return dataset.origin.removeprefix(PARTNER) if dataset.origin.startswith(PARTNER) else ""


def title_text(dataset: Dataset, names: Mapping[str, str]) -> str:
    """Return the dataset's title with the provider's name; copies of one dataset differ by their own id.

    That a copy was deleted is not said: pages show it in the reader's language.
    """
    party, title = provider_of(dataset), dataset.title.removeprefix(MARK) or str(dataset.dataset_id)
    if not party:
        return title
    return f"{title.replace(f'({party})', f'({names.get(party, party)})')} · {dataset.dataset_id}"
