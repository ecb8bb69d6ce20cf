"""Keeping, put together: what the node wires into gate, store and data space, and the job that tends it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Subject
from gongshu.model.audit import AuditSink
from gongshu.model.ids import DatasetId, PartyId
from gongshu.model.sealed import SealedStorage
from gongshu.secure.gate.copies import CopyRead, CopyVerdict
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share.agreements import find_agreement
from gongshu.share.dsp.states import Side
from gongshu.share.errors import ClockBehind, CopyForbidden
from gongshu.share.judging import end_of, judge_terms
from gongshu.share.keeping import store
from gongshu.share.keeping.chain import NOBODY
from gongshu.share.keeping.counting import CountedClock, Ticks, boot_ticks
from gongshu.share.keeping.ending import Ending
from gongshu.share.keeping.judging import CLOCK_SLACK, Place, delete_at, why_ended
from gongshu.share.keeping.keeper import CopyKeeper
from gongshu.share.keeping.law import CopyLawService, agreements_of
from gongshu.share.keeping.merging import Merger
from gongshu.share.keeping.model import Deletion, Fault, Kept, Receipt, Version
from gongshu.share.keeping.onward import why_looser
from gongshu.share.keeping.ports import Catalogue, Post
from gongshu.share.keeping.receipts import ReceiptDesk
from gongshu.share.keeping.vault import KeyVault
from gongshu.share.keeping.watching import Watch
from gongshu.share.model import Agreement
from gongshu.share.ports import Clock, Reply
from gongshu.share.steady import SteadyClock
from gongshu.share.terms import Circumstances, Operation, Phase, Terms

_logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often the job looks whether something ended or waits to be sent."""
SLOW_EVERY = timedelta(minutes=1)
"""How often it looks for what is lost, silent or overdue, and sends again what a partner did not take."""


@dataclass(frozen=True, slots=True)
class KeepingSettings:
    """Bounds of keeping, from the node's configuration."""

    silence_max: timedelta | None = None
    """As provider: how long receipts may stay away before nothing more is delivered; None never stops."""
    deletion_grace: timedelta = timedelta(days=1)
    """As provider: how long after its contract's end a deletion proof is overdue."""


class Keeping:
    """What this node received, and what partners tell of what they received from it. Threads may share it."""

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        catalogue: Catalogue,
        storage: SealedStorage,
        audit: AuditSink,
        clock: Clock,
        vault: Path,
        folder: Path,
        place: Place,
        settings: KeepingSettings | None = None,
        ticks: Ticks = boot_ticks,
    ) -> None:
        """`ticks` are the seconds for which the machine has run."""
        bounds = settings or KeepingSettings()
        self.steady = SteadyClock(database, clock, audit)
        self._counting = CountedClock(database, clock, self.steady, audit, ticks)
        self._database = database
        self._clock = clock
        self._place = place
        keyed = KeyVault(vault, keys)
        self._desk = ReceiptDesk(database, keys, clock)
        self.law = CopyLawService(
            database, keyed, folder, lambda d: catalogue.lineage(d).parents, self._desk, clock, place, self.steady
        )
        self.keeper = CopyKeeper(database, keyed, storage, folder, catalogue, self.law, audit, clock)
        self._ending = Ending(database, keyed, folder, catalogue, keys, audit, clock, self._counting)
        self._merger = Merger(database, keyed, storage, folder, audit, clock)
        self.watch = Watch(
            database,
            parties,
            audit,
            clock,
            silence_max=bounds.silence_max,
            deletion_grace=bounds.deletion_grace,
        )
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._slow_at: datetime | None = None

    # ---- the job ----------------------------------------------------------------------------------------------------

    def start(self, post: Post) -> None:
        """Start tending in a thread of this process; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, args=(post,), name="share-keeping", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the step under way; what is not done is done after the next start."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def step(self, post: Post | None = None, *, slow: bool = True) -> int:
        """Do what is due now, in this thread; return how many things were done."""
        heard = None if post is None else self._hearing(post)
        self.steady.keep()
        done = self._ending.run(heard)
        if slow:
            done += self._desk.tend() + self.watch.tend() + self._merger.run()
        if heard is not None:
            done += self._desk.send(heard)
        return done

    def _hearing(self, post: Post) -> Post:
        """Return what sends like this and takes note of when the partners answered."""

        def send(party: PartyId, path: str, body: bytes) -> Reply:
            reply = post(party, path, body)
            self._counting.hear(party, reply.headers.get("date", ""))
            return reply

        return send

    def counted_instead(self) -> datetime | None:
        """Return the time that this machine has counted while its clock, which jumped, is not believed; else None."""
        return self._counting.instead()

    def confirm_time(self, actor: Subject) -> timedelta:
        """Judge and destroy by the clock again, because a person says that it is right; return how far it is back.

        Raises: NotAllowed; ClockBehind if the clock stands before what this machine has counted: it was set back.
        """
        behind = self._counting.behind()
        if behind > CLOCK_SLACK:
            raise ClockBehind(by_s=int(behind.total_seconds()))
        return self.steady.reset(actor, self._counting.confirm)

    def _run(self, post: Post) -> None:
        while not self._stopping.wait(LOOK_S):
            now = self._clock()
            slow = self._slow_at is None or now >= self._slow_at
            if slow:
                self._slow_at = now + SLOW_EVERY
            try:
                self.step(post, slow=slow)
            except Exception as error:  # noqa: BLE001  # supervisor: the next round goes on where this one stopped
                code = error.code if isinstance(error, GongshuError) else type(error).__name__
                _logger.error("tending received data stopped for a moment: %s (%s)", code, error)

    # ---- questions of the data space --------------------------------------------------------------------------------

    def require_onward(self, dataset_id: DatasetId, terms: Terms) -> None:
        """Return if a dataset is our own, or the contracts it came under let it be offered under these terms.

        Raises: CopyForbidden.
        """
        for agreement in self._contracts_of(dataset_id):
            if why_not := why_ended(agreement, self._clock()) or why_looser(terms, agreement.terms):
                raise CopyForbidden(dataset=dataset_id, reason=f"{agreement.agreement_id}: {why_not}")

    def hand_out(self, agreement: Agreement, subject: Subject, purpose: str, fetch: Callable[[], pa.Table]) -> pa.Table:
        """Return rows as they arrive, without keeping them: an export, judged before they are asked for, and receipted.

        Raises: CopyForbidden; what `fetch` raises.
        """
        whole = agreement.terms
        # All else is the provider's to judge at this very request; leaving the node is what only we see.
        terms = Terms(
            operations=whole.operations,
            delete_after_s=whole.delete_after_s,
            no_onward=whole.no_onward,
            legal_only=whole.legal_only,
        )
        now = self._clock()
        case = Circumstances(now, self._place.party, Phase.KEEP, operation=Operation.EXPORT, received_at=now)
        why_not = judge_terms(terms, case)
        if why_not:
            raise CopyForbidden(dataset=agreement.dataset_id, reason=why_not)
        rows = fetch()
        role = "+".join(sorted(role.value for role in subject.roles)) or NOBODY
        named = agreement.dataset_id
        self._desk.note(agreement.agreement_id, named, role, purpose[:200], Operation.EXPORT, rows.num_rows)
        return rows

    def _contracts_of(self, dataset_id: DatasetId) -> list[Agreement]:
        with self._database.connect() as connection:
            if not store.is_anything_kept(connection):
                return []
            version = store.current_version(connection, dataset_id)
            if version is None and store.was_kept(connection, dataset_id):
                raise CopyForbidden(dataset=dataset_id, reason="it has been deleted, as its contract demands")
            sources = [version] if version is not None else self.law.sources(connection, dataset_id)
            return [agreement for source in sources for agreement in agreements_of(connection, source)]

    # ---- looking ----------------------------------------------------------------------------------------------------

    def kept(self) -> list[Kept]:
        """Return what this node holds, under which contracts, until when."""
        with self._database.connect() as connection:
            versions = store.current_versions(connection)
        return [self._kept(version) for version in versions]

    def verdict(self, read: CopyRead) -> CopyVerdict:
        """Return what the contracts say of a reading; nothing is read, counted or told.

        Raises: CopyForbidden if the dataset is no copy, and was made from none.
        """
        verdict = self.law.judge(read)
        if verdict is None:
            raise CopyForbidden(dataset=read.dataset_id, reason="no contract is known for it")
        return verdict

    def emptied(self) -> frozenset[DatasetId]:
        """Return the datasets whose copy was deleted: their entries stay in the catalogue, and nobody has to act."""
        with self._database.connect() as connection:
            return store.emptied(connection)

    def receipts(self, agreement_id: str, *, limit: int = 100, offset: int = 0) -> list[Receipt]:
        """Return the receipts of a contract, newest first: ours where we received, the partner's where we gave.

        Raises: AgreementUnknown, EvidenceDamaged, TermsUnknown.
        """
        with self._database.connect() as connection:
            side = find_agreement(connection, agreement_id).side
        direction = "out" if side is Side.CONSUMER else "in"
        return self._desk.receipts(agreement_id, direction=direction, limit=limit, offset=offset)

    def faults(self, agreement_id: str = "") -> list[Fault]:
        """Return what was wrong with partners' receipts and proofs, newest first."""
        return self.watch.faults(agreement_id)

    def deletions(self) -> list[Deletion]:
        """Return the deletions that we did or owe, and those that partners proved or owe."""
        return [*self._ending.deletions(), *self.watch.deletions()]

    def _kept(self, version: Version) -> Kept:
        try:
            with self._database.connect() as connection:
                agreements = tuple(agreements_of(connection, version))
        except GongshuError as fault:
            return Kept(version, (), None, str(fault))
        ends = [end for a in agreements if (end := end_of(a.terms, a.agreed_at)) is not None]
        since = min((file.made_at for file in version.files), default=version.made_at)
        ends += [end for a in agreements if (end := delete_at(a.terms, since)) is not None]
        obstacles = [why for a in agreements if (why := why_ended(a, self._clock()))]
        return Kept(version, agreements, min(ends, default=None), "; ".join(obstacles))
