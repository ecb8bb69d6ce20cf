"""Notices of use: signed, queued in the transaction that lets a use begin, delivered to the named parties' nodes.

What cannot be queued stops the use: the transaction that would count it fails. Delivery is retried for a week; a party
that never answers is shown, and its notice stays in the book. This module must not know who delivers rows.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import orjson
import sqlalchemy as sa

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.jws import JwsInvalid, decode_jws, encode_jws, is_signed_by
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from gongshu.share.contract_tables import share_notices, share_notices_received
from gongshu.share.dsp.reader import read_plain
from gongshu.share.errors import MessageInvalid, NoticeInvalid
from gongshu.share.model import Agreement
from gongshu.share.ports import Clock, Reply
from gongshu.share.quotas import NOTICES_FOR, NOTICES_MAX, Quota
from gongshu.share.signals import new_urn

_logger = logging.getLogger(__name__)

PATH = "/share/notices"
"""Where a node of this kind takes notices, below its address."""
KIND = "gongshu-notice-of-use"
RETRY_FIRST = timedelta(seconds=10)
RETRY_LONGEST = timedelta(hours=6)
GIVEN_UP_AFTER = timedelta(days=7)
BATCH = 20

_N = share_notices.c
_DUE = (
    sa.select(share_notices).where(_N.due_at <= sa.bindparam("now")).order_by(_N.due_at).limit(sa.bindparam("at_most"))
)
_NEXT_DUE = sa.select(sa.func.min(_N.due_at))


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice, sent or received."""

    notice_id: str
    party_id: PartyId
    """Whom it is for, or whom it came from."""
    agreement_id: str
    at: datetime
    sent_at: datetime | None
    last_error: str
    claims: dict[str, Any]


class Sender(Protocol):
    """The wire, as far as notices need it."""

    def post_to(self, party: PartyId, address: str, body: bytes = b"") -> Reply:
        """Send a request to a full address below the party's own."""
        ...


class NoticeBook:
    """Writes notices, sends them, takes those of others."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        parties: PartyRegistry,
        audit: AuditSink,
        clock: Clock,
        own_party_id: PartyId,
    ) -> None:
        self._database = database
        self._keys = keys
        self._parties = parties
        self._audit = audit
        self._clock = clock
        self._own = own_party_id
        self._taken = Quota("notices", NOTICES_MAX, partial(_taken_of, clock))

    def queue(self, connection: sa.Connection, agreement: Agreement, purpose: str) -> None:
        """Sign and queue a notice for each party that the terms name, inside the caller's transaction."""
        now = self._clock()
        for party in sorted(agreement.terms.notify):
            notice_id = new_urn()
            claims = {
                "kind": KIND,
                "id": notice_id,
                "from": self._own,
                "to": party,
                "agreement": agreement.agreement_id,
                "agreement_hash": agreement.policy_hash,
                "user": agreement.counterparty,
                "use": agreement.uses + 1,
                "purpose": purpose,
                "at": now.isoformat(),
            }
            connection.execute(
                sa.insert(share_notices).values(
                    notice_id=notice_id,
                    party_id=party,
                    agreement_id=agreement.agreement_id,
                    document=encode_jws(claims, self._keys),
                    queued_at=now,
                    due_at=now,
                )
            )

    def chore(self, wire: Sender) -> "NoticeChore":
        """Return the sending as something that falls due."""
        return NoticeChore(self, wire)

    def send_due(self, wire: Sender, *, limit: int = BATCH) -> int:
        """Send the notices that are due and return how many were tried."""
        with self._database.connect() as connection:
            rows = list(connection.execute(_DUE, {"now": self._clock(), "at_most": limit}))
        for row in rows:
            self._send(wire, row)
        return len(rows)

    def next_due(self, connection: sa.Connection) -> datetime | None:
        """Return when the next notice is due, None if there is none."""
        found: datetime | None = connection.execute(_NEXT_DUE).scalar()
        return found

    def _send(self, wire: Sender, row: Any) -> None:
        attempts, now = row.attempts + 1, self._clock()
        taken = sa.update(share_notices).where(_N.notice_id == row.notice_id, _N.attempts == row.attempts)
        wait = min(RETRY_LONGEST, RETRY_FIRST * 2 ** min(attempts - 1, 16))
        with self._database.begin() as connection:
            if connection.execute(taken.values(attempts=attempts, due_at=now + wait)).rowcount != 1:
                return  # another process of this node sends it
        error = self._post(wire, PartyId(row.party_id), row.document)
        is_given_up = bool(error) and now - row.queued_at > GIVEN_UP_AFTER
        changes: dict[str, Any] = {"last_error": error[:500]}
        if not error:
            changes |= {"sent_at": self._clock(), "due_at": None}
        elif is_given_up:
            changes["due_at"] = None
        with self._database.begin() as connection:
            connection.execute(sa.update(share_notices).where(_N.notice_id == row.notice_id).values(**changes))
            if is_given_up:
                details = {"party": row.party_id, "reason": error[:300]}
                self._audit.write(
                    AuditEvent(now, "system:share", "notice.given_up", row.agreement_id, "failed", details)
                )

    def _post(self, wire: Sender, party: PartyId, document: str) -> str:
        try:
            if party == self._own:
                self.take(party, orjson.dumps({"notice": document}))
                return ""
            address = self._parties.get(party).address.rstrip("/")
            reply = wire.post_to(party, f"{address}{PATH}", orjson.dumps({"notice": document}))
        except GongshuError as fault:
            return str(fault)
        return "" if reply.is_ok else f"status {reply.status_code}"

    @settles_races
    def take(self, sender: PartyId, body: bytes) -> None:
        """Keep a notice that another party sends; the same one twice is kept once.

        Raises: NoticeInvalid, PartyUnknown.
        """
        document, claims = self._read(sender, body)
        columns = share_notices_received.c
        with self._database.begin() as connection:
            known = sa.select(columns.notice_id).where(columns.notice_id == claims["id"], columns.sender == sender)
            if connection.execute(known).first() is None:
                if sender != self._own:
                    self._taken.take(connection, sender)
                connection.execute(
                    sa.insert(share_notices_received).values(
                        notice_id=claims["id"],
                        sender=sender,
                        agreement_id=claims["agreement"],
                        document=document,
                        received_at=self._clock(),
                    )
                )

    def _read(self, sender: PartyId, body: bytes) -> tuple[str, dict[str, Any]]:
        try:
            document = str(read_plain(body, "the notice")["notice"])
            claims, message, signature = decode_jws(document)
        except (MessageInvalid, KeyError, JwsInvalid) as cause:
            raise NoticeInvalid(reason="it cannot be read") from cause
        key = self._keys.public_key() if sender == self._own else self._parties.get(sender).public_key
        if not is_signed_by(key, message, signature):
            raise NoticeInvalid(reason="its signature is not the sender's")
        names = ("id", "agreement")
        is_short = all(isinstance(claims.get(name), str) and 0 < len(claims[name]) <= 200 for name in names)
        if claims.get("kind") != KIND or claims.get("from") != sender or claims.get("to") != self._own or not is_short:
            raise NoticeInvalid(reason="it is no notice of this sender to this party")
        return document, claims

    def sent(self, *, agreement_id: str = "", limit: int = 100, offset: int = 0) -> list[Notice]:
        """Return our notices, newest first, with what became of each."""
        query = sa.select(share_notices).order_by(_N.queued_at.desc(), _N.notice_id).limit(limit).offset(offset)
        if agreement_id:
            query = query.where(_N.agreement_id == agreement_id)
        with self._database.connect() as connection:
            rows = list(connection.execute(query))
        return [_notice(row, row.party_id, row.queued_at, row.sent_at, row.last_error) for row in rows]

    def received(self, *, limit: int = 100, offset: int = 0) -> list[Notice]:
        """Return the notices of others, newest first."""
        columns = share_notices_received.c
        query = sa.select(share_notices_received).order_by(columns.received_at.desc(), columns.notice_id)
        with self._database.connect() as connection:
            rows = list(connection.execute(query.limit(limit).offset(offset)))
        return [_notice(row, row.sender, row.received_at, None, "") for row in rows]


def _taken_of(clock: Clock, sender: PartyId) -> "sa.Select[int]":
    columns = share_notices_received.c
    is_new = columns.received_at > clock() - NOTICES_FOR
    return sa.select(sa.func.count()).where(columns.sender == sender, is_new)


def _notice(row: Any, party: str, at: datetime, sent_at: datetime | None, last_error: str) -> Notice:
    claims, _, _ = decode_jws(row.document)
    return Notice(row.notice_id, PartyId(party), row.agreement_id, at, sent_at, last_error, claims)


class NoticeChore:
    """Sends notices when they fall due."""

    def __init__(self, book: NoticeBook, wire: Sender) -> None:
        self._book = book
        self._wire = wire

    def perform_due(self) -> int:
        """Send what is due and return how many were tried."""
        return self._book.send_due(self._wire)

    def next_due(self, connection: sa.Connection) -> datetime | None:
        """Return when the next notice is due."""
        return self._book.next_due(connection)
