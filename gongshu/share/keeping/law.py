"""Answers the gate: may this copy be read, where do its rows lie, and what was read of it. Fails closed.

Implements `gongshu.secure.gate.copies.CopyLaw` over the database, the vault and the catalogue's lineage.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import DatasetId
from gongshu.model.sealed import SealedFile, SealedRows
from gongshu.secure.gate.copies import CopyRead, CopyVerdict
from gongshu.share.agreements import find_agreement
from gongshu.share.errors import CopyForbidden
from gongshu.share.judging import Forbidden
from gongshu.share.keeping import store
from gongshu.share.keeping.judging import (
    FIGURES,
    Place,
    delete_at,
    group_min_of,
    judge_reading,
    operation_of,
    why_ended,
)
from gongshu.share.keeping.model import File, KeyState, Version
from gongshu.share.keeping.receipts import ReceiptDesk
from gongshu.share.keeping.vault import KeyVault, file_key
from gongshu.share.model import Agreement
from gongshu.share.ports import Clock
from gongshu.share.steady import SteadyClock

UNREADABLE = (GongshuError, sa.exc.SQLAlchemyError, OSError, ValueError, LookupError, TypeError, ArithmeticError)
"""What may go wrong while a contract is judged: each of them denies, with its name as the reason."""
DEEP_MAX = 64
"""Lineage deeper than this is not followed, and what hangs below it is closed. Chosen by us."""


class CopyLawService:
    """The law of one node. Threads may share it."""

    def __init__(
        self,
        database: Database,
        vault: KeyVault,
        folder: Path,
        parents_of: Callable[[DatasetId], Sequence[DatasetId]],
        desk: ReceiptDesk,
        clock: Clock,
        place: Place,
        steady: SteadyClock,
    ) -> None:
        self._database = database
        self._vault = vault
        self._folder = folder
        self._parents_of = parents_of
        self._desk = desk
        self._clock = clock
        self._place = place
        self._steady = steady

    def judge(self, read: CopyRead) -> CopyVerdict | None:
        """Return the verdict; None if the dataset neither is a copy nor comes from one."""
        try:
            return self._judge(read)
        except UNREADABLE as fault:
            reason = str(fault) if isinstance(fault, GongshuError) else type(fault).__name__
            return CopyVerdict(because=(f"it cannot be judged: {reason}",))

    def _judge(self, read: CopyRead) -> CopyVerdict | None:
        with self._database.connect() as connection:
            if not store.is_anything_kept(connection):
                return None
        self._steady.keep()
        now, highest = self._clock(), self._steady()
        with self._database.connect() as connection:
            version = store.current_version(connection, read.dataset_id)
            if version is None and store.was_kept(connection, read.dataset_id):
                return CopyVerdict(because=("what was received has been deleted, as its contract demands",))
            sources = [version] if version is not None else self.sources(connection, read.dataset_id)
            if not sources:
                return None
            agreements: list[Agreement] = []
            for source in sources:
                bound = agreements_of(connection, source)
                agreements += bound
                received = min((file.made_at for file in due_later(source, bound, now)), default=source.made_at)
                found = self._standing(source) or judge_reading(
                    bound,
                    read,
                    self._place,
                    copy=source.dataset_id,
                    now=now,
                    highest=highest,
                    received_at=received,
                    reads=source.reads,
                    kind=source.kind,
                )
                if found is not None:
                    return CopyVerdict(because=(found.said,), term=found.term, why=found.why)
        rows = self._rows(version, agreements) if version is not None else None
        bounds = [a for source in sources if source.kind != FIGURES for a in agreements if a.terms.is_aggregate_only]
        return CopyVerdict(rows=rows, group_min=group_min_of(bounds) if read.is_aggregate else None)

    def sources(self, connection: sa.Connection, dataset_id: DatasetId) -> list[Version]:
        """Return the copies that a dataset of this node was derived from, near and far.

        Raises: CopyForbidden if its lineage is too deep to be followed.
        """
        found: dict[int, Version] = {}
        seen, level = {dataset_id}, [dataset_id]
        for _ in range(DEEP_MAX):
            level = [p for child in level for p in self._parents_of(child) if p not in seen]
            seen.update(level)
            for parent in level:
                version = store.current_version(connection, parent)
                if version is not None:
                    found[version.version_id] = version
                elif store.was_kept(connection, parent):
                    raise CopyForbidden(dataset=dataset_id, reason=f"its source {parent} was deleted with its contract")
            if not level:
                return list(found.values())
        raise CopyForbidden(dataset=dataset_id, reason="its lineage is too deep to be followed")

    def is_counted(self, dataset_id: DatasetId) -> bool:
        """Return whether a contract of a copy bounds how often it may be read."""
        with self._database.connect() as connection:
            version = store.current_version(connection, dataset_id)
            bound = [] if version is None else agreements_of(connection, version)
        return any(agreement.terms.uses_max is not None for agreement in bound)

    def begin(self, reads: Sequence[CopyRead]) -> tuple[int, ...]:
        """Count and write down readings, each once under each of its contracts.

        Raises: CopyForbidden if another reading took the last use.
        """
        tickets: list[int] = []
        with self._database.begin() as connection:
            for read in reads:
                version = store.current_version(connection, read.dataset_id)
                for source in [version] if version is not None else self.sources(connection, read.dataset_id):
                    agreements = agreements_of(connection, source)
                    bounds = [a.terms.uses_max for a in agreements if a.terms.uses_max is not None]
                    if not store.count_read(connection, source.version_id, min(bounds, default=None)):
                        reason = f"the uses of the copy {source.dataset_id} are used up"
                        raise CopyForbidden(dataset=read.dataset_id, reason=reason)
                    operation = operation_of(read)
                    tickets += [self._desk.open(connection, a.agreement_id, read, operation) for a in agreements]
        return tuple(tickets)

    def finish(self, tickets: Sequence[int], rows: int, outcome: str) -> None:
        """Sign a receipt for each reading."""
        self._desk.close(tickets, rows, outcome)

    def why_ended(self, tickets: Sequence[int]) -> str | None:
        """Return why a reading under way has to stop: one of its contracts ended."""
        try:
            with self._database.connect() as connection:
                for agreement_id in self._desk.agreements_of(connection, tickets):
                    if why := why_ended(find_agreement(connection, agreement_id), self._clock()):
                        return why
        except UNREADABLE as fault:
            return f"its contract cannot be judged: {type(fault).__name__}"
        return None

    def _standing(self, version: Version) -> Forbidden | None:
        gone = next((key for key in version.keys if key.state is not KeyState.HELD), None)
        return None if gone is None else Forbidden("until", gone.reason or "its key is gone")

    def _rows(self, version: Version, agreements: Sequence[Agreement]) -> SealedRows:
        keys = [self._vault.open(key.fingerprint) for key in version.keys]
        files = tuple(
            SealedFile(self._folder / file.name, file_key(keys, file.name), bound_to(version, file.name))
            for file in due_later(version, agreements, self._clock())
        )
        return SealedRows(pa.ipc.read_schema(pa.py_buffer(version.columns)), files)


def agreements_of(connection: sa.Connection, version: Version) -> list[Agreement]:
    """Return the contracts of a version, each once. Raises: AgreementUnknown, EvidenceDamaged, TermsUnknown."""
    ids = dict.fromkeys(key.agreement_id for key in version.keys)
    return [find_agreement(connection, agreement_id) for agreement_id in ids]


def due_later(version: Version, agreements: Sequence[Agreement], now: datetime) -> list[File]:
    """Return the files of a version that need not be deleted yet."""
    kept = []
    for file in version.files:
        ends = [end for a in agreements if (end := delete_at(a.terms, file.made_at)) is not None]
        if all(end >= now for end in ends):
            kept.append(file)
    return kept


def bound_to(version: Version, name: str) -> str:
    """Return what a file is bound to: it opens as no other file, of no other version, of no other dataset."""
    return f"gongshu-sealed-1|{version.dataset_id}|{version.number}|{name}"
