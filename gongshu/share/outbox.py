"""The outbox: messages of ours on their way, with retries, and what to do when nobody knows whether one arrived.

A message whose outcome is unknown is followed by a question: the other side's state tells whether it took the message.
If it did, so be it; if not, the same bytes go again under the same `@id`. Nothing is retried for ever.
"""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import NotFound, Unavailable
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.prepared import Prepared
from gongshu.share import processes as store
from gongshu.share.desk import SENDING_LEASE, Entry
from gongshu.share.dsp.messages import encode, path_of, state_path
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.states import STATES, Move, Side, State, Verdict, has_meaning, reconcile
from gongshu.share.engine import SYSTEM, Engine
from gongshu.share.errors import MessageInvalid, MoveIllegal
from gongshu.share.model import Record
from gongshu.share.ports import Clock, Reply, Wire
from gongshu.share.sending import CONFLICT, NOT_FOUND, Outcome, Retries, judge_status, plan_delay
from gongshu.share.signals import Signals
from gongshu.share.tables import share_outbox, share_processes

_O = share_outbox.c
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_IS_FREE = sa.or_(_O.lease_until.is_(None), _O.lease_until < sa.bindparam("now"))
_NEXT_DUE = Prepared(sa.select(sa.func.min(sa.func.coalesce(_O.lease_until, _O.next_at))))
_DUE = Prepared(
    sa.select(_O.message_id, _O.process_id)
    .where(_O.next_at <= sa.bindparam("now"), _IS_FREE)
    .order_by(_O.next_at)
    .limit(sa.bindparam("at_most"))
)
_ENTRIES = sa.select(share_outbox).where(_O.message_id.in_(_IDS), _IS_FREE).order_by(_O.next_at)
_LEASE_THEM = (
    sa.update(share_outbox)
    .where(_O.message_id.in_(_IDS))
    .values(lease_until=sa.bindparam("until"), attempts=_O.attempts + 1)
)
_UNDER_WAY = sa.update(share_processes).where(share_processes.c.process_id.in_(_IDS)).values(pending_sent=True)

_STARTS = frozenset({Move.START, Move.START_ANEW})
_TERMINATIONS = frozenset({Move.TERMINATE, Move.TRANSFER_TERMINATE})


class Outbox:
    """Sends what is due."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        wire: Wire,
        audit: AuditSink,
        clock: Clock,
        signals: Signals,
        *,
        mint_address: Callable[[Record], dict[str, Any]],
        retries: Retries,
        random: Random,
    ) -> None:
        self._database = database
        self._engine = engine
        self._wire = wire
        self._audit = audit
        self._clock = clock
        self._signals = signals
        self._mint_address = mint_address
        self._retries = retries
        self._random = random

    def next_due(self, connection: sa.Connection) -> Any:
        """Return when the next message can be sent, None if there is none."""
        return _NEXT_DUE.scalar(connection)

    def claim_due(self, *, limit: int = 20) -> list[tuple[Record, Entry]]:
        """Take messages that are due, each for this sender alone, and note that they are given to the wire."""
        now = self._clock()
        with self._database.connect() as connection:
            due = _DUE.all(connection, {"now": now, "at_most": limit})
        if not due:
            return []
        with self._database.begin() as connection:  # one for all: a transaction costs more than what is in it
            records = store.lock_processes(connection, [process_id for _, process_id in due])
            asked = {"ids": [message_id for message_id, _ in due], "now": now}
            rows = connection.execute(_ENTRIES, asked).all()
            until = now + SENDING_LEASE
            claimed = []
            for row in rows:
                record = records.get(row.process_id)
                if record is None or record.pending_message != row.message_id:
                    store.drop_message(connection, row.message_id)
                else:
                    entry = Entry(row.message_id, row.process_id, Move(row.move), row.document, row.attempts, until)
                    claimed.append((record, entry))
            if claimed:
                mine = [entry.message_id for _, entry in claimed]
                connection.execute(_LEASE_THEM, {"ids": mine, "until": until})
                connection.execute(_UNDER_WAY, {"ids": [record.process_id for record, _ in claimed]})
        return claimed

    def deliver(self, record: Record, entry: Entry) -> None:
        """Send one claimed message and draw the conclusion from the answer; leave it to others once its lease ended."""
        attempts = entry.attempts + 1
        try:
            if attempts > 1 and record.peer_pid is not None and self._is_settled_by_asking(record, entry):
                return
            if self._clock() >= entry.held_until:
                return  # it waited too long for a sender or for the question; whoever takes it up now sends it
            reply = self._post(record, entry)
        except Unavailable as lost:
            self._retry(record, entry, attempts, str(lost))
            return
        except NotFound as gone:
            self._engine.end_here(record.process_id, str(gone))
            return
        outcome = judge_status(reply.status_code, attempts=attempts, retries=self._retries)
        if outcome is Outcome.CONFIRMED:
            self._confirmed(record, entry, attempts, reply)
        elif outcome is Outcome.RETRY:
            self._retry(record, entry, attempts, f"status {reply.status_code}")
        else:
            self._refused(record, entry, attempts, reply)

    def ask_state(self, record: Record) -> State | None:
        """Return the state the other side shows; None where it shows none. Raises: Unavailable, NotFound."""
        if record.peer_pid is None:
            return None
        reply = self._wire.get(record.counterparty, record.peer_address, state_path(record.kind, record.peer_pid))
        if not reply.is_ok:
            return None
        try:
            state = State(str(read_document(reply.body).get("state")))
        except (MessageInvalid, ValueError):
            return None
        return state if state in STATES[record.kind] else None

    # ---- steps ------------------------------------------------------------------------------------------------------

    def _post(self, record: Record, entry: Entry) -> Reply:
        document = orjson.loads(entry.document)
        move = entry.move
        if move in _STARTS and record.side is Side.PROVIDER and (address := self._mint_address(record)):
            document["dataAddress"] = address
        if move is Move.TRANSFER_REQUEST and record.data_address:
            document["dataAddress"] = orjson.loads(record.data_address)
        path, body = path_of(move, record.peer_pid), encode(document)
        if "dataAddress" in document:
            self._note_hash(entry, body)
        return self._wire.post(record.counterparty, record.peer_address, path, body)

    def _note_hash(self, entry: Entry, body: bytes) -> None:
        """Write down what is about to be sent where that is not what is stored: each attempt has a new token."""
        change = sa.update(share_outbox).where(share_outbox.c.message_id == entry.message_id)
        with self._database.begin() as connection:
            connection.execute(change.values(sent_hash=hashlib.sha256(body).hexdigest()))

    def _is_settled_by_asking(self, record: Record, entry: Entry) -> bool:
        state = self.ask_state(record)
        if state is None:
            return False
        return self._follow(record, entry, reconcile(record.process, state, was_refused=False), state)

    def _follow(self, record: Record, entry: Entry, verdict: Verdict, peer_state: State) -> bool:
        if verdict is Verdict.ADOPT:
            self._engine.confirm(record.kind, record.process_id, entry.message_id)
            return True
        if verdict is Verdict.END:
            self._engine.end_here(record.process_id, "the other side ended it", state=peer_state)
            return True
        return False

    def _confirmed(self, record: Record, entry: Entry, attempts: int, reply: Reply) -> None:
        peer_pid = None
        if record.peer_pid is None:
            peer_pid = _peer_pid_of(record, reply)
            if peer_pid is None and self._engine.record(record.process_id).peer_pid is None:
                self._retry(record, entry, attempts, "the answer does not name the process")
                return
        self._engine.confirm(record.kind, record.process_id, entry.message_id, peer_pid=peer_pid)

    def _refused(self, record: Record, entry: Entry, attempts: int, reply: Reply) -> None:
        reason = f"the other side refused {entry.move}: {reply_reason(reply)}"
        try:
            peer_state = self.ask_state(record)
        except Unavailable as lost:
            self._retry(record, entry, attempts, str(lost))
            return
        except NotFound as gone:
            self._engine.end_here(record.process_id, str(gone))
            return
        now = self._engine.record(record.process_id)
        if now.pending_message != entry.message_id:
            return  # while we asked, a message of the other side has settled it
        verdict = None if peer_state is None else reconcile(now.process, peer_state, was_refused=True)
        if verdict is not None and peer_state is not None and self._follow(record, entry, verdict, peer_state):
            return
        is_known = peer_state is not None or reply.status_code != NOT_FOUND
        if is_known and peer_state in (now.state, None) and not has_meaning(now.process):
            self._engine.cancel(record.process_id, entry.message_id)
        elif attempts < self._retries.attempts_max and self._is_too_early(now, entry, attempts, reply, verdict, reason):
            self._retry(record, entry, attempts, reason)
        else:
            self._give_up(record, entry, reason, peer_knows=is_known)

    def _is_too_early(
        self, now: Record, entry: Entry, attempts: int, reply: Reply, verdict: Verdict | None, reason: str
    ) -> bool:
        """True if the other side may take later what it refused now: its own message is under way, or it is busy.

        A conflict counts for that while it shows the state in which the message is due, or none that we can read.
        """
        if verdict is Verdict.DIVERGED:
            return True
        if reply.status_code != CONFLICT or now.peer_pid is None or not has_meaning(now.process):
            return False
        return attempts < self._retries.conflict_max or self._last_error(entry) != reason[:500]

    def _last_error(self, entry: Entry) -> str:
        """Return why the attempt before did not succeed."""
        with self._database.connect() as connection:
            chosen = sa.select(_O.last_error).where(_O.message_id == entry.message_id)
            return str(connection.execute(chosen).scalar() or "")

    def _retry(self, record: Record, entry: Entry, attempts: int, reason: str) -> None:
        if attempts >= self._retries.attempts_max:
            self._give_up(record, entry, f"no success after {attempts} attempts: {reason}", peer_knows=False)
            return
        delay = plan_delay(attempts, self._retries, jitter=self._random.random())
        with self._database.begin() as connection:
            connection.execute(
                sa.update(share_outbox)
                .where(_O.message_id == entry.message_id, _O.lease_until == entry.held_until)
                .values(next_at=self._clock() + delay, lease_until=None, last_error=reason[:500])
            )
        self._signals.notify(record.kind)

    def _give_up(self, record: Record, entry: Entry, reason: str, *, peer_knows: bool) -> None:
        event = AuditEvent(
            self._clock(), SYSTEM, f"{record.kind}.given_up", record.process_id, "failed", {"reason": reason[:300]}
        )
        self._audit.write(event)
        if entry.move is Move.START_ANEW:  # the other side did not wait for it: the transfer goes on
            self._engine.cancel(record.process_id, entry.message_id)
            return
        is_telling = peer_knows and record.peer_pid is not None and entry.move not in _TERMINATIONS
        try:
            self._engine.cancel(record.process_id, entry.message_id, terminate_because=reason if is_telling else "")
        except MoveIllegal:
            is_telling = False
        if not is_telling:
            self._engine.end_here(record.process_id, reason)


def reply_reason(reply: Reply) -> str:
    """Return what an error answer says, shortened; the status where it says nothing."""
    try:
        document = read_document(reply.body)
    except MessageInvalid:
        return f"status {reply.status_code}"
    parts = [str(document.get("code") or ""), *(str(part) for part in document.get("reason") or [])]
    return "; ".join(part for part in parts if part)[:500] or f"status {reply.status_code}"


def _peer_pid_of(record: Record, reply: Reply) -> str | None:
    ours, theirs = ("providerPid", "consumerPid") if record.side is Side.PROVIDER else ("consumerPid", "providerPid")
    try:
        document = read_document(reply.body)
    except MessageInvalid:
        return None
    peer_pid = document.get(theirs)
    if document.get(ours, record.process_id) != record.process_id or not isinstance(peer_pid, str):
        return None
    return peer_pid if 0 < len(peer_pid) <= 400 else None
