"""What the gate asks about data that were received under a contract. The room that knows contracts answers.

The gate must not know contracts, agreements or keys: it knows that a dataset may be a copy, that somebody judges each
read of it, and that what was read is written down before and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId
from gongshu.model.sealed import SealedRows

ORIGIN = "partner:"
"""How the origin of received data begins."""


@dataclass(frozen=True, slots=True)
class CopyRead:
    """One read of one dataset, as the gate understood it."""

    dataset_id: DatasetId
    subject: Subject
    action: str
    """As in `Request`: `read`, `share`, `export` or `aggregate`."""
    purpose: str
    is_aggregate: bool = False
    """True if the query gives figures over groups of rows, and no row as it is."""
    is_onward: bool = False
    """True if what is read is handed to another party."""


@dataclass(frozen=True, slots=True)
class CopyVerdict:
    """What the contracts say."""

    because: tuple[str, ...] = ()
    """Why not; empty means that the read is permitted."""
    term: str = ""
    """The name of the term that forbids it, for those who say what helps; empty where it is no term."""
    why: str = ""
    """Why not, without the names of contract and copy; empty where it is not of a contract."""
    rows: SealedRows | None = field(default=None, repr=False)
    """Where the rows lie, for a permitted read."""
    group_min: int | None = None
    """Groups of fewer rows are left out of the answer."""

    @property
    def permitted(self) -> bool:
        """True if the contracts let it pass."""
        return not self.because


class CopyLaw(Protocol):
    """Who answers."""

    def judge(self, read: CopyRead) -> CopyVerdict | None:
        """Return the verdict on a copy and on what was derived from one; None for a dataset of our own."""
        ...

    def is_counted(self, dataset_id: DatasetId) -> bool:
        """Return whether a contract of a copy bounds how often it may be read."""
        ...

    def begin(self, reads: Sequence[CopyRead]) -> tuple[int, ...]:
        """Write down that copies are about to be read, durably, and return what `finish` is to be told."""
        ...

    def finish(self, tickets: Sequence[int], rows: int, outcome: str) -> None:
        """Write down what left."""
        ...

    def why_ended(self, tickets: Sequence[int]) -> str | None:
        """Return why a read under way has to stop now, None if it may go on."""
        ...


class NoCopies:
    """For a node that receives nothing: whatever came from a partner is closed."""

    def judge(self, read: CopyRead) -> CopyVerdict | None:
        """Return None: no dataset of this node is a copy."""
        del read
        return None

    def is_counted(self, dataset_id: DatasetId) -> bool:
        """Return False: there is no copy."""
        del dataset_id
        return False

    def begin(self, reads: Sequence[CopyRead]) -> tuple[int, ...]:
        """Return nothing: there is nothing to count."""
        del reads
        return ()

    def finish(self, tickets: Sequence[int], rows: int, outcome: str) -> None:
        """Leave all as it is."""

    def why_ended(self, tickets: Sequence[int]) -> str | None:
        """Return None: nothing ends."""
        del tickets
        return None
