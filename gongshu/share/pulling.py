"""The consumer's data plane: pulls what a transfer offers, renews tokens, keeps what came as a dataset of its own."""

import io
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId
from gongshu.share.agreements import count_use, find_agreement
from gongshu.share.ahead import read_ahead
from gongshu.share.arriving import Arriving, DataAccess, TokenRefused
from gongshu.share.decoding import Decoded, Undecodable, decoded, guess_encoding
from gongshu.share.encoding import PACKED, Encoding, encoding_of
from gongshu.share.engine import Engine
from gongshu.share.errors import PeerAnswerInvalid, PeerUnreachable
from gongshu.share.keeping.room import require_room
from gongshu.share.keeping.spool import open_spool
from gongshu.share.metering import ATTEMPTS_MAX
from gongshu.share.model import Record
from gongshu.share.ports import Clock, Keeper
from gongshu.share.pushing import KEY_HEADER
from gongshu.share.tables import share_deliveries

PULL_BYTES_MAX = 2 * 1024**3
"""What one pull may bring; more than a pull may hold in memory is asked for in parts (columns, time). Ours."""
KEEP_BYTES_MAX = 256 * 1024**3
"""What one pull may bring to disk; ten billion readings are less. Ours."""
AGAIN_AFTER_S = 0.5
"""Before a delivery that was cut is asked for again. Ours."""
ACCEPTED = ", ".join(
    [f"{Encoding.ARROW.media_type}; {PACKED}", *(encoding.media_type.split(";")[0] for encoding in Encoding)]
)
"""Ours first; other connectors serve what their source has, whatever is asked for."""
HEAD_BYTES = 64
READ_AHEAD_BYTES = 1024 * 1024
"""Arrow takes a short read for the end, so a buffer stands between it and the network."""

T = TypeVar("T")
Take = Callable[[pa.Schema, Iterator[pa.RecordBatch]], T]
"""What is done with rows as they arrive; when it returns, the stream has been read to its end."""


class Puller:
    """Pulls data for one node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        access: DataAccess,
        keeper: Keeper,
        audit: AuditSink,
        clock: Clock,
        *,
        spool: Path,
    ) -> None:
        self._database = database
        self._engine = engine
        self._access = access
        self._keeper = keeper
        self._audit = audit
        self._clock = clock
        self._spool = spool

    def pull(self, transfer_id: str, actor: Subject, *, purpose: str = "", columns: tuple[str, ...] = ()) -> pa.Table:
        """Return the data of a started transfer; one delivery, which the provider counts as one use.

        A delivery that is cut is asked for again under the same key, which the provider does not count again.
        Raises: ProcessUnknown, TransferStopped, PeerRefused with the provider's reason, PeerUnreachable,
            PeerAnswerInvalid, MessageTooLarge.
        Cost: the table in memory, at most PULL_BYTES_MAX.
        """
        return self._pull(transfer_id, actor, purpose, columns, _as_table, PULL_BYTES_MAX)[0]

    def pull_into(
        self,
        transfer_id: str,
        name: str,
        actor: Subject,
        *,
        purpose: str = "",
        title: str = "",
        columns: tuple[str, ...] = (),
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

        dataset_id, delivery_id = self._pull(transfer_id, actor, purpose, columns, keep, KEEP_BYTES_MAX)
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
        record = self._access.started(transfer_id)
        if not record.data_address:
            record = self._access.renew(record)
        started, key = self._clock(), secrets.token_urlsafe(16)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            counted = _Counted(bytes_max)
            try:
                taken = self._fetch(record, purpose, columns, take, counted, key)
                break
            except TokenRefused:
                record = self._access.renew(record)
                taken = self._fetch(record, purpose, columns, take, counted, key)
                break
            except PeerUnreachable:
                if attempt == ATTEMPTS_MAX or not counted.has_begun:
                    raise  # nothing was counted yet, or all that one use allows was tried
                time.sleep(AGAIN_AFTER_S * attempt)
        return taken, self._note(record, actor, purpose, counted, started, key)

    def _fetch(
        self,
        record: Record,
        purpose: str,
        columns: tuple[str, ...],
        take: Take[T],
        counted: "_Counted",
        key: str,
    ) -> T:
        query = [("purpose", purpose)] * bool(purpose) + [("column", name) for name in columns]
        headers = {"Accept": ACCEPTED, KEY_HEADER: key}
        with self._access.fetch(record, query, headers) as response:
            counted.has_begun = True
            arrived = Arriving(response, counted.bytes_max)
            body = io.BufferedReader(arrived, READ_AHEAD_BYTES)
            with (
                _translating(record),
                self._rows_of(response, body, counted.bytes_max) as rows,
                closing(read_ahead(rows.batches)) as batches,
                arrived.wanted(),
            ):
                taken = take(rows.schema, counted.over(batches))
            while body.read(READ_AHEAD_BYTES):
                pass  # what stands behind the rows was sent too, and is counted on both sides
            counted.size_bytes, counted.sha256 = arrived.size_bytes, arrived.sha256
            return taken

    @contextmanager
    def _rows_of(self, response: httpx.Response, arriving: IO[bytes], bytes_max: int) -> Iterator[Decoded]:
        """Yield the rows of an answer: Arrow as it arrives, other forms by way of an encrypted file."""
        encoding = encoding_of(response.headers.get("content-type", ""), default=None)
        if encoding is Encoding.ARROW:
            with decoded(arriving, encoding, bytes_max) as rows:
                yield rows
            return
        with open_spool(self._spool) as file:
            while part := arriving.read(READ_AHEAD_BYTES):
                require_room(self._spool)
                file.write(part)
            file.seek(0)
            head = file.read(HEAD_BYTES)
            with decoded(file, encoding or guess_encoding(head), bytes_max) as rows:
                yield rows

    def _note(
        self, record: Record, actor: Subject, purpose: str, counted: "_Counted", started: Any, request_key: str
    ) -> int:
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
                    request_key=request_key,
                    sha256=counted.sha256,
                    lined="due",
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


class _Counted:
    """Batches as they pass, counted."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.rows = 0
        self.size_bytes = 0
        self.sha256 = ""
        self.has_begun = False

    def over(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a stream."""
        for batch in batches:
            self.rows += batch.num_rows
            yield batch


def _as_table(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches, schema=schema)


@contextmanager
def _translating(record: Record) -> Iterator[None]:
    try:
        yield
    except Undecodable as cause:
        raise PeerAnswerInvalid(party=record.counterparty, what="the data request", reason=str(cause)[:200]) from cause
