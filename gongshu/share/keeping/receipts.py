"""The consumer's receipts: opened before rows leave, signed when they have left, sent in batches until acknowledged."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.ids import PartyId
from gongshu.secure.gate.copies import CopyRead
from gongshu.secure.keys import KeyStore
from gongshu.share.agreements import unbound_agreements
from gongshu.share.dsp.reader import read_plain
from gongshu.share.dsp.states import Side
from gongshu.share.keeping.chain import (
    NOBODY,
    NOTHING_READ,
    RECEIPT_DOMAIN,
    ROWS_UNKNOWN,
    canonical,
    hash_of,
    moment,
    sign,
)
from gongshu.share.keeping.model import Receipt
from gongshu.share.keeping.ports import Post
from gongshu.share.keeping.tables import kept_keys, kept_reads, usage_receipts
from gongshu.share.model import AgreementStatus
from gongshu.share.ports import Clock
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Operation

PATH = "/share/usage"
BATCH = 200
"""Receipts of one message: under 200 KiB, far below what a node accepts. Chosen by us."""
LOST_AFTER = timedelta(hours=1)
"""A reading that was begun so long ago and never ended is told of as lost: its process died. Ours."""
HEARTBEAT = timedelta(days=1)
_R, _O = usage_receipts.c, kept_reads.c


class ReceiptDesk:
    """Writes and sends the receipts of one node. Threads and processes may share it."""

    def __init__(self, database: Database, keys: KeyStore, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    def open(self, connection: sa.Connection, agreement_id: str, read: CopyRead, operation: Operation) -> int:
        """Write down that a reading begins; return its ticket."""
        row = connection.execute(
            sa.insert(kept_reads).values(
                agreement_id=agreement_id,
                dataset_id=read.dataset_id,
                role="+".join(sorted(role.value for role in read.subject.roles)) or NOBODY,
                purpose=read.purpose[:200],
                operation=operation,
                at=self._clock(),
            )
        )
        assert row.inserted_primary_key is not None, "the table has a serial key"
        return int(row.inserted_primary_key[0])

    def close(self, tickets: Sequence[int], rows: int, outcome: str) -> None:
        """Turn readings into signed receipts; one that was told of as lost stays so."""
        if not tickets:
            return
        with self._database.begin() as connection:
            for row in self._taken(connection, sa.select(kept_reads).where(_O.read_id.in_(list(tickets)))):
                self._append(connection, row.agreement_id, row._mapping, rows=rows, outcome=outcome, at=row.at)

    def agreements_of(self, connection: sa.Connection, tickets: Sequence[int]) -> list[str]:
        """Return the contracts of readings under way."""
        query = sa.select(_O.agreement_id).distinct().where(_O.read_id.in_(list(tickets)))
        return list(connection.execute(query).scalars())

    def note(self, agreement_id: str, dataset_id: str, role: str, purpose: str, operation: str, rows: int) -> None:
        """Sign a receipt of something that did not pass the gate, such as rows handed out as they arrived."""
        facts = {"dataset_id": dataset_id, "role": role, "purpose": purpose, "operation": operation}
        with self._database.begin() as connection:
            self._append(connection, agreement_id, facts, rows=rows, outcome="ok", at=self._clock())

    def tend(self) -> int:
        """Tell of lost readings, and of rest under contracts that were silent for a day; return how many."""
        now, told = self._clock(), 0
        with self._database.begin() as connection:
            lost = sa.select(kept_reads).where(_O.at < now - LOST_AFTER)
            for row in self._taken(connection, lost):
                self._append(
                    connection, row.agreement_id, row._mapping, rows=ROWS_UNKNOWN, outcome="unknown", at=row.at
                )
                told += 1
            for agreement_id in self._resting(connection, now):
                facts = {"dataset_id": "", "role": NOBODY, "purpose": "", "operation": NOTHING_READ}
                self._append(connection, agreement_id, facts, rows=0, outcome="ok", at=now)
                told += 1
        return told

    def send(self, post: Post) -> int:
        """Send what is not acknowledged, a batch for each provider; return how many it took.

        What a provider does not take stays queued; nobody waits for it here.
        """
        taken = 0
        with self._database.connect() as connection:
            query = sa.select(_R.counterparty).distinct()
            parties = connection.execute(query.where(_R.direction == "out", _R.acknowledged_at.is_(None))).scalars()
            waiting = {PartyId(party): self._waiting(connection, party) for party in parties.all()}
        for party, rows in waiting.items():
            if not rows:
                continue  # what waits is for who was this party before
            batch = [{"body": orjson.loads(row.body), "signature": row.signature} for row in rows]
            try:
                reply = post(party, PATH, orjson.dumps({"receipts": batch}))
                document = read_plain(reply.body) if reply.is_ok else {}
            except GongshuError:
                continue
            accepted = document.get("accepted")
            taken += self._acknowledge(rows, accepted if isinstance(accepted, list) else [])
        return taken

    def receipts(self, agreement_id: str, *, direction: str, limit: int, offset: int) -> list[Receipt]:
        """Return the chain of a contract, newest first."""
        query = sa.select(usage_receipts).where(_R.agreement_id == agreement_id, _R.direction == direction)
        query = query.order_by(_R.sequence.desc()).limit(limit).offset(offset)
        with self._database.connect() as connection:
            return [receipt_of(row) for row in connection.execute(query)]

    def _append(
        self, connection: sa.Connection, agreement_id: str, facts: Any, *, rows: int, outcome: str, at: datetime
    ) -> None:
        a = share_agreements.c
        # The row's lock gives each receipt of a contract its place, whichever process signs it.
        query = sa.select(a.policy_hash, a.counterparty, a.dataset_id).where(a.agreement_id == agreement_id)
        contract = connection.execute(query.with_for_update()).one()
        mine = (_R.direction == "out", _R.agreement_id == agreement_id)
        last = connection.execute(
            sa.select(_R.sequence, _R.body_hash).where(*mine).order_by(_R.sequence.desc()).limit(1)
        ).first()
        sequence = last.sequence + 1 if last else 1
        body = {
            "contract": agreement_id,
            "dataset": contract.dataset_id,
            "role": facts["role"],
            "purpose": facts["purpose"],
            "operation": str(facts["operation"]),
            "outcome": outcome,
            "rows": rows,
            "at": moment(at),
            "sequence": sequence,
            "previous": last.body_hash if last else contract.policy_hash,
        }
        text = canonical(body)
        connection.execute(
            sa.insert(usage_receipts).values(
                direction="out",
                agreement_id=agreement_id,
                sequence=sequence,
                counterparty=contract.counterparty,
                body=text,
                body_hash=hash_of(text),
                signature=sign(RECEIPT_DOMAIN, text, self._keys.sign),
                at=self._clock(),
            )
        )

    def _taken(self, connection: sa.Connection, query: Any) -> list[Any]:
        rows = connection.execute(query.order_by(_O.read_id).with_for_update()).all()
        connection.execute(sa.delete(kept_reads).where(_O.read_id.in_([row.read_id for row in rows])))
        return list(rows)

    def _resting(self, connection: sa.Connection, now: datetime) -> list[str]:
        """Contracts under which a key is held, whose last receipt is older than a day."""
        a, k = share_agreements.c, kept_keys.c
        recent = sa.select(_R.sequence).where(
            _R.direction == "out", _R.agreement_id == k.agreement_id, _R.at > now - HEARTBEAT
        )
        query = sa.select(k.agreement_id).distinct().join(share_agreements, a.agreement_id == k.agreement_id)
        is_bound = sa.and_(a.status == AgreementStatus.ACTIVE, a.side == Side.CONSUMER, k.state == "held")
        return list(connection.execute(query.where(is_bound, ~recent.exists())).scalars())

    def _waiting(self, connection: sa.Connection, party: str) -> list[Any]:
        query = sa.select(usage_receipts).where(
            _R.direction == "out",
            _R.acknowledged_at.is_(None),
            _R.counterparty == party,
            _R.agreement_id.not_in(unbound_agreements(connection, party)),
        )
        return list(connection.execute(query.order_by(_R.agreement_id, _R.sequence).limit(BATCH)))

    def _acknowledge(self, rows: Sequence[Any], accepted: Sequence[Any]) -> int:
        names = {name for name in accepted if isinstance(name, str)}
        done = [row for row in rows if row.body_hash in names]
        with self._database.begin() as connection:
            for row in done:
                mine = (_R.direction == "out", _R.agreement_id == row.agreement_id, _R.sequence == row.sequence)
                connection.execute(sa.update(usage_receipts).where(*mine).values(acknowledged_at=self._clock()))
        return len(done)


def receipt_of(row: Any) -> Receipt:
    """Return the row as a value."""
    return Receipt(
        agreement_id=row.agreement_id,
        sequence=row.sequence,
        counterparty=PartyId(row.counterparty),
        body=orjson.loads(row.body),
        body_hash=row.body_hash,
        at=row.at,
        acknowledged_at=row.acknowledged_at,
    )
