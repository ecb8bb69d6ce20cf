"""The provider's meter: one use and one line for each delivery, written in the transaction that lets it begin."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.share.agreements import count_use
from gongshu.share.encoding import Encoding
from gongshu.share.errors import TermsForbid
from gongshu.share.evidence.marks import drop_marks, note_mark
from gongshu.share.model import Agreement, Record
from gongshu.share.ports import Clock
from gongshu.share.tables import share_deliveries, share_pushes, share_streams
from gongshu.share.terms import NAME_MAX

ATTEMPTS_MAX = 3
ATTEMPTS_WITHIN = timedelta(hours=1)
"""Requests with one key are attempts at one delivery and count once: so many, within so long, and none after one that
was sent to its end. Ours; see decision 0066."""
KEY_MAX = 200

_D = share_deliveries.c


def own_uses(connection: sa.Connection, process_id: str) -> int:
    """Return how many uses a transfer has paid for what still runs in it: 1 for a push or stream that began, else 0."""
    pushes, streams = share_pushes.c, share_streams.c
    pushed = sa.select(pushes.process_id).where(pushes.process_id == process_id, pushes.delivery_id.is_not(None))
    streamed = sa.select(streams.process_id).where(streams.process_id == process_id)
    return int(any(connection.execute(query).first() is not None for query in (pushed, streamed)))


class NoticeQueue(Protocol):
    """Where notices of a use are put before its rows leave."""

    def queue(self, connection: sa.Connection, agreement: Agreement, purpose: str) -> None:
        """Queue one for each party that the terms name; raises if it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """What the meter is told."""

    record: Record
    agreement: Agreement
    purpose: str
    encoding: Encoding
    request_key: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """One opening of a stream."""

    delivery_id: int
    rows: int
    """Rows sent by the openings before."""


class Meter:
    """Counts and writes down for one node."""

    def __init__(self, database: Database, audit: AuditSink, clock: Clock, notices: NoticeQueue | None = None) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._notices = notices

    def has_attempt(self, process_id: str, request_key: str) -> bool:
        """True if a request with this key would be another attempt at a delivery that was counted before."""
        with self._database.connect() as connection:
            return self._is_attempt(connection, process_id, request_key)

    def open(self, entry: Entry) -> int | None:
        """Count one use and open a line; None if none is left. Another attempt is not counted and ends the earlier."""
        with self._database.begin() as connection:
            if self._is_attempt(connection, entry.record.process_id, entry.request_key):
                connection.execute(
                    sa.update(share_deliveries)
                    .where(_D.process_id == entry.record.process_id, _D.request_key == entry.request_key)
                    .where(_D.direction == "out", _D.outcome == "open")
                    .values(outcome="failed", finished_at=self._clock())
                )
            elif not self._count(connection, entry):
                return None
            return self._line(connection, entry)

    def open_push(self, entry: Entry) -> int | None:
        """Open the line of a push; all its attempts share one line and one use. None if no use is left."""
        mine = share_pushes.c.process_id == entry.record.process_id
        with self._database.begin() as connection:
            known = connection.execute(sa.select(share_pushes.c.delivery_id).where(mine)).scalar()
            if known is not None:
                again = sa.update(share_deliveries).where(_D.delivery_id == known)
                connection.execute(again.values(outcome="open", finished_at=None))
                return int(known)
            if not self._count(connection, entry):
                return None
            delivery_id = self._line(connection, entry)
            connection.execute(sa.update(share_pushes).where(mine).values(delivery_id=delivery_id))
            return delivery_id

    def open_stream(self, entry: Entry, after: int) -> "Opened":
        """Open a line of a stream at a position, ending the opening before; the first one counts the stream's one use.

        Raises: TermsForbid if no use is left, if the position lies before the confirmed one, or all rows were sent.
        """
        process_id, agreement_id = entry.record.process_id, entry.agreement.agreement_id
        mine = share_streams.c.process_id == process_id
        with self._database.begin() as connection:
            row = connection.execute(sa.select(share_streams).where(mine).with_for_update()).first()
            if row is not None and after < row.position:
                raise TermsForbid(
                    agreement_id=agreement_id, reason="a stream does not go back behind what was confirmed"
                )
            rows_max = entry.agreement.terms.rows_max
            if row is not None and rows_max is not None and row.rows >= rows_max:
                raise TermsForbid(agreement_id=agreement_id, reason=f"its {rows_max} rows were sent")
            if row is None and not self._count(connection, entry):
                raise TermsForbid(agreement_id=agreement_id, reason="its uses are used up")
            drop_marks(connection, process_id, after)
            now = self._clock()
            if row is None:
                values = {"process_id": process_id, "position": after, "opening": 1, "rows": 0, "updated_at": now}
                connection.execute(sa.insert(share_streams).values(**values))
            else:
                values = {"position": after, "opening": row.opening + 1, "updated_at": now}
                connection.execute(sa.update(share_streams).where(mine).values(**values))
            others = sa.and_(_D.process_id == process_id, _D.direction == "out", _D.outcome == "open")
            connection.execute(sa.update(share_deliveries).where(others).values(outcome="stopped", finished_at=now))
            return Opened(self._line(connection, entry), row.rows if row else 0)

    def note_stream(self, process_id: str, delivery_id: int, *, rows: int, size_bytes: int, more: int) -> None:
        """Write how far an opening has come; `more` rows are added to those of the whole stream."""
        with self._database.begin() as connection:
            mine = sa.update(share_deliveries).where(_D.delivery_id == delivery_id)
            connection.execute(mine.values(rows=rows, size_bytes=size_bytes))
            whole = sa.update(share_streams).where(share_streams.c.process_id == process_id)
            connection.execute(whole.values(rows=share_streams.c.rows + more, updated_at=self._clock()))

    def mark_stream(self, process_id: str, position: int, rows: int) -> None:
        """Write how many rows of a stream lie before a position."""
        with self._database.begin() as connection:
            note_mark(connection, process_id, position, rows, self._clock())

    def close(self, delivery_id: int, *, rows: int, size_bytes: int, outcome: str, sha256: str = "") -> None:
        """Write a delivery's last figures; one that was taken over keeps its end.

        With the hash of its bytes, a complete one becomes a line that the other side countersigns (see `evidence`).
        """
        with self._database.begin() as connection:
            figures: dict[str, Any] = {"rows": rows, "size_bytes": size_bytes}
            mine = _D.delivery_id == delivery_id
            connection.execute(sa.update(share_deliveries).where(mine).values(**figures))
            ended = {"outcome": outcome, "finished_at": self._clock(), "sha256": sha256}
            ended |= {"lined": "due"} if sha256 and outcome == "complete" else {}
            connection.execute(sa.update(share_deliveries).where(mine, _D.outcome == "open").values(**ended))

    def _count(self, connection: sa.Connection, entry: Entry) -> bool:
        """Count one use and queue the notices that the terms demand: both or neither."""
        agreement = entry.agreement
        if not count_use(connection, agreement.agreement_id, agreement.terms.uses_max):
            return False
        if agreement.terms.notify:
            if self._notices is None:
                raise TermsForbid(agreement_id=agreement.agreement_id, reason="its notices cannot be queued")
            self._notices.queue(connection, agreement, entry.purpose[:NAME_MAX])
        return True

    def _is_attempt(self, connection: sa.Connection, process_id: str, request_key: str) -> bool:
        if not request_key:
            return False
        query = sa.select(_D.outcome, _D.started_at).where(
            _D.process_id == process_id, _D.request_key == request_key[:KEY_MAX], _D.direction == "out"
        )
        before = list(connection.execute(query))
        if not before or len(before) >= ATTEMPTS_MAX or any(row.outcome == "complete" for row in before):
            return False
        return bool(self._clock() - min(row.started_at for row in before) <= ATTEMPTS_WITHIN)

    def _line(self, connection: sa.Connection, entry: Entry) -> int:
        record, agreement = entry.record, entry.agreement
        inserted = connection.execute(
            sa.insert(share_deliveries).values(
                direction="out",
                process_id=record.process_id,
                agreement_id=agreement.agreement_id,
                counterparty=record.counterparty,
                dataset_id=agreement.dataset_id,
                purpose=entry.purpose[:NAME_MAX],
                encoding=entry.encoding,
                outcome="open",
                request_key=entry.request_key[:KEY_MAX],
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
                details | {"purpose": entry.purpose[:NAME_MAX], "encoding": entry.encoding.value},
            )
        )
        return delivery_id
