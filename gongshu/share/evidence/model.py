"""The values of evidence, as services, pages and commands see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gongshu.model.ids import PartyId
from gongshu.share.dsp.states import Side
from gongshu.share.evidence.disputes import Standing


class EntryKind(StrEnum):
    """What one entry of a chain says."""

    LINE = "line"
    """I counted this delivery so."""
    AGREE = "agree"
    """I countersign your line."""
    DISPUTE = "dispute"
    """I do not agree with your line, or miss it."""
    SETTLE = "settle"
    """One of my people says whose figures count."""
    END = "end"
    """The contract has ended on my side."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one side counted of one delivery."""

    rows: int
    size_bytes: int
    sha256: str
    """Of the body's bytes; of a stream, of its windows' positions and rows."""

    def as_json(self) -> dict[str, Any]:
        """Return them as entries write them."""
        return {"rows": self.rows, "size_bytes": self.size_bytes, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a chain, with its signature."""

    direction: str
    """`out`: our chain; `in`: the other side's."""
    agreement_id: str
    sequence: int
    counterparty: PartyId
    kind: EntryKind
    body: Mapping[str, Any]
    body_hash: str
    signature: str
    at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class Metered:
    """One delivery as both sides count it."""

    agreement_id: str
    counterparty: PartyId
    side: Side
    delivery: str
    standing: Standing
    is_one_sided: bool
    """True while the other side's connector has never metered anything: it is not ours, or does not want to."""
    ours: Figures | None
    theirs: Figures | None
    our_choice: str
    their_choice: str
    reason: str
    since: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """How patient a node is."""

    line_within_s: int = 6 * 3600
    """A partner that meters is late with its line after so long. Ours: a node may be down for a shift."""
    lapse_after_s: int = 30 * 86_400
    """A dispute that nobody settled ends the contract then. Ours."""
