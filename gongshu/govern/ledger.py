"""The history of every change, and its way into the audit log.

A change is written in the transaction that makes it. An audit log in the same database joins that transaction, so that
change and record are kept or lost together. With any other the record follows when the transaction is over, and its
index is noted; a process killed in between leaves a change without an index, which the next one to come by audits. So
no change stays out of the audit log, and a repeated record shows by its `change_id`.
See docs/decisions/0026-audit-follows-the-change.md.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.model import Change, ChangeKind
from gongshu.govern.rows import decode_change, next_value
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId

LEFT_BEHIND_S = 30.0
"""Other processes' changes without an audit record are left alone for so long: they are about to write it."""


class Ledger:
    """Writes history and audit."""

    def __init__(self, database: Database, audit: AuditSink, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def record(
        self,
        connection: sa.Connection,
        dataset_id: DatasetId,
        kind: ChangeKind,
        actor: str,
        *,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> int:
        """Add one line of history in the caller's transaction, raise the catalogue's version, return the line's id."""
        next_value(connection, "version")
        written = connection.execute(
            t.changes.insert().values(
                dataset_id=dataset_id,
                at=self._clock(),
                actor=actor,
                kind=kind.value,
                reason=reason,
                before=dict(before or {}),
                after=dict(after or {}),
            )
        )
        key = written.inserted_primary_key
        assert key is not None
        change_id = int(key[0])
        if getattr(self._audit, "in_transaction", False):
            this = t.changes.c.change_id == change_id
            row = connection.execute(sa.select(t.changes).where(this)).one()
            index = self._audit.write(_event(decode_change(row)))
            connection.execute(t.changes.update().where(this).values(audit_index=index))
        return change_id

    def audit(self, change_ids: list[int]) -> None:
        """Write the audit records of these changes, and of any that a killed process left without one."""
        stale = self._clock() - timedelta(seconds=LEFT_BEHIND_S)
        waiting = t.changes.c.audit_index.is_(None)
        wanted = sa.or_(t.changes.c.change_id.in_(change_ids), t.changes.c.at < stale)
        with self._database.connect() as connection:
            rows = connection.execute(sa.select(t.changes).where(waiting, wanted).order_by(t.changes.c.change_id)).all()
        indexes = [(row.change_id, self._audit.write(_event(decode_change(row)))) for row in rows]
        if indexes:
            with self._database.begin() as connection:
                for change_id, index in indexes:
                    connection.execute(
                        t.changes.update().where(t.changes.c.change_id == change_id).values(audit_index=index)
                    )

    def history(self, dataset_id: DatasetId) -> list[Change]:
        """Return a dataset's changes, the newest first."""
        query = sa.select(t.changes).where(t.changes.c.dataset_id == dataset_id).order_by(t.changes.c.change_id.desc())
        with self._database.connect() as connection:
            return [decode_change(row) for row in connection.execute(query)]


def _event(change: Change) -> AuditEvent:
    details: dict[str, str | int | float | bool | list[str] | None] = {"change_id": change.change_id}
    for side, facts in (("before", change.before), ("after", change.after)):
        for name, value in facts.items():
            details[f"{side}.{name}"] = value if isinstance(value, str | int | float | bool) else str(value)
    if change.reason:
        details["reason"] = change.reason
    return AuditEvent(
        at=change.at,
        actor=change.actor,
        action=change.kind.value,
        object=change.dataset_id,
        outcome="ok",
        details=details,
    )
