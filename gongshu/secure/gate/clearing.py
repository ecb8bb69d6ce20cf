"""What the gate asks about data that leave only by a procedure. The room that knows clearances answers, from its own
records: nothing of the answer comes with the request.
"""

from typing import Protocol

from gongshu.model.dataset import Dataset
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import PartyId


class Clearing(Protocol):
    """Who answers."""

    def is_cleared(self, dataset: Dataset, party: PartyId | None) -> bool:
        """True if this dataset needs no clearance to go to the party now, or has every one that it needs.

        Without a party: true if there is any party to which it may go.
        """
        ...


class NoClearing:
    """For a node without clearances: what would need one does not leave."""

    def is_cleared(self, dataset: Dataset, party: PartyId | None) -> bool:
        """Return whether the label alone needs none."""
        del party
        return dataset.label.grade < Grade.THREE and dataset.label.importance is Importance.GENERAL
