"""The consumer's inbox: a place for one delivery of one transfer, open to who holds its token.

What arrives lies in a file without a name until it is complete, so that a cut or a kill leaves nothing; then it becomes
a dataset in one step. A delivery that was taken before is acknowledged without effect. See decision 0064.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError, Unavailable
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId
from gongshu.share.agreements import count_use, find_agreement, require_bound
from gongshu.share.decoding import Undecodable, decoded, guess_encoding
from gongshu.share.destination import build_destination
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.encoding import Encoding, encoding_of
from gongshu.share.engine import Engine
from gongshu.share.errors import (
    DataTokenInvalid,
    InboxBusy,
    MessageInvalid,
    MessageTooLarge,
    ProcessUnknown,
    SpoolFull,
    TransferStopped,
)
from gongshu.share.evidence.digest import Digest
from gongshu.share.keeping.room import require_room
from gongshu.share.keeping.spool import open_spool
from gongshu.share.metering import KEY_MAX
from gongshu.share.model import AgreementStatus, Record
from gongshu.share.ports import Clock, Keeper
from gongshu.share.tables import share_deliveries, share_inboxes

LEASE = timedelta(seconds=60)
RENEW_AFTER = timedelta(seconds=10)
HEAD_BYTES = 64

_TAKING = frozenset({State.NEW, State.REQUESTED, State.STARTED})
"""A provider may deliver before its start message is here: only our request has told it where to. EDC 0.14.1 does, and
takes a refusal for the end of the transfer."""

_I = share_inboxes.c


@dataclass(frozen=True, slots=True)
class Opening:
    """What is asked for, when an inbox is made."""

    name: str
    title: str
    purpose: str
    columns: tuple[str, ...]
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a delivery."""

    transfer_id: str
    rows: int
    dataset_id: DatasetId


class Inboxes:
    """Makes inboxes and takes deliveries for one node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        keeper: Keeper,
        audit: AuditSink,
        clock: Clock,
        *,
        endpoint_of: Callable[[str], str],
        spool: Path,
        bytes_max: int,
    ) -> None:
        self._database = database
        self._engine = engine
        self._keeper = keeper
        self._audit = audit
        self._clock = clock
        self._endpoint_of = endpoint_of
        self._spool = spool
        self._bytes_max = bytes_max

    def open(self, connection: sa.Connection, process_id: str, opening: Opening) -> str:
        """Make the inbox of a transfer that is being stored; return the data address that names it, as text."""
        token = secrets.token_urlsafe(32)
        connection.execute(
            sa.insert(share_inboxes).values(
                process_id=process_id,
                token_hash=_hash(token),
                name=opening.name,
                title=opening.title,
                purpose=opening.purpose,
                encoding=opening.encoding,
            )
        )
        destination = build_destination(
            endpoint=self._endpoint_of(process_id),
            token=token,
            encoding=opening.encoding,
            purpose=opening.purpose,
            columns=opening.columns,
        )
        return orjson.dumps(destination).decode()

    def admit(self, transfer_id: str, authorization: str, *, push_key: str, media_type: str) -> "Arrival":
        """Return a delivery that may arrive now; nobody else may deliver while it does.

        Raises: DataTokenInvalid; TransferStopped if this transfer takes nothing (more); InboxBusy if it cannot now.
        """
        row = self._row(transfer_id, authorization)
        record = self._engine.record(transfer_id)
        key = push_key[:KEY_MAX]
        if row.received_at is not None:
            if key not in ("", row.push_key):
                raise TransferStopped(transfer_id=transfer_id, reason="it has received its delivery")
            return Arrival(self, record, row, key, "", None)
        if record.state is State.SUSPENDED or (record.held and record.state is State.STARTED):
            raise InboxBusy(transfer_id=transfer_id, reason="the transfer is suspended")
        if record.held or record.state not in _TAKING:
            raise TransferStopped(transfer_id=transfer_id, reason=f"it is {record.state}")
        encoding = encoding_of(media_type, default=None)
        return Arrival(self, record, row, key, self._take_lease(transfer_id), encoding)

    # ---- steps of an arrival ----------------------------------------------------------------------------------------

    def spool_file(self) -> IO[bytes]:
        """Return a new file without a name, encrypted under a key that only this process has."""
        return open_spool(self._spool)

    def require_room(self, size_bytes: int) -> None:
        """Return if a delivery may have this size. Raises: MessageTooLarge, SpoolFull."""
        if size_bytes > self._bytes_max:
            raise MessageTooLarge(limit_bytes=self._bytes_max)
        require_room(self._spool)

    def renew_lease(self, transfer_id: str, lease_key: str) -> None:
        """Hold on to a lease. Raises: InboxBusy if it was lost."""
        with self._database.begin() as connection:
            mine = sa.and_(_I.process_id == transfer_id, _I.lease_key == lease_key)
            change = sa.update(share_inboxes).where(mine).values(lease_until=self._clock() + LEASE)
            if connection.execute(change).rowcount != 1:
                raise InboxBusy(transfer_id=transfer_id, reason="another delivery has taken its place")

    def drop_lease(self, transfer_id: str, lease_key: str) -> None:
        """Let the next delivery come."""
        with self._database.begin() as connection:
            mine = sa.and_(_I.process_id == transfer_id, _I.lease_key == lease_key)
            connection.execute(sa.update(share_inboxes).where(mine).values(lease_until=None, lease_key=""))

    def keep(self, arrival: "Arrival", file: IO[bytes], size_bytes: int) -> Taken:
        """Turn a complete file into the dataset, and note that the transfer has received its delivery.

        Raises: MessageInvalid if it is not what it says, TransferStopped if the contract ended meanwhile; nothing is
            kept then. A kill between the two leaves the dataset, and the repeated delivery replaces it by the same.
        """
        record, row, started = arrival.record, arrival.row, self._clock()
        with self._database.connect() as connection:
            agreement = find_agreement(connection, record.agreement_id)
        if agreement.status is not AgreementStatus.ACTIVE:
            raise TransferStopped(transfer_id=record.process_id, reason=f"the agreement is {agreement.status}")
        require_bound(agreement)
        file.seek(0)
        encoding = arrival.encoding or guess_encoding(file.read(HEAD_BYTES))
        file.seek(0)
        counted = _Counted()
        try:
            with decoded(file, encoding, self._bytes_max) as rows:
                kept = self._keeper.keep(
                    record,
                    agreement,
                    row.name,
                    counted.over(rows.batches),
                    rows.schema,
                    title=row.title or f"{record.dataset_id} ({record.counterparty})",
                    actor=record.created_by,
                )
        except Undecodable as fault:
            raise MessageInvalid(what=f"{encoding} delivery", reason=str(fault)) from fault
        self.renew_lease(record.process_id, arrival.lease_key)
        self._note(arrival, encoding, started, counted.rows, size_bytes, kept)
        return Taken(record.process_id, counted.rows, kept)

    def unkept(self, arrival: "Arrival", fault: GongshuError) -> GongshuError:
        """Write down why a delivery cannot be kept; return what its sender is told, nothing about this node."""
        record = arrival.record
        details: dict[str, Any] = {"code": fault.code, "reason": str(fault)[:300], "name": arrival.row.name}
        event = AuditEvent(
            self._clock(), f"partner:{record.counterparty}", "data.not_kept", record.process_id, "failed", details
        )
        self._audit.write(event)
        if isinstance(fault, Unavailable):
            return InboxBusy(transfer_id=record.process_id, reason=f"the receiver cannot keep it now ({fault.code})")
        return TransferStopped(transfer_id=record.process_id, reason=f"the receiver cannot keep it ({fault.code})")

    def _note(
        self, arrival: "Arrival", encoding: Encoding, started: Any, rows: int, size_bytes: int, kept: DatasetId
    ) -> None:
        record, now = arrival.record, self._clock()
        with self._database.begin() as connection:
            count_use(connection, record.agreement_id, None)
            connection.execute(
                sa.insert(share_deliveries).values(
                    direction="in",
                    process_id=record.process_id,
                    agreement_id=record.agreement_id,
                    counterparty=record.counterparty,
                    dataset_id=record.dataset_id,
                    purpose=arrival.row.purpose,
                    encoding=encoding,
                    rows=rows,
                    size_bytes=size_bytes,
                    outcome="complete",
                    stored_as=kept,
                    request_key=arrival.push_key,
                    sha256=arrival.sha256,
                    lined="due",
                    started_at=started,
                    finished_at=now,
                )
            )
            done = {"received_at": now, "push_key": arrival.push_key, "stored_as": kept}
            mine = _I.process_id == record.process_id
            connection.execute(sa.update(share_inboxes).where(mine).values(**done, lease_until=None, lease_key=""))
            details: dict[str, Any] = {"agreement": record.agreement_id, "rows": rows, "dataset": kept}
            self._audit.write(
                AuditEvent(now, f"partner:{record.counterparty}", "data.received", record.process_id, "ok", details)
            )

    def _row(self, transfer_id: str, authorization: str) -> Any:
        token = authorization.strip()
        if token[:7].lower() == "bearer ":
            token = token[7:].strip()
        with self._database.connect() as connection:
            query = sa.select(share_inboxes).where(_I.process_id == transfer_id[:200].replace("\0", ""))
            row = connection.execute(query).first()
        if row is None or not hmac.compare_digest(row.token_hash, _hash(token)):
            raise DataTokenInvalid(transfer_id=transfer_id[:200], why="missing or unknown")
        record = self._engine.record(transfer_id)
        if record.kind is not Kind.TRANSFER or record.side is not Side.CONSUMER or record.format != FORMAT_PUSH:
            raise ProcessUnknown(process_id=transfer_id[:200])
        return row

    def _take_lease(self, transfer_id: str) -> str:
        now, lease_key = self._clock(), secrets.token_hex(16)
        is_free = sa.or_(_I.lease_until.is_(None), _I.lease_until < now)
        with self._database.begin() as connection:
            change = sa.update(share_inboxes).where(_I.process_id == transfer_id, is_free, _I.received_at.is_(None))
            taken = connection.execute(change.values(lease_until=now + LEASE, lease_key=lease_key)).rowcount
        if taken != 1:
            raise InboxBusy(transfer_id=transfer_id, reason="another delivery is arriving")
        return lease_key

    @property
    def clock(self) -> Clock:
        """The node's clock."""
        return self._clock


class Arrival:
    """One delivery on its way in. Used in one thread at a time; always closed."""

    def __init__(
        self, inboxes: Inboxes, record: Record, row: Any, push_key: str, lease_key: str, encoding: Encoding | None
    ) -> None:
        self.record, self.row = record, row
        self.push_key, self.lease_key, self.encoding = push_key, lease_key, encoding
        self._inboxes = inboxes
        self._file = inboxes.spool_file() if lease_key else None
        self._size = 0
        self._hashed = Digest()
        self._renewed_at = inboxes.clock()

    @property
    def sha256(self) -> str:
        """Over the bytes that have arrived."""
        return self._hashed.hexdigest()

    def write(self, part: bytes) -> None:
        """Take a part of the body; of a delivery that is known, the parts are let go.

        Raises: MessageTooLarge, InboxBusy, also where there is no room.
        """
        self._size += len(part)
        self._hashed.update(part)
        try:
            self._inboxes.require_room(self._size)
        except SpoolFull as full:
            raise self._inboxes.unkept(self, full) from full
        if self._file is None:
            return
        self._file.write(part)
        now = self._inboxes.clock()
        if now - self._renewed_at > RENEW_AFTER:
            self._renewed_at = now
            self._inboxes.renew_lease(self.record.process_id, self.lease_key)

    def finish(self) -> Taken:
        """Keep what came, or confirm what was kept before. Raises: as `Inboxes.keep`."""
        if self._file is None:
            return Taken(self.record.process_id, 0, DatasetId(self.row.stored_as))
        try:
            return self._inboxes.keep(self, self._file, self._size)
        except (MessageInvalid, TransferStopped, InboxBusy):
            raise
        except GongshuError as fault:
            raise self._inboxes.unkept(self, fault) from fault

    def close(self) -> None:
        """Let go of the file and the lease; closing twice is fine."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._inboxes.drop_lease(self.record.process_id, self.lease_key)


class _Counted:
    def __init__(self) -> None:
        self.rows = 0

    def over(self, batches: Any) -> Any:
        for batch in batches:
            self.rows += batch.num_rows
            yield batch


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
