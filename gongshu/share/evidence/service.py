"""Evidence, put together: the job that lines, sends and judges, and what people ask of it."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share import processes as store
from gongshu.share.addresses import join
from gongshu.share.agreements import retire_agreement
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.engine import Engine
from gongshu.share.evidence import lines
from gongshu.share.evidence.book import SYSTEM, EvidenceBook
from gongshu.share.evidence.disputes import OPEN, Event, Standing
from gongshu.share.evidence.entries import TEXT_MAX
from gongshu.share.evidence.errors import SettlementUnexplained
from gongshu.share.evidence.exchange import Exchange
from gongshu.share.evidence.model import Entry, EntryKind, EvidenceSettings, Figures, Metered
from gongshu.share.evidence.streams import StreamMeter
from gongshu.share.evidence.tables import evidence_deliveries, evidence_entries
from gongshu.share.keeping.ports import Post
from gongshu.share.model import AgreementStatus
from gongshu.share.peer import HttpWire
from gongshu.share.ports import Clock
from gongshu.share.rights import DEALERS, LOOKERS, require_right
from gongshu.share.tables import share_agreements, share_deliveries, share_processes

_logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often the job looks for deliveries to line, entries to send and moments that have passed."""
BATCH = 200
EndTransfers = Callable[[str, str], None]
"""Ends the transfers under an agreement, with a reason."""
_A, _D, _E, _P = share_agreements.c, evidence_deliveries.c, evidence_entries.c, share_processes.c


class EvidenceService:
    """The evidence of one node. Threads and processes may share it."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
        end_transfers: EndTransfers,
        post: Post | None = None,
        *,
        settings: EvidenceSettings | None = None,
        counted: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        """`counted` is the time to judge by where the clock is not believed: a lapse ends a contract for good."""
        bounds = settings or EvidenceSettings()
        self._counted = counted
        self._database = database
        self._audit = audit
        self._clock = clock
        self._end_transfers = end_transfers
        self._post = post
        self._book = EvidenceBook(keys, audit, clock, own_party_id, bounds)
        self._streams = StreamMeter(database, self._book, clock, bounds)
        self._exchange = Exchange(database, parties, self._book, audit, clock, self._streams.answer)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- the job ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start in a thread of this process; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="share-evidence", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the step under way; what is not done is done after the next start."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def step(self) -> int:
        """Do what is due now, in this thread; return how many things were done."""
        done = self._write_lines() + self._streams.draw_due() + self._judge_due() + self._tell_ends()
        return done + (self._exchange.send(self._post) if self._post is not None else 0)

    def take(self, party: PartyId, body: bytes) -> dict[str, Any]:
        """Take a batch of a partner's entries and return the answer. Raises: MessageInvalid."""
        answer, ended = self._exchange.take(party, body)
        for agreement_id, reason in ended:
            self._end_transfers(agreement_id, reason)
        return answer

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.step()
            except Exception as error:  # noqa: BLE001  # supervisor: the next round goes on where this one stopped
                code = error.code if isinstance(error, GongshuError) else type(error).__name__
                _logger.error("metering stopped for a moment: %s (%s)", code, error)

    def _write_lines(self) -> int:
        with self._database.connect() as connection:
            due = lines.due_deliveries(connection)
        for row in due:
            with self._database.begin() as connection:
                agreement = self._book.lock(connection, row.agreement_id)
                state = sa.select(share_deliveries.c.lined).where(share_deliveries.c.delivery_id == row.delivery_id)
                if connection.execute(state).scalar() == lines.DUE:  # another process may have been first
                    self._book.write_line(connection, agreement, lines.line_fields(row))
                    lines.mark_lined(connection, row.delivery_id)
        return len(due)

    def _judge_due(self) -> int:
        """Let what is overdue happen: a line that stays away is disputed, a dispute that nobody settles ends it all."""
        now = self._counted() or self._clock()
        query = sa.select(evidence_deliveries).where(_D.due_at <= now).order_by(_D.due_at).limit(BATCH)
        with self._database.connect() as connection:
            due = list(connection.execute(query))
        ended: list[tuple[str, str]] = []
        for found in due:
            with self._database.begin() as connection:
                agreement = self._book.lock(connection, found.agreement_id)
                row = self._book.delivery(connection, agreement, found.delivery)
                if row.due_at is None or row.due_at > now:
                    continue
                if Standing(row.state) in OPEN:
                    reason = f"nobody settled the dispute about delivery {row.delivery}"
                    self._end(connection, agreement, reason, SYSTEM)
                    ended.append((agreement.agreement_id, reason))
                elif row.state == Standing.WAITING_THEIRS and not self._meters(connection, agreement.counterparty):
                    mine = (_D.agreement_id == row.agreement_id, _D.delivery == row.delivery)
                    connection.execute(sa.update(evidence_deliveries).where(*mine).values(due_at=None))
                else:
                    self._book.happen(connection, agreement, row, Event.OVERDUE)
        for agreement_id, reason in ended:
            self._end_transfers(agreement_id, reason)
        return len(due)

    def _tell_ends(self) -> int:
        """Write into our chain, once, that a contract has ended; the other side ends it then too."""
        told = sa.select(_E.sequence).where(
            _E.direction == "out", _E.agreement_id == _A.agreement_id, _E.kind == EntryKind.END
        )
        final = sa.select(_P.process_id).where(
            _P.agreement_id == _A.agreement_id, _P.kind == Kind.NEGOTIATION, _P.state == State.FINALIZED
        )
        query = sa.select(_A.agreement_id).where(_A.status == AgreementStatus.RETIRED, final.exists(), ~told.exists())
        with self._database.connect() as connection:
            ended = list(connection.execute(query.limit(BATCH)).scalars())
        for agreement_id in ended:
            with self._database.begin() as connection:
                agreement = self._book.lock(connection, agreement_id)
                known = sa.select(_E.sequence).where(_E.agreement_id == agreement_id, _E.kind == EntryKind.END)
                if connection.execute(known.where(_E.direction == "out")).first() is None:
                    self._book.append(connection, agreement, EntryKind.END, {"reason": agreement.reason[:2000]})
                    self._book.end_open(connection, agreement, agreement.reason)
        return len(ended)

    def _end(self, connection: sa.Connection, agreement: Any, reason: str, actor: str) -> None:
        if retire_agreement(connection, agreement.agreement_id, reason):
            details = {"reason": reason[:300]}
            event = AuditEvent(self._clock(), actor, "agreement.retired", agreement.agreement_id, "ok", details)
            self._audit.write(event)
        self._book.end_open(connection, agreement, reason)

    def _meters(self, connection: sa.Connection, party: str) -> bool:
        return self._exchange.spoke_at(connection, party) is not None

    # ---- people -----------------------------------------------------------------------------------------------------

    @settles_races
    def settle(self, agreement_id: str, delivery: str, figures: Side, actor: Subject, *, reason: str) -> Metered:
        """Say, signed, whose figures of a disputed delivery count; it is settled when the other side says the same.

        Raises: NotAllowed, SettlementUnexplained, AgreementUnknown, SettlementRefused.
        """
        require_right(actor, DEALERS, "settle disputes")
        if not 0 < len(reason := reason.strip()) <= TEXT_MAX:
            raise SettlementUnexplained(agreement_id=agreement_id[:200], delivery=delivery[:200], longest=TEXT_MAX)
        with self._database.begin() as connection:
            agreement = self._book.lock(connection, agreement_id)
            self._book.choose(connection, agreement, delivery, figures, reason=reason, actor=actor.subject_id)
            return self._metered(connection, agreement, self._book.delivery(connection, agreement, delivery))

    def metered(
        self, actor: Subject, *, agreement_id: str = "", disputed: bool = False, limit: int = 100, offset: int = 0
    ) -> list[Metered]:
        """Return deliveries as both sides count them, newest first; with `disputed`, those that freeze a contract.

        Raises: NotAllowed.
        """
        require_right(actor, LOOKERS, "see the data space")
        query = sa.select(evidence_deliveries).order_by(_D.since.desc(), _D.agreement_id, _D.delivery)
        if agreement_id:
            query = query.where(_D.agreement_id == agreement_id)
        if disputed:
            query = query.where(_D.state.in_(sorted(OPEN)))
        with self._database.connect() as connection:
            rows = list(connection.execute(query.limit(limit).offset(offset)))
            names = {row.agreement_id for row in rows}
            found = connection.execute(sa.select(share_agreements).where(_A.agreement_id.in_(names)))
            agreements = {row.agreement_id: row for row in found}
            return [self._metered(connection, agreements[row.agreement_id], row) for row in rows]

    def entries(self, agreement_id: str, actor: Subject, *, limit: int = 100, offset: int = 0) -> list[Entry]:
        """Return both chains of a contract, newest first. Raises: NotAllowed."""
        require_right(actor, LOOKERS, "see the data space")
        query = sa.select(evidence_entries).where(_E.agreement_id == agreement_id)
        query = query.order_by(_E.at.desc(), _E.direction, _E.sequence.desc()).limit(limit).offset(offset)
        with self._database.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def _metered(self, connection: sa.Connection, agreement: Any, row: Any) -> Metered:
        is_alone = row.state == Standing.WAITING_THEIRS and not self._meters(connection, agreement.counterparty)
        return Metered(
            agreement_id=row.agreement_id,
            counterparty=PartyId(agreement.counterparty),
            side=Side(agreement.side),
            delivery=row.delivery,
            standing=Standing(row.state),
            is_one_sided=is_alone,
            ours=_figures(row.own_figures),
            theirs=_figures(row.their_figures),
            our_choice=row.own_choice.split(" ")[0],
            their_choice=row.their_choice.split(" ")[0],
            reason=row.reason,
            since=row.since,
            due_at=row.due_at,
        )


def end_transfers_with(database: Database, engine: Engine) -> EndTransfers:
    """Return what ends the transfers under an agreement that has ended."""

    def end(agreement_id: str, reason: str) -> None:
        with database.connect() as connection:
            running = store.transfers_under(connection, agreement_id)
        for record in running:
            engine.terminate(record.process_id, reason)

    return end


def post_with(wire: HttpWire, parties: PartyRegistry) -> Post:
    """Return what sends a body to a path of a party's node."""
    return lambda party, path, body: wire.post_to(party, join(parties.get(party).address, path), body)


def _figures(text: str) -> Figures | None:
    return Figures(**orjson.loads(text)) if text else None


def _entry(row: Any) -> Entry:
    return Entry(
        direction=row.direction,
        agreement_id=row.agreement_id,
        sequence=row.sequence,
        counterparty=PartyId(row.counterparty),
        kind=EntryKind(row.kind),
        body=orjson.loads(row.body),
        body_hash=row.body_hash,
        signature=row.signature,
        at=row.at,
        acknowledged_at=row.acknowledged_at,
    )
