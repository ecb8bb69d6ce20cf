"""The audit log in the metadata database: appended by several processes, in one order, each record on disk.

SQLite's write lock, or a row lock on PostgreSQL, puts the appends in order. Every record is signed by the node key, so
that even somebody who can write the database cannot alter one record and recompute the rest.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.exc import IntegrityError

from gongshu.database import Database
from gongshu.model.audit import AuditEvent
from gongshu.prepared import Prepared
from gongshu.secure.audit import merkle
from gongshu.secure.audit.export import write_export
from gongshu.secure.audit.leaf import decode_details, encode_leaf
from gongshu.secure.audit.note import encode_checkpoint, record_message, sign_checkpoint
from gongshu.secure.errors import AuditLogDamaged
from gongshu.secure.keys import KeyStore
from gongshu.secure.tables import audit_checkpoints, audit_entries, audit_state

CHECKPOINT_EVERY_RECORDS = 500
CHECKPOINT_EVERY = timedelta(seconds=60)
"""A checkpoint is made by the append that finds the last one this old. Our choice: signing costs 0.05 ms."""

_STATE = Prepared(sa.select(audit_state).with_for_update())
_INSERT = Prepared(sa.insert(audit_entries))
_ADVANCE = Prepared(sa.update(audit_state))


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One record as people read it."""

    index: int
    at: datetime
    actor: str
    action: str
    object: str
    outcome: str
    details: Mapping[str, Any]


class AuditLog:
    """The node's audit log. Implements `gongshu.model.audit.AuditSink`."""

    def __init__(self, database: Database, keys: KeyStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._open = _OpenTransactions(database)

    @property
    def in_transaction(self) -> bool:
        """True while this thread has a write transaction open on the same database."""
        return self._open.current is not None

    def write(self, event: AuditEvent) -> int:
        """Store one event and return its index; the record is on disk on return.

        Within `with database.begin()` of the same thread the record joins that transaction, so that a change and its
        record are kept or lost together.

        Cost: one database commit (a few ms), or none when it joins one.
        """
        return self.write_many([event])

    def write_many(self, events: Sequence[AuditEvent]) -> int:
        """Store several events in one commit, in this order, and return the first one's index."""
        joined = self._open.current
        if joined is not None:
            return self._append(joined, events)
        with self._database.begin() as connection:
            return self._append(connection, events)

    def entries(
        self,
        *,
        object: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[AuditEntry]:
        """Return records, newest first. `action` may end in `*`; `before` is an index, for turning pages."""
        query = sa.select(audit_entries).order_by(audit_entries.c.record_index.desc()).limit(limit)
        if object is not None:
            query = query.where(audit_entries.c.object == _searchable(object, 400))
        if action is not None and action.endswith("*"):
            query = query.where(audit_entries.c.action.startswith(_searchable(action[:-1], 100), autoescape=True))
        elif action is not None:
            query = query.where(audit_entries.c.action == _searchable(action, 100))
        if actor is not None:
            query = query.where(audit_entries.c.actor == _searchable(actor, 200))
        if before is not None:
            query = query.where(audit_entries.c.record_index < before)
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
        return [_entry(row) for row in rows]

    def size(self) -> int:
        """Return the number of records."""
        with self._database.connect() as connection:
            return connection.execute(sa.select(audit_state.c.size)).scalar() or 0

    def checkpoint(self) -> str:
        """Sign the log as it stands and return the note; a log that has not grown keeps its last one."""
        with self._database.begin() as connection:
            state = self._state(connection)
            kept = sa.select(audit_checkpoints.c.note).where(audit_checkpoints.c.size == state.size)
            note: str | None = connection.execute(kept).scalar()
            return note or self._store_checkpoint(connection, state, state.size, _split(state.frontier))

    def checkpoints(self, *, limit: int = 100) -> list[str]:
        """Return the newest checkpoints' notes, newest first."""
        query = sa.select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size.desc()).limit(limit)
        with self._database.connect() as connection:
            return list(connection.execute(query).scalars())

    def prove_inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the audit path of a record in the tree of `size` records (all by default). Source: RFC 6962 §2.1.1.

        Raises: IndexError if there is no such record.
        Cost: reads every leaf hash up to `size`; about a second for a million records.
        """
        return merkle.plan_inclusion_proof(self._leaf_hashes(size), index)

    def prove_consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return the proof that the log of `old_size` records is a prefix of this one. Source: RFC 6962 §2.1.2.

        Raises: IndexError if the log is shorter.
        Cost: as `prove_inclusion`.
        """
        return merkle.plan_consistency_proof(self._leaf_hashes(size), old_size)

    def export(self, path: Path) -> int:
        """Write the whole log, its checkpoints and the public key to one file; return the number of records.

        A checkpoint over all of it is made first. The file appears whole or not at all.
        """
        final = self.checkpoint()
        size = int(final.split("\n")[1])
        with self._database.stream() as connection:
            notes = connection.execute(
                sa.select(audit_checkpoints.c.size, audit_checkpoints.c.note)
                .where(audit_checkpoints.c.size <= size)
                .order_by(audit_checkpoints.c.size)
            ).all()
            rows = connection.execution_options(yield_per=2000).execute(
                sa.select(audit_entries)
                .where(audit_entries.c.record_index < size)
                .order_by(audit_entries.c.record_index)
            )
            records: Iterator[tuple[int, bytes, bytes, bytes]] = (
                (row.record_index, row.leaf, row.leaf_hash, row.signature) for row in rows
            )
            write_export(path, self._keys.public_key_raw(), final, {row.size: row.note for row in notes}, records)
        return size

    def _append(self, connection: sa.Connection, events: Sequence[AuditEvent]) -> int:
        state = self._state(connection)
        frontier, size = _split(state.frontier), state.size
        for event in events:
            leaf = encode_leaf(size, event)
            digest = merkle.leaf_hash(leaf)
            frontier = merkle.append_leaf(frontier, size, digest)
            record = {
                "record_index": size,
                "leaf": leaf,
                "leaf_hash": digest,
                "signature": self._keys.sign(record_message(state.origin, size, digest)),
                "at": event.at,
                "actor": _searchable(event.actor, 200),
                "action": _searchable(event.action, 100),
                "object": _searchable(event.object, 400),
                "outcome": _searchable(event.outcome, 20),
            }
            _INSERT.run(connection, record)
            size += 1
        if not events:
            return int(size)
        _ADVANCE.run(connection, {"size": size, "frontier": b"".join(frontier)})
        due = size - state.checkpoint_size >= CHECKPOINT_EVERY_RECORDS
        if due or self._clock() - state.checkpoint_at >= CHECKPOINT_EVERY:
            self._store_checkpoint(connection, state, size, frontier)
        return int(state.size)

    def _state(self, connection: sa.Connection) -> Any:
        """Return the one state row, locked for this transaction; the first call makes it."""
        row = _STATE.first(connection)
        if row is None:
            first = {
                "id": 1,
                "origin": f"gongshu-audit/{self._keys.fingerprint().removeprefix('sha256:')[:16]}",
                "size": 0,
                "frontier": b"",
                "checkpoints": 0,
                "checkpoint_size": 0,
                "checkpoint_at": self._clock(),
            }
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(audit_state).values(first))
            except IntegrityError:
                pass  # another process made it between our two statements (PostgreSQL only)
            row = _STATE.first(connection)
        if len(row.frontier) != row.size.bit_count() * merkle.HASH_SIZE_BYTES:
            raise AuditLogDamaged(index=row.size, reason="the stored frontier does not belong to the stored size")
        return row

    def _store_checkpoint(self, connection: sa.Connection, state: Any, size: int, frontier: Sequence[bytes]) -> str:
        now = self._clock()
        text = encode_checkpoint(state.origin, size, merkle.root_of_frontier(frontier), state.checkpoints, now)
        note = sign_checkpoint(text, state.origin, self._keys)
        connection.execute(sa.insert(audit_checkpoints).values(size=size, note=note, at=now))
        counted = sa.update(audit_state).values(
            checkpoints=state.checkpoints + 1, checkpoint_size=size, checkpoint_at=now
        )
        connection.execute(counted)
        return note

    def _leaf_hashes(self, size: int | None) -> list[bytes]:
        query = sa.select(audit_entries.c.leaf_hash).order_by(audit_entries.c.record_index)
        if size is not None:
            query = query.where(audit_entries.c.record_index < size)
        with self._database.connect() as connection:
            return list(connection.execute(query).scalars())


class _OpenTransactions:
    """Knows the write transaction that a thread has open on one engine."""

    def __init__(self, database: Database) -> None:
        self._local = threading.local()
        sa_event.listen(database.engine, "begin", self._began)
        sa_event.listen(database.engine, "commit", self._ended)
        sa_event.listen(database.engine, "rollback", self._ended)

    @property
    def current(self) -> sa.Connection | None:
        connection: sa.Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed or not connection.in_transaction():
            return None
        return connection

    def _began(self, connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("gongshu_read_only", False):
            self._local.connection = connection

    def _ended(self, connection: sa.Connection) -> None:
        if self.current is connection:
            self._local.connection = None


def _split(frontier: bytes) -> tuple[bytes, ...]:
    step = merkle.HASH_SIZE_BYTES
    return tuple(frontier[start : start + step] for start in range(0, len(frontier), step))


def _searchable(text: str, length_max: int) -> str:
    """The text as both databases take it into a column; the leaf keeps all of it."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")[:length_max]


def _entry(row: sa.Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        index=row.record_index,
        at=row.at,
        actor=row.actor,
        action=row.action,
        object=row.object,
        outcome=row.outcome,
        details=decode_details(row.leaf),
    )
