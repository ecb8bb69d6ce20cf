"""The provider's data plane: every delivery is judged anew, counted, metered, and read through the gate.

Order: token, transfer, agreement and its hash, terms, grade; then the gate; then one use is counted, in one statement;
then rows leave. While they leave, each batch asks whether the transfer was stopped. See decision 0043.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gongshu.errors import GongshuError
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.dataset import Dataset
from gongshu.model.ids import PartyId, SubjectId
from gongshu.secure.gate import RowBound
from gongshu.share.admission import Admission, Flow, Watch
from gongshu.share.ahead import read_ahead
from gongshu.share.clearances.marks import Marker, bind, is_marked
from gongshu.share.destination import Destination
from gongshu.share.dsp.messages import FORMAT_PUSH, build_data_address
from gongshu.share.encoding import PACKED, Encoding, encode_batches
from gongshu.share.errors import DataTokenInvalid, TermsForbid, TransferStopped
from gongshu.share.evidence.digest import Digest
from gongshu.share.metering import Entry, Meter
from gongshu.share.model import Agreement, Record
from gongshu.share.policy import SharePolicy
from gongshu.share.ports import Clock, GateDoor, Rows
from gongshu.share.reading import read_under_terms
from gongshu.share.terms import Phase
from gongshu.share.tokens import TokenDesk


@dataclass(frozen=True, slots=True)
class DataRequest:
    """One request for data."""

    transfer_id: str
    authorization: str
    purpose: str = ""
    columns: tuple[str, ...] = ()
    encoding: Encoding = Encoding.ARROW
    packed: bool = False
    """Whether the buffers of Arrow may be compressed."""
    request_key: str = ""
    """Requests with the same one are attempts at the same delivery."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sent."""

    media_type: str
    pieces: Iterator[bytes]
    close: Callable[[], None] = field(default=lambda: None)
    """Lets go of the rows, also if no piece was ever asked for."""


def partner_subject(party: PartyId, agreement_id: str) -> Subject:
    """Return the partner as the gate sees it; nothing that the partner said about itself is in it."""
    return Subject(SubjectId(f"partner:{party}"), party, frozenset({Role.PARTNER}), {"agreement": agreement_id})


class Delivery:
    """Serves data under agreements."""

    def __init__(
        self,
        admission: Admission,
        meter: Meter,
        policy: SharePolicy,
        gate: GateDoor,
        audit: AuditSink,
        clock: Clock,
        tokens: TokenDesk,
        *,
        endpoint_of: Callable[[Record], str],
        marker: Marker,
    ) -> None:
        self._admission = admission
        self._meter = meter
        self._policy = policy
        self._gate = gate
        self._audit = audit
        self._clock = clock
        self._tokens = tokens
        self._endpoint_of = endpoint_of
        self._marker = marker

    def data_address(self, record: Record) -> dict[str, Any]:
        """Return where the consumer may pull, with a new token; nothing where we push."""
        if record.format == FORMAT_PUSH:
            return {}
        token = self._tokens.issue(record.process_id)
        return build_data_address(endpoint=self._endpoint_of(record), token=token, valid_s=self._tokens.valid_s)

    def renew(self, counterparty: PartyId, transfer_id: str) -> dict[str, Any]:
        """Return a new data address to the transfer's own consumer.

        Raises: ProcessUnknown, TransferStopped, TermsForbid.
        """
        record = self._admission.flowing(transfer_id, counterparty)
        if record.format == FORMAT_PUSH:
            raise TransferStopped(transfer_id=transfer_id, reason="its rows are pushed")
        self._admission.permitted(record, Phase.TRANSFER)
        return self.data_address(record)

    def open(self, request: DataRequest) -> Stream:
        """Judge, count and begin one delivery; the rows are read while the stream is sent.

        Raises: DataTokenInvalid, TransferStopped, TermsForbid, EvidenceDamaged, TermsUnknown, or what the gate raises.
            Each refusal of a known partner is in the audit log.
        """
        try:
            digest = self._tokens.require_valid(request.transfer_id, request.authorization)
            record = self._admission.flowing(request.transfer_id)
            return self._open_known(request, record, digest)
        except GongshuError as refusal:
            self.write_refusal(request.transfer_id, refusal)
            raise

    def open_push(self, record: Record, destination: Destination) -> Stream:
        """Judge one push and return its stream; the use is counted when the first piece is asked for.

        Raises: TransferStopped, TermsForbid, EvidenceDamaged, TermsUnknown, or what the gate raises; the stream raises
            TermsForbid at its first piece if another delivery took the last use meanwhile.
        """
        record = self._admission.flowing(record.process_id)
        wanted = frozenset(destination.columns)
        agreement = self._admission.permitted(record, Phase.ACCESS, purpose=destination.purpose, columns=wanted)
        rows = self.read(record, agreement, destination.columns, destination.purpose)
        entry = Entry(record, agreement, destination.purpose, destination.encoding)

        def begin() -> Flow:
            delivery_id = self._meter.open_push(entry)
            if delivery_id is None:
                raise TermsForbid(agreement_id=agreement.agreement_id, reason="its uses are used up")
            ids = (record.process_id, agreement.agreement_id, delivery_id)
            return Flow(*ids, destination.purpose, wanted, is_marked=is_marked(rows))

        return self._stream(rows, destination.encoding, begin)

    def write_refusal(self, transfer_id: str, refusal: GongshuError) -> None:
        """Write down what a known partner was refused; strangers could fill the log, so what they try is not in it."""
        if isinstance(refusal, DataTokenInvalid):
            return
        event = AuditEvent(
            self._clock(),
            "system:share",
            "data.refused",
            transfer_id[:200],
            "denied",
            {"code": refusal.code, "reason": str(refusal)[:300]},
        )
        self._audit.write(event)

    def _open_known(self, request: DataRequest, record: Record, digest: str) -> Stream:
        if record.format == FORMAT_PUSH:
            raise TransferStopped(transfer_id=record.process_id, reason="its rows are pushed")
        wanted = frozenset(request.columns)
        is_attempt = self._meter.has_attempt(record.process_id, request.request_key)
        agreement = self._admission.permitted(
            record, Phase.ACCESS, purpose=request.purpose, columns=wanted, own_uses=1 if is_attempt else 0
        )
        rows = self.read(record, agreement, request.columns, request.purpose)
        entry = Entry(record, agreement, request.purpose, request.encoding, request.request_key)
        delivery_id = self._meter.open(entry)
        if delivery_id is None:
            rows.close()
            raise TermsForbid(agreement_id=agreement.agreement_id, reason="its uses are used up")
        ids = (record.process_id, agreement.agreement_id, delivery_id)
        flow = Flow(*ids, request.purpose, wanted, digest, is_marked=is_marked(rows))
        return self._stream(rows, request.encoding, lambda: flow, packed=request.packed)

    def dataset_of(self, agreement: Agreement) -> Dataset:
        """Return the dataset of an agreement as the catalogue has it now. Raises: NotFound."""
        return self._policy.dataset(agreement.dataset_id)

    def read(
        self,
        record: Record,
        agreement: Agreement,
        columns: tuple[str, ...],
        purpose: str,
        *,
        more: tuple[RowBound, ...] = (),
        rows_max: int | None = None,
    ) -> Rows:
        """Return the rows that the agreement leaves, read through the gate as the partner.

        Rows of 三级 get the mark of the delivery to which they are bound (`clearances.marks.bind`).
        `more` narrows them further. Raises: TermsForbid, and what the gate raises.
        """
        subject, dataset = partner_subject(record.counterparty, agreement.agreement_id), self.dataset_of(agreement)
        rows = read_under_terms(
            self._gate,
            subject,
            dataset,
            agreement.terms,
            columns=columns,
            purpose=purpose,
            more=more,
            rows_max=rows_max,
        )
        return self._marker.marked(rows, dataset, agreement)

    def _stream(self, rows: Rows, encoding: Encoding, begin: Callable[[], Flow], *, packed: bool = False) -> Stream:
        metered = _Metered(self._meter, self._admission, rows)
        media_type = f"{encoding.media_type}; {PACKED}" if packed else encoding.media_type
        return Stream(media_type, metered.pieces(encoding, begin, packed=packed), metered.close)


class _Metered:
    """One stream under way: counts rows and bytes, and ends when it must."""

    def __init__(self, meter: Meter, admission: Admission, rows: Rows) -> None:
        self._meter = meter
        self._admission = admission
        self._rows = rows
        self._count = 0

    def pieces(self, encoding: Encoding, begin: Callable[[], Flow], *, packed: bool) -> Iterator[bytes]:
        """Yield the encoded stream; a stop in the middle raises, so that the receiver sees it cut."""
        size_bytes, outcome, hashed = 0, "failed", Digest()
        try:
            flow = begin()
        except BaseException:
            self._rows.close()
            raise
        try:
            # The helper that reads ahead has to be done before the rows are closed under it.
            with closing(self._batches(flow)) as batches:
                for piece in encode_batches(self._rows.schema, batches, encoding, packed=packed):
                    size_bytes += len(piece)
                    hashed.update(piece)
                    yield piece
            outcome = "complete"
        except TransferStopped:
            outcome = "stopped"
            raise
        finally:
            self._rows.close()
            figures = {"rows": self._count, "size_bytes": size_bytes}
            self._meter.close(flow.delivery_id, **figures, outcome=outcome, sha256=hashed.hexdigest())

    def close(self) -> None:
        self._rows.close()

    def _batches(self, flow: Flow) -> Generator[pa.RecordBatch]:
        watch = Watch(self._admission, flow)
        bind(self._rows, flow.delivery_id)
        with closing(read_ahead(self._rows.batches())) as batches:
            for batch in batches:
                watch.require_going_on()
                self._count += batch.num_rows
                yield batch
