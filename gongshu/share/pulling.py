"""The consumer's data plane: pulls what a transfer offers, renews tokens, keeps what came as a dataset of its own."""

import io
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
import orjson
import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId
from gongshu.share import processes as store
from gongshu.share.agreements import count_use, find_agreement
from gongshu.share.data_wire import DataWire
from gongshu.share.decoding import Undecodable, decode_file, guess_encoding
from gongshu.share.dsp.messages import EDC_NAMESPACE
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.encoding import Encoding, encoding_of
from gongshu.share.engine import Engine
from gongshu.share.errors import (
    MessageInvalid,
    MessageTooLarge,
    PeerAnswerInvalid,
    PeerRefused,
    ProcessUnknown,
    TransferStopped,
)
from gongshu.share.keeping.spool import open_spool
from gongshu.share.model import Record
from gongshu.share.peer import HttpWire
from gongshu.share.ports import Clock, Keeper
from gongshu.share.tables import share_deliveries

PULL_BYTES_MAX = 2 * 1024**3
"""What one pull may bring; more than a pull may hold in memory is asked for in parts (columns, time). Ours."""
KEEP_BYTES_MAX = 256 * 1024**3
"""What one pull may bring to disk; ten billion readings are less. Ours."""
ERROR_BYTES_MAX = 64 * 1024
ACCEPTED = ", ".join(encoding.media_type.split(";")[0] for encoding in Encoding)
"""Ours first; other connectors serve what their source has, whatever is asked for."""
HEAD_BYTES = 64
READ_AHEAD_BYTES = 1024 * 1024
"""Arrow takes a short read for the end, so a buffer stands between it and the network."""

T = TypeVar("T")
Take = Callable[[pa.Schema, Iterator[pa.RecordBatch]], T]
"""What is done with rows as they arrive; when it returns, the stream has been read to its end."""


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Where to pull."""

    endpoint: str
    authorization: str
    refresh_endpoint: str


def read_data_address(document: dict[str, Any]) -> DataAddress:
    """Return the parts of a DataAddress that HTTP pull needs; missing ones are empty.

    EDC gives the endpoint as a property too, and all names in full. Its `authorization` is the whole header, although
    `authType` says bearer: its data plane refuses the same token behind the word Bearer. Source: EDC 0.14.1, recorded.
    """
    properties = {
        str(item.get("name")): str(item.get("value"))
        for item in document.get("endpointProperties") or []
        if isinstance(item, dict)
    }
    endpoint = str(document.get("endpoint") or properties.get(f"{EDC_NAMESPACE}endpoint", ""))
    token, scheme = properties.get("authorization"), properties.get("authType", "").lower()
    if token is None:
        header = properties.get(f"{EDC_NAMESPACE}authorization", "")
    else:
        header = f"Bearer {token}" if scheme == "bearer" and not token.lower().startswith("bearer ") else token
    return DataAddress(endpoint, header, properties.get("refreshEndpoint", ""))


class Puller:
    """Pulls data for one node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        wire: HttpWire,
        data_wire: DataWire,
        keeper: Keeper,
        audit: AuditSink,
        clock: Clock,
    ) -> None:
        self._database = database
        self._engine = engine
        self._wire = wire
        self._data_wire = data_wire
        self._keeper = keeper
        self._audit = audit
        self._clock = clock
        self._renewals: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def pull(self, transfer_id: str, actor: Subject, *, purpose: str = "", columns: tuple[str, ...] = ()) -> pa.Table:
        """Return the data of a started transfer; one delivery, which the provider counts as one use.

        Raises: ProcessUnknown, TransferStopped, PeerRefused with the provider's reason, PeerUnreachable,
            PeerAnswerInvalid, MessageTooLarge.
        Cost: the table in memory, at most PULL_BYTES_MAX.
        """
        return self._pull(transfer_id, actor, purpose, columns, _as_table, PULL_BYTES_MAX)[0]

    def pull_into(
        self, transfer_id: str, name: str, actor: Subject, *, purpose: str = "", title: str = ""
    ) -> DatasetId:
        """Pull, and keep the rows under the contract, as a dataset whose origin is the partner; return its id.

        Raises: as `pull`, and as `Keeper.keep`; nothing is kept then.
        Cost: batch by batch, never the whole table.
        """
        record = self._engine.record(transfer_id)
        with self._database.connect() as connection:
            agreement = find_agreement(connection, record.agreement_id)
        shown = title or f"{record.dataset_id} ({record.counterparty})"

        def keep(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> DatasetId:
            return self._keeper.keep(record, agreement, name, batches, schema, title=shown, actor=actor.subject_id)

        dataset_id, delivery_id = self._pull(transfer_id, actor, purpose, (), keep, KEEP_BYTES_MAX)
        with self._database.begin() as connection:
            change = sa.update(share_deliveries).where(share_deliveries.c.delivery_id == delivery_id)
            connection.execute(change.values(stored_as=dataset_id))
            details: dict[str, Any] = {"agreement": record.agreement_id, "party": record.counterparty}
            self._audit.write(AuditEvent(self._clock(), actor.subject_id, "data.stored", dataset_id, "ok", details))
        return dataset_id

    def _pull(
        self,
        transfer_id: str,
        actor: Subject,
        purpose: str,
        columns: tuple[str, ...],
        take: Take[T],
        bytes_max: int,
    ) -> tuple[T, int]:
        record = self._started(transfer_id)
        if not record.data_address:
            record = self._renew(record)
        started, counted = self._clock(), _Counted(bytes_max)
        try:
            taken = self._fetch(record, purpose, columns, take, counted)
        except _TokenRefused:
            taken = self._fetch(self._renew(record), purpose, columns, take, counted)
        return taken, self._note(record, actor, purpose, counted, started)

    def _started(self, transfer_id: str) -> Record:
        record = self._engine.record(transfer_id)
        if record.kind is not Kind.TRANSFER or record.side is not Side.CONSUMER:
            raise ProcessUnknown(process_id=transfer_id[:200])
        if record.state is not State.STARTED or record.held:
            raise TransferStopped(transfer_id=transfer_id, reason=record.reason or f"it is {record.state}")
        return record

    def _fetch(self, record: Record, purpose: str, columns: tuple[str, ...], take: Take[T], counted: "_Counted") -> T:
        address = read_data_address(orjson.loads(record.data_address))
        if not (address.authorization.isascii() and address.authorization.isprintable()):
            raise PeerAnswerInvalid(party=record.counterparty, what="the transfer", reason="its token is no header")
        query = urlencode([("purpose", purpose)] * bool(purpose) + [("column", name) for name in columns])
        target = f"{address.endpoint}?{query}" if query else address.endpoint
        headers = {"Authorization": address.authorization, "Accept": ACCEPTED}
        with self._data_wire.fetch(record.counterparty, target, headers) as response:
            if response.status_code == 401:
                raise _TokenRefused
            if not response.is_success:
                raise PeerRefused(
                    party=record.counterparty,
                    what="the data request",
                    status_code=response.status_code,
                    reason=_refusal(response),
                )
            with ExitStack() as opened:
                with _translating(record):
                    schema, batches = _rows_of(response, counted.bytes_max, opened)
                return take(schema, counted.over(record, batches))

    def _renew(self, record: Record) -> Record:
        """Get a new data address, one request at a time a transfer; who waited takes the new one."""
        with self._renewals[record.process_id]:
            current = self._started(record.process_id)
            if current.data_address and current.data_address != record.data_address:
                return current
            known = read_data_address(orjson.loads(record.data_address)) if record.data_address else None
            if known is None or not known.refresh_endpoint:
                raise TransferStopped(transfer_id=record.process_id, reason="its token ended and cannot be renewed")
            reply = self._wire.post_to(record.counterparty, known.refresh_endpoint)
            what = "the renewal of the token"
            if not reply.is_ok:
                raise PeerRefused(
                    party=record.counterparty, what=what, status_code=reply.status_code, reason=_problem(reply.body)
                )
            try:
                document = read_document(reply.body)
            except MessageInvalid as cause:
                raise PeerAnswerInvalid(party=record.counterparty, what=what, reason=str(cause)) from cause
            with self._database.begin() as connection:
                address = {"data_address": orjson.dumps(document).decode()}
                store.update_process(connection, record.process_id, address)
            return self._engine.record(record.process_id)

    def _note(self, record: Record, actor: Subject, purpose: str, counted: "_Counted", started: Any) -> int:
        with self._database.begin() as connection:
            count_use(connection, record.agreement_id, None)
            inserted = connection.execute(
                sa.insert(share_deliveries).values(
                    direction="in",
                    process_id=record.process_id,
                    agreement_id=record.agreement_id,
                    counterparty=record.counterparty,
                    dataset_id=record.dataset_id,
                    purpose=purpose,
                    encoding=Encoding.ARROW,
                    rows=counted.rows,
                    size_bytes=counted.size_bytes,
                    outcome="complete",
                    started_at=started,
                    finished_at=self._clock(),
                )
            )
            details: dict[str, Any] = {"agreement": record.agreement_id, "rows": counted.rows, "purpose": purpose}
            self._audit.write(
                AuditEvent(self._clock(), actor.subject_id, "data.pulled", record.process_id, "ok", details)
            )
            key = inserted.inserted_primary_key
            assert key is not None, "the table has a serial key"
            return int(key[0])


def _rows_of(response: httpx.Response, bytes_max: int, opened: ExitStack) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the rows of an answer: Arrow as it arrives, what other connectors pass on by way of an encrypted file."""
    arriving = io.BufferedReader(_Arriving(response, bytes_max), READ_AHEAD_BYTES)
    encoding = encoding_of(response.headers.get("content-type", ""), default=None)
    if encoding is Encoding.ARROW:
        reader = opened.enter_context(pa.ipc.open_stream(arriving))
        return reader.schema, iter(reader)
    file = opened.enter_context(open_spool())
    shutil.copyfileobj(arriving, file)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    decoded = decode_file(file, encoding or guess_encoding(head))
    return decoded.schema, iter(decoded.batches)


class _TokenRefused(Exception):  # a step inside this module, no error that anybody sees
    """The provider did not take the token."""


class _Counted:
    """Batches as they pass, checked and counted."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.rows = 0
        self.size_bytes = 0

    def over(self, record: Record, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a stream; what is no Arrow, or is cut, raises PeerAnswerInvalid."""
        while True:
            with _translating(record):
                batch = next(batches, None)
                if batch is not None:
                    batch.validate(full=True)
            if batch is None:
                return
            self.rows += batch.num_rows
            self.size_bytes += batch.nbytes
            yield batch


def _as_table(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches, schema=schema)


@contextmanager
def _translating(record: Record) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowSerializationError, OSError, Undecodable) as cause:
        raise PeerAnswerInvalid(party=record.counterparty, what="the data request", reason=str(cause)[:200]) from cause


class _Arriving(io.RawIOBase):
    """The body of a response as a file that Arrow reads from."""

    def __init__(self, response: httpx.Response, bytes_max: int) -> None:
        super().__init__()
        self._bytes_max = bytes_max
        self._parts: Iterator[bytes] = response.iter_bytes()
        self._rest = b""
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest, self._size = part, self._size + len(part)
            if self._size > self._bytes_max:
                raise MessageTooLarge(limit_bytes=self._bytes_max)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _refusal(response: httpx.Response) -> str:
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) > ERROR_BYTES_MAX:
            break
    return _problem(body)


def _problem(body: bytes) -> str:
    try:
        document = read_document(body)
    except MessageInvalid:
        return "no reason given"
    said = document.get("detail") or document.get("reason") or document.get("errors")  # the last one is EDC's
    return str(said or "no reason given")[:500]
