"""How entries reach the other side and come from it: a durable outbox, sent in order until acknowledged, and a gate.

Sending twice changes nothing; a receiver that lacks earlier entries says which it expects next, and gets those again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database, settles_races
from gongshu.errors import GongshuError
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import PartyId
from gongshu.secure.parties import PartyRegistry
from gongshu.share.agreements import find_agreement, require_bound, retire_agreement, unbound_agreements
from gongshu.share.dsp.reader import read_plain
from gongshu.share.errors import MessageInvalid
from gongshu.share.evidence.book import SYSTEM, EvidenceBook, insert_entry
from gongshu.share.evidence.disputes import Event
from gongshu.share.evidence.entries import ENTRY_DOMAIN, entry_fault
from gongshu.share.evidence.errors import EntryRefused
from gongshu.share.evidence.model import EntryKind
from gongshu.share.evidence.tables import evidence_entries, evidence_partners
from gongshu.share.keeping.chain import canonical, hash_of, is_signed, link_fault
from gongshu.share.keeping.ports import Post
from gongshu.share.ports import Clock
from gongshu.share.quotas import ENTRIES_MAX, entries_max

PATH = "/share/evidence"
BATCH = 200
"""Entries of one message: under 300 KiB. Ours."""
RETRY_FIRST, RETRY_LONGEST = timedelta(seconds=10), timedelta(hours=6)
_E, _P = evidence_entries.c, evidence_partners.c


class Exchange:
    """Sends our entries and takes those of partners, for one node."""

    def __init__(
        self,
        database: Database,
        parties: PartyRegistry,
        book: EvidenceBook,
        audit: AuditSink,
        clock: Clock,
        answer: Callable[[sa.Connection, Any, Mapping[str, Any]], None],
    ) -> None:
        """`answer` draws our line where theirs is over a stretch of a stream."""
        self._database = database
        self._parties = parties
        self._book = book
        self._audit = audit
        self._clock = clock
        self._answer = answer

    # ---- out --------------------------------------------------------------------------------------------------------

    def send(self, post: Post) -> int:
        """Send a batch to each party that is due; return how many entries were taken."""
        now = self._clock()
        waiting = sa.select(_E.counterparty).distinct().where(_E.direction == "out", _E.acknowledged_at.is_(None))
        with self._database.connect() as connection:
            parties = [PartyId(name) for name in connection.execute(waiting).scalars()]
            rests = sa.select(_P.party_id).where(_P.next_at > now)
            resting = set(connection.execute(rests).scalars())
        return sum(self._send_to(party, post) for party in parties if party not in resting)

    def _send_to(self, party: PartyId, post: Post) -> int:
        query = sa.select(evidence_entries).where(
            _E.direction == "out", _E.counterparty == party, _E.acknowledged_at.is_(None)
        )
        with self._database.connect() as connection:
            query = query.where(_E.agreement_id.not_in(unbound_agreements(connection, party)))
            rows = list(connection.execute(query.order_by(_E.agreement_id, _E.sequence).limit(BATCH)))
        if not rows:
            return 0  # what waits is for who was this party before
        batch = [{"body": orjson.loads(row.body), "signature": row.signature} for row in rows]
        try:
            reply = post(party, PATH, orjson.dumps({"entries": batch}))
            answer = read_plain(reply.body, "the answer") if reply.is_ok else None
            problem = f"status {reply.status_code}"
        except GongshuError as fault:
            answer, problem = None, str(fault)
        if answer is None:
            self._fail(party, problem)
            return 0
        taken = self._acknowledge(rows, answer)
        refused = answer.get("refused")
        if taken and not refused:
            self._heard(party)
        else:
            self._fail(party, str(refused or "it took none of the entries")[:500], spoke=True)
        return taken

    def _acknowledge(self, rows: Sequence[Any], answer: Mapping[str, Any]) -> int:
        accepted, expected = answer.get("accepted"), answer.get("expected")
        names = {name for name in accepted if isinstance(name, str)} if isinstance(accepted, list) else set()
        done = [row for row in rows if row.body_hash in names]
        now = self._clock()
        with self._database.begin() as connection:
            for row in done:
                mine = (_E.direction == "out", _E.agreement_id == row.agreement_id, _E.sequence == row.sequence)
                connection.execute(sa.update(evidence_entries).where(*mine).values(acknowledged_at=now))
            for agreement_id in {row.agreement_id for row in rows}:
                number = expected.get(agreement_id) if isinstance(expected, dict) else None
                if isinstance(number, int) and not isinstance(number, bool) and number > 0:
                    again = (_E.direction == "out", _E.agreement_id == agreement_id, _E.sequence >= number)
                    connection.execute(sa.update(evidence_entries).where(*again).values(acknowledged_at=None))
        return len(done)

    def _heard(self, party: PartyId) -> None:
        self._upsert(party, spoke_at=self._clock(), attempts=0, next_at=None, last_error="")

    def _fail(self, party: PartyId, problem: str, *, spoke: bool = False) -> None:
        with self._database.connect() as connection:
            known = connection.execute(sa.select(_P.attempts).where(_P.party_id == party)).scalar() or 0
        wait = min(RETRY_LONGEST, RETRY_FIRST * 2 ** min(known, 16))
        values: dict[str, Any] = {"attempts": known + 1, "next_at": self._clock() + wait, "last_error": problem[:500]}
        self._upsert(party, **values | ({"spoke_at": self._clock()} if spoke else {}))

    def _upsert(self, party: PartyId, **values: Any) -> None:
        with self._database.begin() as connection:
            change = sa.update(evidence_partners).where(_P.party_id == party)
            if connection.execute(change.values(**values)).rowcount == 0:
                fresh: dict[str, Any] = {"attempts": 0, "last_error": "", **values}
                with suppress(IntegrityError), connection.begin_nested():  # another process may be first
                    connection.execute(sa.insert(evidence_partners).values(party_id=party, **fresh))

    def spoke_at(self, connection: sa.Connection, party: str) -> datetime | None:
        """Return when a party's node last said something valid here; None if it never did."""
        query = sa.select(_P.spoke_at).where(_P.party_id == party)
        found: datetime | None = connection.execute(query).scalar()
        return found

    # ---- in ---------------------------------------------------------------------------------------------------------

    def take(self, party: PartyId, body: bytes) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Judge and keep a batch of a partner's entries.

        Returns the answer, and (agreement, reason) of contracts that the partner ended with it.
        Raises: MessageInvalid if the message is none; what is wrong with single entries stands in the answer.
        """
        batch = _read(body)
        accepted: list[str] = []
        refused: list[dict[str, str]] = []
        expected: dict[str, int] = {}
        ended: list[tuple[str, str]] = []
        for item in batch:
            try:
                accepted.append(self._take_one(party, item, ended))
            except _Gap as gap:
                expected.setdefault(gap.agreement_id, gap.number)
            except GongshuError as fault:
                refused.append({"code": fault.code, "reason": str(fault)[:300]})
        if accepted:
            self._heard(party)
        answer: dict[str, Any] = {"accepted": accepted}
        return answer | ({"refused": refused} if refused else {}) | ({"expected": expected} if expected else {}), ended

    @settles_races
    def _take_one(self, party: PartyId, item: object, ended: list[tuple[str, str]]) -> str:
        body, signature = _parts(item)
        if fault := entry_fault(body):
            raise EntryRefused(sequence=0, agreement_id=str(body.get("contract", ""))[:200], reason=fault)
        key = self._parties.get(party).public_key
        text = canonical(body)
        with self._database.begin() as connection:
            agreement = self._book.lock(connection, body["contract"])
            if agreement.counterparty != party or body["author"] != party:
                raise _refused(body, "it is no contract with its sender")
            if body["sequence"] > (most := entries_max(ENTRIES_MAX, agreement.agreed_at, self._clock())):
                raise _refused(body, f"a contract has at most {most} entries by now")
            require_bound(find_agreement(connection, agreement.agreement_id))
            if body["contract_hash"] != agreement.policy_hash:
                raise _refused(body, "it is about another text of the contract")
            if not is_signed(ENTRY_DOMAIN, text, signature, key):
                raise _refused(body, "it is not signed by its sender's key")
            if self._is_known(connection, agreement, body, hash_of(text)):
                return hash_of(text)
            insert_entry(connection, "in", agreement, body, text, signature, self._clock())
            if fault := self._apply(connection, agreement, body, hash_of(text), ended):
                raise _refused(body, fault)
        return hash_of(text)

    def _is_known(self, connection: sa.Connection, agreement: Any, body: Mapping[str, Any], digest: str) -> bool:
        """True if the entry is here. Raises: _Gap if one before it is not; EntryRefused if it contradicts the chain."""
        sequence = body["sequence"]
        mine = (_E.direction == "in", _E.agreement_id == agreement.agreement_id)
        near = sa.select(_E.sequence, _E.body_hash).where(*mine, _E.sequence.in_([sequence - 1, sequence]))
        known = {row.sequence: row.body_hash for row in connection.execute(near)}
        if known.get(sequence) == digest:
            return True
        if sequence in known:
            raise _refused(body, f"another entry {sequence} is here: the sender has signed two")
        wrong = link_fault(sequence, body["previous"], known=known, first_hash=agreement.policy_hash)
        if wrong is not None and wrong[0] == "gap":
            newest = connection.execute(sa.select(sa.func.max(_E.sequence)).where(*mine)).scalar() or 0
            raise _Gap(agreement.agreement_id, newest + 1)
        if wrong is not None:
            raise _refused(body, wrong[1].replace("receipt", "entry"))
        return False

    def _apply(
        self,
        connection: sa.Connection,
        agreement: Any,
        body: Mapping[str, Any],
        digest: str,
        ended: list[tuple[str, str]],
    ) -> str | None:
        """Draw the conclusions of a new entry; return what is wrong with it, None if nothing is."""
        kind = EntryKind(body["kind"])
        if kind is EntryKind.END:
            reason = f"the other side ended it: {body['reason'] or 'no reason given'}"
            if retire_agreement(connection, agreement.agreement_id, reason):
                ended.append((agreement.agreement_id, reason))
                details = {"reason": reason[:300], "party": agreement.counterparty}
                event = AuditEvent(
                    self._clock(), SYSTEM, "agreement.ended_by_partner", agreement.agreement_id, "ok", details
                )
                self._audit.write(event)
            self._book.end_open(connection, agreement, reason)
            return None
        if kind is EntryKind.LINE:
            fault = self._book.take_line(connection, agreement, body, digest)
            if fault is None:
                self._answer(connection, agreement, body)
            return fault
        row = self._book.delivery(connection, agreement, body["delivery"])
        if row is None:
            return "it is about a delivery that nobody has told of"
        if kind is EntryKind.AGREE and (body["line"], body["own"]) != (row.own_line, row.their_line):
            return "it countersigns another line than ours"
        if kind is EntryKind.DISPUTE:
            reason = f"the other side disputes it: {body['reason']}"
            self._book.happen(connection, agreement, row, Event.THEY_DISPUTE, reason)
        if kind is EntryKind.SETTLE:
            self._book.take_choice(connection, agreement, body)
        return None


class _Gap(Exception):
    """Entries before this one are missing; the sender is told which."""

    def __init__(self, agreement_id: str, number: int) -> None:
        super().__init__(agreement_id)
        self.agreement_id, self.number = agreement_id, number


def _refused(body: Mapping[str, Any], reason: str) -> EntryRefused:
    return EntryRefused(sequence=body["sequence"], agreement_id=body["contract"][:200], reason=reason)


def _read(body: bytes) -> list[object]:
    batch = read_plain(body, "the entries").get("entries")
    if not isinstance(batch, list) or not 0 < len(batch) <= BATCH:
        raise MessageInvalid(what="the entries", reason=f"it holds no list of 1 to {BATCH} entries")
    return batch


def _parts(item: object) -> tuple[dict[str, Any], str]:
    body = item.get("body") if isinstance(item, dict) else None
    signature = item.get("signature") if isinstance(item, dict) else None
    if not isinstance(body, dict) or not isinstance(signature, str) or len(signature) > 200:
        raise MessageInvalid(what="an entry", reason="it is not a body with a signature")
    return body, signature
