"""Rows of 三级 on their way out, with the mark of their delivery; and whose mark a file carries.

Rows that have to be marked cannot be read before somebody said which delivery they belong to: a way out that forgets it
ends in an error, not in rows without a mark.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.model.access import Role, Subject
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.dataset import Dataset
from gongshu.model.grade import Grade
from gongshu.secure.keys import KeyStore
from gongshu.share.clearances.book import ClearanceBook
from gongshu.share.clearances.leaked import read_values
from gongshu.share.clearances.model import Clearance, Kind
from gongshu.share.clearances.records import mark_of
from gongshu.share.clearances.watermark import Marking, choose, judge
from gongshu.share.contract_tables import share_watermarks
from gongshu.share.errors import TermsForbid
from gongshu.share.model import Agreement
from gongshu.share.ports import Clock, Rows
from gongshu.share.rights import require_right

TRACERS = frozenset({Role.STEWARD, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})
_W = share_watermarks.c


@dataclass(frozen=True, slots=True)
class Trace:
    """How well a file fits one party, or one delivery to it."""

    dataset_id: str
    party: str
    delivery_id: int | None
    """None where the line is about the party."""
    begun_at: datetime | None
    seen: int
    hits: int
    chance: float
    is_named: bool


class Marker:
    """The watermarks of one node."""

    def __init__(self, database: Database, keys: KeyStore, book: ClearanceBook, audit: AuditSink, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._book = book
        self._audit = audit
        self._clock = clock

    def marked(self, rows: Rows, dataset: Dataset, agreement: Agreement) -> Rows:
        """Return rows that are marked while they are read, where the grade demands it; they are bound before.

        Raises: TermsForbid if no strict clearance is in force, or the rows hold none of its columns for the mark.
        """
        if dataset.label.grade is not Grade.THREE:
            return rows
        clearance = self._book.in_force(dataset, agreement.counterparty, Kind.STRICT, self._clock())
        columns = {} if clearance is None else mark_of(clearance.record)
        carrying = {
            name: decimals
            for name, decimals in columns.items()
            if name in rows.schema.names and pa.types.is_float64(rows.schema.field(name).type)
        }
        if clearance is None or not carrying:
            rows.close()
            reason = (
                f"三级 data leave with a watermark only, in {', '.join(columns) or 'a cleared column'}; ask for that"
            )
            raise TermsForbid(agreement_id=agreement.agreement_id, reason=reason)
        return MarkedRows(self, rows, clearance, carrying)

    def begin(self, delivery_id: int, clearance: Clearance, columns: Mapping[str, int]) -> Marking:
        """Write down that a delivery is marked, before its first row leaves, and return its keys."""
        values = {
            "dataset_id": clearance.dataset_id,
            "party_id": clearance.party_id,
            "clearance_id": clearance.clearance_id,
            "columns": dict(columns),
        }
        with self._database.begin() as connection:
            mine = _W.delivery_id == delivery_id
            again = connection.execute(sa.update(share_watermarks).where(mine).values(**values)).rowcount
            if not again:
                new = {"delivery_id": delivery_id, "begun_at": self._clock(), "marked": 0}
                connection.execute(sa.insert(share_watermarks).values(**new, **values))
        return Marking(self._secret(clearance.dataset_id), clearance.party_id, str(delivery_id))

    def note(self, delivery_id: int, marked: int) -> None:
        """Add to the number of values that a delivery's mark has changed."""
        change = sa.update(share_watermarks).where(_W.delivery_id == delivery_id)
        with self._database.begin() as connection:
            connection.execute(change.values(marked=_W.marked + marked))

    def trace(self, path: Path, actor: Subject) -> list[Trace]:
        """Return whose mark a file carries: parties, and deliveries of those that are named, the likeliest first.

        Raises: NotAllowed, MarkedFileUnreadable.
        Cost: reads the file once for each decimal in use and holds its different values in memory.
        """
        require_right(actor, TRACERS, "trace watermarks")
        values, digest = read_values(path)
        with self._database.connect() as connection:
            rows = list(connection.execute(sa.select(share_watermarks).order_by(_W.delivery_id)))
        found: list[Trace] = []
        for dataset_id, decimals in sorted({(row.dataset_id, d) for row in rows for d in row.columns.values()}):
            mine = [row for row in rows if row.dataset_id == dataset_id and decimals in row.columns.values()]
            found += self._trace(dataset_id, decimals, mine, values)
        best: dict[tuple[str, str, int | None], Trace] = {}
        for trace in sorted(found, key=lambda each: each.chance):
            best.setdefault((trace.dataset_id, trace.party, trace.delivery_id), trace)
        ordered = sorted(best.values(), key=lambda each: (not each.is_named, each.chance, each.delivery_id or 0))
        named: list[str] = [f"{t.party} {t.delivery_id or ''}".strip() for t in ordered if t.is_named]
        details: dict[str, Any] = {"sha256": digest, "values": len(values), "named": named[:20]}
        self._audit.write(AuditEvent(self._clock(), actor.subject_id, "watermark.traced", path.name, "ok", details))
        return ordered

    def _trace(self, dataset_id: str, decimals: int, rows: list[Any], values: set[float]) -> Iterator[Trace]:
        secret = self._secret(dataset_id)
        of_party, of_delivery = choose(secret, values, decimals)
        named = set()
        for suspect in judge(secret, of_party, sorted({row.party_id for row in rows})):
            if suspect.is_named:
                named.add(suspect.name)
            yield Trace(
                *(dataset_id, suspect.name, None, None, suspect.seen, suspect.hits, suspect.chance, suspect.is_named)
            )
        begun = {str(row.delivery_id): (row.party_id, row.begun_at) for row in rows if row.party_id in named}
        for suspect in judge(secret, of_delivery, begun):
            party, at = begun[suspect.name]
            yield Trace(
                *(dataset_id, party, int(suspect.name), at, suspect.seen, suspect.hits),
                *(suspect.chance, suspect.is_named),
            )

    def _secret(self, dataset_id: str) -> bytes:
        return hashlib.sha256(self._keys.derived_secret(f"watermark:{dataset_id}")).digest()


class MarkedRows:
    """Rows that get their mark while they are read."""

    def __init__(self, marker: Marker, rows: Rows, clearance: Clearance, columns: Mapping[str, int]) -> None:
        self.schema = rows.schema
        self._marker = marker
        self._rows = rows
        self._clearance = clearance
        self._columns = columns
        self._delivery_id: int | None = None
        self._marking: Marking | None = None
        self._changed = 0

    def bind(self, delivery_id: int) -> None:
        """Say to which delivery the rows belong."""
        self._delivery_id = delivery_id
        self._marking = self._marker.begin(delivery_id, self._clearance, self._columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield them, marked."""
        if self._marking is None or self._delivery_id is None:
            raise RuntimeError("rows of 三级 leave within a delivery only: bind them first")
        try:
            for batch in self._rows.batches():
                yield self._mark(batch, self._marking)
        finally:
            self._marker.note(self._delivery_id, self._changed)

    def read_all(self) -> pa.Table:
        """Return all of them at once, marked."""
        with_mark = list(self.batches())
        return pa.Table.from_batches(with_mark, schema=self.schema)

    def close(self) -> None:
        """Let go of what is left."""
        self._rows.close()

    def _mark(self, batch: pa.RecordBatch, marking: Marking) -> pa.RecordBatch:
        columns = list(batch.columns)
        for index, name in enumerate(batch.schema.names):
            decimals = self._columns.get(name)
            if decimals is None:
                continue
            before = columns[index].to_pylist()
            after = [None if value is None else marking.mark(value, decimals) for value in before]
            self._changed += sum(old != new for old, new in zip(before, after, strict=True) if old == old)
            columns[index] = pa.array(after, columns[index].type)
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def bind(rows: Rows, delivery_id: int) -> None:
    """Say to which delivery rows belong; rows without a mark do not care."""
    if isinstance(rows, MarkedRows):
        rows.bind(delivery_id)


def is_marked(rows: Rows) -> bool:
    """True if rows get a mark while they are read."""
    return isinstance(rows, MarkedRows)
