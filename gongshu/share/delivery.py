"""The provider's data plane: every data request is judged anew, counted, metered, and read through the gate.

Order: token, transfer, agreement and its hash, terms, grade; then the gate; then one use is counted, in one statement;
then rows leave. While they leave, each batch asks whether the transfer was stopped. See decision 0043.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId, SubjectId
from gongshu.share.agreements import count_use, find_agreement
from gongshu.share.dsp.messages import build_data_address
from gongshu.share.dsp.states import Kind, Move, Side, State
from gongshu.share.encoding import Encoding, encode_batches
from gongshu.share.engine import Engine
from gongshu.share.errors import DataTokenInvalid, ProcessUnknown, TermsForbid, TransferStopped
from gongshu.share.model import Agreement, Record
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock, GateDoor, Rows
from gongshu.share.reading import read_under_terms
from gongshu.share.tables import share_deliveries
from gongshu.share.terms import NAME_MAX, Phase
from gongshu.share.tokens import TokenDesk


@dataclass(frozen=True, slots=True)
class DataRequest:
    """One request for data."""

    transfer_id: str
    authorization: str
    purpose: str = ""
    columns: tuple[str, ...] = ()
    encoding: Encoding = Encoding.ARROW


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sent back."""

    media_type: str
    pieces: Iterator[bytes]


def partner_subject(party: PartyId, agreement_id: str) -> Subject:
    """Return the partner as the gate sees it; nothing that the partner said about itself is in it."""
    return Subject(SubjectId(f"partner:{party}"), party, frozenset({Role.PARTNER}), {"agreement": agreement_id})


class Delivery:
    """Serves data under agreements."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        policy: SharePolicy,
        gate: GateDoor,
        audit: AuditSink,
        clock: Clock,
        tokens: TokenDesk,
        *,
        endpoint_of: Callable[[str], str],
    ) -> None:
        self._database = database
        self._engine = engine
        self._policy = policy
        self._gate = gate
        self._audit = audit
        self._clock = clock
        self._tokens = tokens
        self._endpoint_of = endpoint_of

    def data_address(self, record: Record) -> dict[str, Any]:
        """Return where the consumer may pull, with a new token."""
        endpoint = self._endpoint_of(record.process_id)
        return build_data_address(
            endpoint=endpoint, token=self._tokens.issue(record.process_id), valid_s=self._tokens.valid_s
        )

    def renew(self, counterparty: PartyId, transfer_id: str) -> dict[str, Any]:
        """Return a new data address to the transfer's own consumer.

        Raises: ProcessUnknown, TransferStopped, TermsForbid.
        """
        record = self._flowing(transfer_id, counterparty)
        self._permitted_agreement(record, Phase.TRANSFER)
        return self.data_address(record)

    def open(self, request: DataRequest) -> Stream:
        """Judge, count and begin one delivery; the rows are read while the stream is sent.

        Raises: DataTokenInvalid, TransferStopped, TermsForbid, EvidenceDamaged, TermsUnknown, or what the gate raises.
            Each refusal of a known partner is in the audit log.
        """
        try:
            digest = self._tokens.require_valid(request.transfer_id, request.authorization)
            record = self._flowing(request.transfer_id, None)
            return self._open_known(request, record, digest)
        except GongshuError as refusal:
            self._write_refusal(request, refusal)
            raise

    def _open_known(self, request: DataRequest, record: Record, digest: str) -> Stream:
        wanted = frozenset(request.columns)
        agreement = self._permitted_agreement(record, Phase.ACCESS, purpose=request.purpose, columns=wanted)
        subject = partner_subject(record.counterparty, agreement.agreement_id)
        dataset = self._policy.dataset(agreement.dataset_id)
        rows = read_under_terms(
            self._gate, subject, dataset, agreement.terms, columns=request.columns, purpose=request.purpose
        )
        delivery_id = self._count(record, agreement, request)
        if delivery_id is None:
            rows.close()
            raise TermsForbid(agreement_id=agreement.agreement_id, reason="its uses are used up")
        metered = _Metered(self, rows, digest, agreement.agreement_id, delivery_id)
        return Stream(request.encoding.media_type, metered.pieces(request.encoding))

    def _flowing(self, transfer_id: str, counterparty: PartyId | None) -> Record:
        record = self._engine.record(transfer_id)
        is_ours = record.kind is Kind.TRANSFER and record.side is Side.PROVIDER
        if not is_ours or (counterparty is not None and record.counterparty != counterparty):
            raise ProcessUnknown(process_id=transfer_id[:200])
        is_starting = record.pending is Move.START and record.pending_sent
        is_stopping = record.held or (record.pending is not None and not is_starting)
        if is_stopping or not (record.state is State.STARTED or is_starting):
            raise TransferStopped(transfer_id=transfer_id, reason=f"it is {record.state}")
        return record

    def _permitted_agreement(
        self, record: Record, phase: Phase, *, purpose: str = "", columns: frozenset[str] = frozenset()
    ) -> Agreement:
        with self._database.connect() as connection:
            agreement = find_agreement(connection, record.agreement_id)
        if agreement.counterparty != record.counterparty or agreement.side is not Side.PROVIDER:
            raise TermsForbid(agreement_id=record.agreement_id, reason="it is another party's")
        why_not = self._policy.why_not_use(agreement, phase, purpose=purpose, columns=columns)
        if why_not:
            raise TermsForbid(agreement_id=agreement.agreement_id, reason=why_not)
        return agreement

    def _count(self, record: Record, agreement: Agreement, request: DataRequest) -> int | None:
        with self._database.begin() as connection:
            if not count_use(connection, agreement.agreement_id, agreement.terms.uses_max):
                return None
            inserted = connection.execute(
                sa.insert(share_deliveries).values(
                    direction="out",
                    process_id=record.process_id,
                    agreement_id=agreement.agreement_id,
                    counterparty=record.counterparty,
                    dataset_id=agreement.dataset_id,
                    purpose=request.purpose[:NAME_MAX],
                    encoding=request.encoding,
                    outcome="open",
                    started_at=self._clock(),
                )
            )
            key = inserted.inserted_primary_key
            assert key is not None, "the table has a serial key"
            delivery_id = int(key[0])
            details: dict[str, Any] = {"agreement": agreement.agreement_id, "delivery": delivery_id}
            self._audit.write(
                AuditEvent(
                    self._clock(),
                    f"partner:{record.counterparty}",
                    "data.delivered",
                    agreement.dataset_id,
                    "ok",
                    details | {"purpose": request.purpose[:NAME_MAX], "encoding": request.encoding.value},
                )
            )
        return delivery_id

    def why_stopped(self, digest: str, agreement_id: str) -> str | None:
        """Return why a stream that runs must end now, None if it may go on."""
        if self._tokens.is_withdrawn(digest):
            return "the transfer was stopped"
        with self._database.connect() as connection:
            agreement = find_agreement(connection, agreement_id)
        return None if self._policy.is_alive(agreement) else "the agreement ended"

    def close_delivery(self, delivery_id: int, *, rows: int, size_bytes: int, outcome: str) -> None:
        """Write the meter's last figures."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(share_deliveries)
                .where(share_deliveries.c.delivery_id == delivery_id)
                .values(rows=rows, size_bytes=size_bytes, outcome=outcome, finished_at=self._clock())
            )

    def _write_refusal(self, request: DataRequest, refusal: GongshuError) -> None:
        if isinstance(refusal, DataTokenInvalid):
            return  # strangers could fill the log; what a known partner is refused is what counts
        event = AuditEvent(
            self._clock(),
            "system:share",
            "data.refused",
            request.transfer_id[:200],
            "denied",
            {"code": refusal.code, "reason": str(refusal)[:300]},
        )
        self._audit.write(event)


class _Metered:
    """One stream under way: counts rows and bytes, and ends when it must."""

    def __init__(self, delivery: Delivery, rows: Rows, digest: str, agreement_id: str, delivery_id: int) -> None:
        self._delivery = delivery
        self._rows = rows
        self._digest = digest
        self._agreement_id = agreement_id
        self._delivery_id = delivery_id
        self._count = 0

    def pieces(self, encoding: Encoding) -> Iterator[bytes]:
        """Yield the encoded stream; a stop in the middle raises, so that the receiver sees it cut."""
        size_bytes, outcome = 0, "failed"
        try:
            for piece in encode_batches(self._rows.schema, self._batches(), encoding):
                size_bytes += len(piece)
                yield piece
            outcome = "complete"
        except TransferStopped:
            outcome = "stopped"
            raise
        finally:
            self._rows.close()
            self._delivery.close_delivery(self._delivery_id, rows=self._count, size_bytes=size_bytes, outcome=outcome)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._rows.batches():
            reason = self._delivery.why_stopped(self._digest, self._agreement_id)
            if reason:
                raise TransferStopped(transfer_id="in progress", reason=reason)
            self._count += batch.num_rows
            yield batch
