"""The consumer's end of a stream: keeps what arrives, window by window, each row once, whatever is cut or killed.

Rows wait in memory until a mark says that a window is whole; then they are appended, and the position is written down
in the transaction that makes them seen: a kill neither loses nor repeats a row. Whoever follows holds a lease; who has
lost it cannot append any more. See decisions 0065 and 0096.
"""

import io
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError, Unavailable
from gongshu.model.access import Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.share.agreements import count_use, find_agreement, require_bound
from gongshu.share.arriving import Arriving, DataAccess, TokenRefused
from gongshu.share.arrow_stream import open_arrow
from gongshu.share.decoding import require_sound
from gongshu.share.dsp.messages import FORMAT_STREAM
from gongshu.share.dsp.reader import NUMBER_MAX
from gongshu.share.dsp.states import State
from gongshu.share.encoding import Encoding
from gongshu.share.engine import SYSTEM, Engine
from gongshu.share.errors import InboxBusy, PartyChanged, PeerAnswerInvalid, PeerRefused, TransferStopped
from gongshu.share.evidence.marks import note_mark
from gongshu.share.model import Agreement, Record
from gongshu.share.ports import Clock, Keeper
from gongshu.share.rights import USERS, require_right
from gongshu.share.sending import Retries, plan_delay
from gongshu.share.streaming import POSITION, micros_of
from gongshu.share.tables import share_deliveries, share_follows, share_processes

LEASE = timedelta(seconds=60)
RENEW_S = 10.0
KEEP_ROWS, KEEP_S = 1_000_000, 5.0
"""What has come is kept when so many rows wait, or so long after the first of them: not a file for each second."""
WINDOW_BYTES_MAX = 2 * 1024**3
"""A window that is larger is none of ours: providers mark at least every few hundred thousand rows."""
STREAM_BYTES_MAX = 2**62
READ_AHEAD_BYTES = 64 * 1024

_F, _P = share_follows.c, share_processes.c
_IS_FREE = sa.or_(_F.lease_until.is_(None), _F.lease_until < sa.bindparam("now"))
_DUE = (
    sa.select(_F.process_id)
    .join(share_processes, _P.process_id == _F.process_id)
    .where(_P.state == State.STARTED, _P.held.is_(False), _F.next_at <= sa.bindparam("now"), _IS_FREE)
    .limit(sa.bindparam("at_most"))
)
POSITION_DIGITS = 19
"""Of the largest position, a 64-bit number."""


@dataclass(frozen=True, slots=True)
class Follow:
    """One claimed stream."""

    record: Record
    row: Any
    lease_key: str


class Followers:
    """Follows streams for one node."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        access: DataAccess,
        keeper: Keeper,
        audit: AuditSink,
        clock: Clock,
        *,
        retries: Retries,
        random: Random,
        stopping: threading.Event,
    ) -> None:
        self._database = database
        self._engine = engine
        self._access = access
        self._keeper = keeper
        self._audit = audit
        self._clock = clock
        self._retries = retries
        self._random = random
        self._stopping = stopping

    def follow(
        self,
        transfer_id: str,
        name: str,
        actor: Subject,
        *,
        purpose: str = "",
        title: str = "",
        since: datetime | None = None,
    ) -> None:
        """Let the rows of a started stream be kept as a dataset from now on; a second call changes nothing.

        With `since`, rows that arrived before are left out.
        Raises: NotAllowed; ProcessUnknown, TransferStopped if it is no stream that has started.
        """
        require_right(actor, USERS, "follow streams")
        record = self._access.started(transfer_id)
        if record.format != FORMAT_STREAM:
            raise TransferStopped(transfer_id=transfer_id, reason=f"it is no stream but {record.format}")
        with self._database.begin() as connection:
            if connection.execute(sa.select(_F.name).where(_F.process_id == transfer_id)).first() is not None:
                return
            now = self._clock()
            connection.execute(
                sa.insert(share_follows).values(
                    process_id=transfer_id,
                    name=name,
                    title=title,
                    purpose=purpose,
                    position=micros_of(since) if since is not None else 0,
                    next_at=now,
                    created_by=actor.subject_id,
                )
            )
            count_use(connection, record.agreement_id, None)
            details: dict[str, Any] = {"agreement": record.agreement_id, "name": name, "purpose": purpose}
            self._audit.write(AuditEvent(now, actor.subject_id, "stream.followed", transfer_id, "ok", details))

    def claim_due(self, *, limit: int = 10) -> list[Follow]:
        """Take the streams that should run and do not, each for this follower alone."""
        now = self._clock()
        with self._database.connect() as connection:
            due = list(connection.execute(_DUE, {"now": now, "at_most": limit}).scalars())
        claimed = []
        for process_id in due:
            lease_key = secrets.token_hex(16)
            with self._database.begin() as connection:
                change = sa.update(share_follows).where(_F.process_id == process_id, _IS_FREE)
                change = change.values(lease_until=now + LEASE, lease_key=lease_key)
                taken = connection.execute(change, {"now": now}).rowcount
                row = connection.execute(sa.select(share_follows).where(_F.process_id == process_id)).first()
            if taken == 1:
                claimed.append(Follow(self._engine.record(process_id), row, lease_key))
        return claimed

    def carry(self, follow: Follow) -> None:
        """Follow one stream until it ends, is cut or this node stops, and say when to go on."""
        taking = _Taking(self, follow)
        try:
            try:
                self._run(follow.record, taking)
            except TokenRefused:
                self._run(self._access.renew(follow.record), taking)
        except (TransferStopped, InboxBusy):
            self._release(follow, taking)
        except (Unavailable, PeerRefused, PartyChanged) as failed:
            self._again(follow, taking, str(failed))
        except GongshuError as refusal:
            self._again(follow, taking, str(refusal), is_final=True)
        else:
            self._again(follow, taking, "the provider ended it")

    # ---- steps ------------------------------------------------------------------------------------------------------

    def _run(self, record: Record, taking: "_Taking") -> None:
        record = record if record.data_address else self._access.renew(record)
        self._agreement(record)
        query = [("after", str(taking.position))]
        query += [("purpose", taking.purpose)] if taking.purpose else []
        headers = {"Accept": Encoding.ARROW.media_type}
        with self._access.fetch(record, query, headers) as response:
            arriving = io.BufferedReader(Arriving(response, STREAM_BYTES_MAX), READ_AHEAD_BYTES)
            taking.begin()
            try:
                with open_arrow(arriving.read) as reader:
                    self._take_all(reader, taking)
            except (pa.ArrowException, OSError, ValueError) as cause:
                party, reason = record.counterparty, str(cause)[:200]
                raise PeerAnswerInvalid(party=party, what="the stream", reason=reason) from cause
            finally:
                taking.end()

    def _take_all(self, reader: Any, taking: "_Taking") -> None:
        for batch, metadata in _marked(reader):
            taking.take(batch, reader.schema, require_sound(batch))
            if metadata is not None and POSITION in metadata:
                taking.mark(_position(metadata[POSITION]))
            if self._stopping.is_set():
                raise TransferStopped(transfer_id=taking.transfer_id, reason="this node stops")

    def keep(self, taking: "_Taking", batches: Any, schema: Any, position: int) -> None:
        """Append whole windows and write down the position they reach: both or neither.

        Raises: as `Keeper.keep`; PartyChanged; InboxBusy if somebody else has followed the stream meanwhile.
        """
        follow, rows = taking.follow, sum(each.num_rows for each in batches)
        record, row = follow.record, follow.row
        agreement = self._agreement(record)  # a stream lasts for days: as it stands now
        counted = {"rows": rows, "size_bytes": sum(each.nbytes for each in batches)}

        def note(connection: sa.Connection, kept: str) -> None:
            self.note(connection, taking, position=position, kept=kept, **counted)

        if not batches:
            with self._database.begin() as connection:
                note(connection, "")
            return
        self._keeper.keep(
            record,
            agreement,
            row.name,
            batches,
            schema,
            title=row.title or f"{record.dataset_id} ({record.counterparty})",
            actor=row.created_by,
            append=True,
            also=note,
        )

    def _agreement(self, record: Record) -> Agreement:
        with self._database.connect() as connection:
            return require_bound(find_agreement(connection, record.agreement_id))

    def note(
        self, connection: sa.Connection, taking: "_Taking", *, position: int, rows: int, size_bytes: int, kept: str
    ) -> None:
        """Write down how far the stream is kept. Raises: InboxBusy if somebody else follows it now, or went on."""
        process_id = taking.transfer_id
        mine = sa.and_(_F.process_id == process_id, _F.lease_key == taking.follow.lease_key)
        stored = {"stored_as": kept} if kept else {}
        values: dict[str, Any] = {"lease_until": self._clock() + LEASE, "position": position, "attempts": 0, **stored}
        values |= {"rows": _F.rows + rows, "last_error": ""}
        change = sa.update(share_follows).where(mine, _F.position == taking.position)
        if connection.execute(change.values(**values)).rowcount != 1:
            raise InboxBusy(transfer_id=process_id, reason="another process follows the stream")
        note_mark(connection, process_id, position, rows, self._clock())
        line = share_deliveries.c
        counted = {"rows": line.rows + rows, "size_bytes": line.size_bytes + size_bytes, **stored}
        mine = line.delivery_id == taking.delivery_id
        connection.execute(sa.update(share_deliveries).where(mine).values(**counted))

    def open_line(self, follow: Follow) -> int:
        """Open a line of the meter for one opening of the stream."""
        record = follow.record
        with self._database.begin() as connection:
            inserted = connection.execute(
                sa.insert(share_deliveries).values(
                    direction="in",
                    process_id=record.process_id,
                    agreement_id=record.agreement_id,
                    counterparty=record.counterparty,
                    dataset_id=record.dataset_id,
                    purpose=follow.row.purpose,
                    encoding=Encoding.ARROW,
                    outcome="open",
                    started_at=self._clock(),
                )
            )
            key = inserted.inserted_primary_key
            assert key is not None, "the table has a serial key"
            return int(key[0])

    def close_line(self, delivery_id: int) -> None:
        """Close the line; no end of a stream is its completion."""
        with self._database.begin() as connection:
            line = sa.update(share_deliveries).where(share_deliveries.c.delivery_id == delivery_id)
            connection.execute(line.values(outcome="stopped", finished_at=self._clock()))

    def _release(self, follow: Follow, taking: "_Taking") -> None:
        self._change(follow, lease_until=None, next_at=self._clock(), attempts=taking.attempts)

    def _again(self, follow: Follow, taking: "_Taking", reason: str, *, is_final: bool = False) -> None:
        if self._engine.record(follow.record.process_id).state is not State.STARTED:
            self._release(follow, taking)
            return
        attempts = taking.attempts + 1
        if is_final or attempts >= self._retries.attempts_max:
            self._change(follow, lease_until=None, last_error=reason[:500])
            event = AuditEvent(
                self._clock(), SYSTEM, "stream.given_up", follow.record.process_id, "failed", {"reason": reason[:300]}
            )
            self._audit.write(event)
            self._engine.terminate(follow.record.process_id, f"the stream cannot be followed, {attempts} attempts")
            return
        delay = plan_delay(attempts, self._retries, jitter=self._random.random())
        self._change(
            follow, lease_until=None, next_at=self._clock() + delay, attempts=attempts, last_error=reason[:500]
        )

    def _change(self, follow: Follow, **values: Any) -> None:
        mine = sa.and_(_F.process_id == follow.record.process_id, _F.lease_key == follow.lease_key)
        with self._database.begin() as connection:
            connection.execute(sa.update(share_follows).where(mine).values(**values))


class _Taking:
    """What has come of one opening, and how far it is kept."""

    def __init__(self, followers: Followers, follow: Follow) -> None:
        self._followers = followers
        self.follow = follow
        self.position = int(follow.row.position)
        self.attempts = int(follow.row.attempts)
        self.purpose = str(follow.row.purpose)
        self.transfer_id = follow.record.process_id
        self._schema: Any = None
        self._open: list[Any] = []
        """Batches of the window that is arriving."""
        self._open_bytes = 0
        self._whole: list[Any] = []
        """Batches of whole windows that are not kept yet."""
        self._reached = self.position
        self._first_s = self._noted_s = time.monotonic()
        self.delivery_id = 0

    def begin(self) -> None:
        self.delivery_id = self._followers.open_line(self.follow)
        self._open, self._open_bytes, self._whole, self._reached = [], 0, [], self.position

    def take(self, batch: Any, schema: Any, size_bytes: int) -> None:
        self._schema = schema
        if not batch.num_rows:
            return
        if not self._open and not self._whole:
            self._first_s = time.monotonic()
        self._open.append(batch)
        self._open_bytes += size_bytes
        if self._open_bytes > WINDOW_BYTES_MAX:
            raise ValueError("a window of it is too large to be kept as one")

    def mark(self, position: int) -> None:
        if position < self._reached:
            raise ValueError("its position goes back")
        self._whole += self._open
        self._open, self._open_bytes, self._reached = [], 0, position
        rows = sum(each.num_rows for each in self._whole)
        now_s = time.monotonic()
        is_due = rows >= KEEP_ROWS or (rows and now_s - self._first_s >= KEEP_S)
        if is_due or (not rows and now_s - self._noted_s >= RENEW_S):
            self.keep()

    def keep(self) -> None:
        """Keep all whole windows."""
        if self._reached == self.position:
            return
        self._followers.keep(self, self._whole, self._schema, self._reached)
        self.position, self._whole, self.attempts = self._reached, [], 0
        self._noted_s = time.monotonic()

    def end(self) -> None:
        """Keep what is whole, drop what is not, close the line; an error on the way is the caller's next one."""
        with suppress(GongshuError):
            self.keep()
        self._open, self._whole = [], []
        self._followers.close_line(self.delivery_id)


def _position(mark: bytes) -> int:
    """Return the position that a mark names. Raises: ValueError if it is none that can be kept."""
    position = int(mark) if len(mark) <= POSITION_DIGITS else -1
    if not 0 <= position <= NUMBER_MAX:
        raise ValueError("a mark of the stream is no position")
    return position


def _marked(reader: Any) -> Iterator[tuple[Any, Any]]:
    while True:
        try:
            yield reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            return
