"""May data flow through this transfer now? Asked before the first row and, while rows flow, again and again.

Order: transfer, party, agreement and its hash, terms, grade; the gate is asked by whoever reads. See decision 0043.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError, NotFound
from gongshu.model.grade import Grade
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.share.agreements import find_agreement, require_undisputed
from gongshu.share.dsp.states import Kind, Move, Side, State
from gongshu.share.engine import Engine
from gongshu.share.errors import ProcessUnknown, TermsForbid, TransferStopped
from gongshu.share.metering import own_uses as paid_uses
from gongshu.share.model import Agreement, Record
from gongshu.share.policy import SharePolicy
from gongshu.share.tables import share_deliveries
from gongshu.share.terms import Phase
from gongshu.share.tokens import TokenDesk

FULL_EVERY_S = 1.0
"""Between two full judgements of a delivery that runs only the stop is looked for, which is one small query. Ours."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One delivery under way."""

    process_id: str
    agreement_id: str
    delivery_id: int
    purpose: str
    columns: frozenset[str]
    digest: str = ""
    """Hash of the token it was opened with; empty where we carry the rows ourselves."""
    is_marked: bool = False
    """True if its rows carry a watermark; what becomes 三级 while it runs would leave without one."""


class Admission:
    """The judgements of a provider's data plane."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        policy: SharePolicy,
        parties: PartyRegistry,
        tokens: TokenDesk,
        *,
        standing: Callable[[PartyId], str | None],
    ) -> None:
        """`standing` says why what a party proved when it last asked does not hold any more."""
        self._database = database
        self._engine = engine
        self._policy = policy
        self._parties = parties
        self._tokens = tokens
        self._why_not_standing = standing

    def flowing(self, transfer_id: str, counterparty: PartyId | None = None) -> Record:
        """Return a transfer of ours as provider through which data may flow.

        Raises: ProcessUnknown, also if it is not this party's; TransferStopped.
        """
        record = self._engine.record(transfer_id)
        is_ours = record.kind is Kind.TRANSFER and record.side is Side.PROVIDER
        if not is_ours or (counterparty is not None and record.counterparty != counterparty):
            raise ProcessUnknown(process_id=transfer_id[:200])
        is_starting = record.pending is Move.START and record.pending_sent
        is_going_on = record.pending is None or record.pending is Move.START_ANEW
        is_stopping = record.held or not (is_going_on or is_starting)
        if is_stopping or not (record.state is State.STARTED or is_starting):
            raise TransferStopped(transfer_id=transfer_id, reason=f"it is {record.state}")
        return record

    def permitted(
        self,
        record: Record,
        phase: Phase,
        *,
        purpose: str = "",
        columns: frozenset[str] = frozenset(),
        own_uses: int = 0,
    ) -> Agreement:
        """Return the agreement of a transfer if it allows this now.

        What was counted for this very delivery does not stand in its way: a push or stream that began, and `own_uses`.
        Raises: TermsForbid, AgreementUnknown, EvidenceDamaged, TermsUnknown.
        """
        with self._database.connect() as connection:
            agreement = find_agreement(connection, record.agreement_id)
            own_uses = max(own_uses, paid_uses(connection, record.process_id))
        if agreement.counterparty != record.counterparty or agreement.side is not Side.PROVIDER:
            raise TermsForbid(agreement_id=record.agreement_id, reason="it is another party's")
        try:
            self._parties.get(record.counterparty)
        except NotFound as gone:
            raise TermsForbid(agreement_id=record.agreement_id, reason="its party is not registered any more") from gone
        if why_not := self._why_not_standing(record.counterparty):
            raise TermsForbid(agreement_id=record.agreement_id, reason=why_not)
        require_undisputed(agreement)
        judged = replace(agreement, uses=max(0, agreement.uses - own_uses))
        why_not = self._policy.why_not_use(judged, phase, purpose=purpose, columns=columns)
        if why_not:
            raise TermsForbid(agreement_id=agreement.agreement_id, reason=why_not)
        return agreement

    def why_stopped(self, flow: Flow) -> str | None:
        """Return why a delivery that runs was stopped, None if nobody stopped it. One or two small queries."""
        withdrawn = self._tokens.is_withdrawn(flow.digest) if flow.digest else None
        if withdrawn:
            return "the transfer was stopped"
        query = sa.select(share_deliveries.c.outcome).where(share_deliveries.c.delivery_id == flow.delivery_id)
        with self._database.connect() as connection:
            outcome = connection.execute(query).scalar()
        if outcome != "open":
            return "a later request has taken its place"
        if withdrawn is not None:
            return None
        try:
            self.flowing(flow.process_id)
        except GongshuError as stopped:
            return str(stopped)
        return None

    def why_not_now(self, flow: Flow) -> str | None:
        """Return why a delivery that runs must end, judged as at its beginning but for the count, which it has paid."""
        try:
            agreement = self.permitted(
                self._engine.record(flow.process_id),
                Phase.ACCESS,
                purpose=flow.purpose,
                columns=flow.columns,
                own_uses=self._all_uses(flow),
            )
            is_strict = self._policy.dataset(agreement.dataset_id).label.grade is Grade.THREE
        except GongshuError as refusal:  # also an agreement that cannot be read: nothing more leaves
            return str(refusal)
        return "its data were graded 三级 after it began" if is_strict and not flow.is_marked else None

    def agreement_of(self, record: Record) -> Agreement:
        """Return the agreement of a transfer, read anew. Raises: AgreementUnknown, EvidenceDamaged, TermsUnknown."""
        with self._database.connect() as connection:
            return find_agreement(connection, record.agreement_id)

    def _all_uses(self, flow: Flow) -> int:
        with self._database.connect() as connection:
            return find_agreement(connection, flow.agreement_id).uses


class Watch:
    """Looks after one delivery while its rows leave."""

    def __init__(self, admission: Admission, flow: Flow) -> None:
        self._admission = admission
        self._flow = flow
        self._judged_at_s = time.monotonic()

    def require_going_on(self) -> None:
        """Return if the next rows may leave. Raises: TransferStopped."""
        reason = self._admission.why_stopped(self._flow)
        if reason is None and time.monotonic() - self._judged_at_s >= FULL_EVERY_S:
            reason = self._admission.why_not_now(self._flow)
            self._judged_at_s = time.monotonic()
        if reason:
            raise TransferStopped(transfer_id=self._flow.process_id, reason=reason)
