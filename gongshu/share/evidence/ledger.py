"""The ledger of sovereignty: whose data are here and on what terms, whose of ours are elsewhere, what revoking did.

Reads what the room already keeps: contracts, copies with their keys, lineage, deletion proofs, and the signed word of
the other side that a contract has ended there too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import NotFound
from gongshu.model.access import Subject
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.agreements import list_agreements
from gongshu.share.dsp.states import Side
from gongshu.share.evidence.model import EntryKind
from gongshu.share.evidence.tables import evidence_entries
from gongshu.share.judging import end_of
from gongshu.share.keeping.model import Deletion, Kept
from gongshu.share.keeping.ports import Catalogue
from gongshu.share.keeping.service import Keeping
from gongshu.share.model import Agreement
from gongshu.share.ports import Clock
from gongshu.share.rights import LOOKERS, require_right
from gongshu.share.tables import share_deliveries

DERIVED_MAX = 1000
"""Descendants of one dataset that are listed. Ours."""
PAGE = 500
_E, _D = evidence_entries.c, share_deliveries.c


@dataclass(frozen=True, slots=True)
class Holding:
    """One dataset under one contract: somebody's with us (`received`), or ours with somebody (`given`)."""

    direction: str
    dataset_id: str
    """With us, the local name; with others, what it is called in the contract."""
    party: PartyId
    """Who gave it, or who holds it."""
    agreement_id: str
    purposes: tuple[str, ...]
    """Empty: any."""
    until: datetime | None
    """When the contract, or the deadline for deletion, ends it; None without an end."""
    standing: str
    """active, disputed, retired, ended; then deleting, deleted where a deletion is under way or done."""
    reason: str
    derived: tuple[str, ...]
    """What was made from it here."""
    ended_there_at: datetime | None
    """When the other side signed that the contract has ended there too."""
    deleted_at: datetime | None
    """When the holder proved that the data are gone."""


class SovereigntyLedger:
    """The ledger of one node."""

    def __init__(self, database: Database, keeping: Keeping, catalogue: Catalogue, clock: Clock) -> None:
        self._database = database
        self._keeping = keeping
        self._catalogue = catalogue
        self._clock = clock

    def holdings(self, actor: Subject) -> list[Holding]:
        """Return everything that is held under contracts, received first, newest contracts first. Raises: NotAllowed.

        Cost: all contracts of this node; a few queries for each that has data.
        """
        require_right(actor, LOOKERS, "see the data space")
        agreements = self._agreements()
        kept = self._keeping.kept()
        deletions = {(each.direction, each.agreement_id): each for each in self._keeping.deletions()}
        received = [
            line for each in agreements if each.side is Side.CONSUMER for line in self._received(each, kept, deletions)
        ]
        given = [self._given(each, deletions) for each in agreements if each.side is Side.PROVIDER]
        return [*received, *given]

    def _agreements(self) -> list[Agreement]:
        found: list[Agreement] = []
        with self._database.connect() as connection:
            while page := list_agreements(connection, limit=PAGE, offset=len(found)):
                found += page
        return found

    def _received(
        self, agreement: Agreement, kept: Sequence[Kept], deletions: dict[tuple[str, str], Deletion]
    ) -> list[Holding]:
        lines = []
        for each in kept:
            if agreement.agreement_id in {found.agreement_id for found in each.agreements}:
                dataset = each.version.dataset_id
                lines.append(self._line("received", agreement, dataset, until=each.ends_at, reason=each.obstacle))
        deletion = deletions.get(("out", agreement.agreement_id))
        known = {line.dataset_id for line in lines}
        with self._database.connect() as connection:
            query = (
                sa.select(_D.stored_as)
                .distinct()
                .where(_D.agreement_id == agreement.agreement_id, _D.direction == "in", _D.stored_as != "")
            )
            stored = [name for name in connection.execute(query).scalars() if name not in known]
        for name in stored:
            lines.append(self._line("received", agreement, DatasetId(name), until=None, deletion=deletion))
        return lines

    def _given(self, agreement: Agreement, deletions: dict[tuple[str, str], Deletion]) -> Holding:
        until = end_of(agreement.terms, agreement.agreed_at)
        name = DatasetId(str(agreement.policy.get("target", agreement.dataset_id)))
        deletion = deletions.get(("in", agreement.agreement_id))
        return self._line("given", agreement, name, until=until, deletion=deletion, derived=())

    def _line(
        self,
        direction: str,
        agreement: Agreement,
        dataset: DatasetId,
        *,
        until: datetime | None,
        reason: str = "",
        deletion: Deletion | None = None,
        derived: tuple[str, ...] | None = None,
    ) -> Holding:
        standing = agreement.status.value
        if standing == "active" and until is not None and until < self._clock():
            standing = "ended"
        if deletion is not None:
            standing = "deleted" if deletion.state in ("proved", "told") else "deleting"
        return Holding(
            direction=direction,
            dataset_id=dataset,
            party=agreement.counterparty,
            agreement_id=agreement.agreement_id,
            purposes=tuple(sorted(agreement.terms.purposes)),
            until=until,
            standing=standing,
            reason=reason or agreement.reason or (deletion.reason if deletion is not None else ""),
            derived=self._derived(dataset) if derived is None else derived,
            ended_there_at=self._ended_there(agreement.agreement_id),
            deleted_at=deletion.proved_at if deletion is not None else None,
        )

    def _derived(self, dataset: DatasetId) -> tuple[str, ...]:
        """Everything made from a dataset, in the order in which it is found."""
        found: dict[str, None] = {}
        fresh = [dataset]
        while fresh and len(found) < DERIVED_MAX:
            try:
                children = self._catalogue.lineage(fresh.pop(0)).children
            except NotFound:
                continue
            new = [child for child in children if child not in found and child != dataset]
            found.update(dict.fromkeys(new))
            fresh += new
        return tuple(found)

    def _ended_there(self, agreement_id: str) -> datetime | None:
        query = sa.select(_E.at).where(_E.direction == "in", _E.agreement_id == agreement_id, _E.kind == EntryKind.END)
        with self._database.connect() as connection:
            found: datetime | None = connection.execute(query.limit(1)).scalar()
        return found
