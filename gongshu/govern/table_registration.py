"""A lake table becomes a dataset: its columns are proposed one by one, from names and the profile of a sample."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.govern import tables as t
from gongshu.govern.classify.profile import profile_column
from gongshu.govern.classify.propose import Classifier, propose_columns
from gongshu.govern.errors import DatasetUnknown, SchemaUnusable, TableTaken
from gongshu.govern.ledger import Ledger
from gongshu.govern.model import ChangeKind, Part, Proposal
from gongshu.govern.naming import decide_dataset_id
from gongshu.govern.registration import write_assets
from gongshu.govern.relabel import parents_of, relabel
from gongshu.govern.rows import (
    decode_proposal,
    encode_proposal,
    lock_catalogue,
    proposed_label,
)
from gongshu.govern.whole import is_below, propose_whole
from gongshu.model.dataset import DatasetKind
from gongshu.model.grade import GradeLabel, GradeStanding
from gongshu.model.ids import AssetId, DatasetId

UNIT_KEY = b"unit"
TITLE_KEY = b"title"
"""Arrow field metadata that a writer may set; both are shown to readers."""


class TableRegistrar:
    """Registers tables."""

    def __init__(
        self, database: Database, classifier: Classifier, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._classifier = classifier
        self._ledger = ledger
        self._clock = clock

    def register(
        self,
        *,
        table: str,
        title: str,
        schema: pa.Schema,
        sample: pa.Table | None,
        origin: str,
        asset: AssetId | None,
        parents: Sequence[DatasetId],
    ) -> DatasetId:
        """Return the table's dataset, registering it or recording what changed.

        Raises: DatasetUnknown for a parent that is not there, TableTaken, NameUnusable, SchemaUnusable.
        """
        _require_columns(table, schema)
        proposals = self._propose(schema, sample, f"{table} {title}")
        dataset_id = decide_dataset_id(table)
        changes: list[int] = []
        with self._database.begin() as connection:
            lock_catalogue(connection)
            _require_parents(connection, parents)
            row = connection.execute(sa.select(t.datasets).where(t.datasets.c.dataset_id == dataset_id)).one_or_none()
            if row is not None and row.lake_table != table:
                raise TableTaken(table=table, dataset_id=dataset_id)
            if row is None:
                self._insert(connection, dataset_id, table, title, origin, asset, proposals, schema)
                facts = {"table": table, "columns": len(schema), "origin": origin}
                changes.append(
                    self._ledger.record(connection, dataset_id, ChangeKind.REGISTERED, "system:catalogue", after=facts)
                )
            elif (row.title, row.origin) != (title, origin):
                connection.execute(
                    t.datasets.update().where(t.datasets.c.dataset_id == dataset_id).values(title=title, origin=origin)
                )
                changes.append(
                    self._ledger.record(
                        connection,
                        dataset_id,
                        ChangeKind.EXTENDED,
                        "system:catalogue",
                        before={"title": row.title, "origin": row.origin},
                        after={"title": title, "origin": origin},
                    )
                )
            altered = self._write_columns(connection, dataset_id, schema, proposals)
            if altered and row is not None:
                changes.append(
                    self._ledger.record(
                        connection, dataset_id, ChangeKind.COLUMNS_CHANGED, "system:catalogue", after=altered
                    )
                )
            changes += self._write_lineage(connection, dataset_id, parents)
            if row is None or altered or changes:
                changes += relabel(connection, self._ledger, dataset_id, reopens=bool(altered), now=self._clock())
        if changes:
            self._ledger.audit(changes)
        return dataset_id

    def _propose(self, schema: pa.Schema, sample: pa.Table | None, context: str) -> list[Proposal]:
        rules = self._classifier.check_rules
        profiles = {name: profile_column(sample.column(name), rules) for name in sample.column_names} if sample else {}
        columns = [(field.name, _metadata(field, UNIT_KEY), profiles.get(field.name)) for field in schema]
        return propose_columns(self._classifier, columns, context=context)

    def _insert(
        self,
        connection: sa.Connection,
        dataset_id: DatasetId,
        table: str,
        title: str,
        origin: str,
        asset: AssetId | None,
        proposals: Sequence[Proposal],
        schema: pa.Schema,
    ) -> None:
        if asset:
            write_assets(connection, [asset], self._clock())
        parts = [
            Part(name, _label_of(proposal), proposal) for name, proposal in zip(schema.names, proposals, strict=True)
        ]
        connection.execute(
            t.datasets.insert().values(
                dataset_id=dataset_id,
                kind=DatasetKind.TABLE.value,
                title=title,
                asset=asset,
                lake_table=table,
                origin=origin,
                owner="",
                first_seen=self._clock(),
                state_secret=False,
                search_text="",
                **proposed_label(propose_whole(parts, ())),
            )
        )

    def _write_columns(
        self, connection: sa.Connection, dataset_id: DatasetId, schema: pa.Schema, proposals: Sequence[Proposal]
    ) -> dict[str, Any]:
        """Bring the stored columns to the schema; return what is new, gone, retyped or now proposed otherwise."""
        known = {
            row.name: row
            for row in connection.execute(sa.select(t.columns).where(t.columns.c.dataset_id == dataset_id))
        }
        altered: dict[str, Any] = {}
        for name in known.keys() - set(schema.names):
            connection.execute(t.columns.delete().where(t.columns.c.dataset_id == dataset_id, t.columns.c.name == name))
            altered[name] = "removed"
        for position, (field, proposal) in enumerate(zip(schema, proposals, strict=True)):
            values = {
                "position": position,
                "type": duckdb_type(field.type),
                "title": _metadata(field, TITLE_KEY),
                "unit": _metadata(field, UNIT_KEY),
            }
            row = known.get(field.name)
            if row is None:
                connection.execute(
                    t.columns.insert().values(
                        dataset_id=dataset_id, name=field.name, **values, **proposed_label(proposal)
                    )
                )
                altered[field.name] = f"added {values['type']}"
                continue
            what = _what_changed(row, values, proposal)
            if what:
                altered[field.name] = what
                values |= proposed_label(proposal) | {"graded_alone": False}
            elif not _is_milder(proposal, decode_proposal(row.proposal)):
                values["proposal"] = encode_proposal(proposal)
            connection.execute(
                t.columns.update()
                .where(t.columns.c.dataset_id == dataset_id, t.columns.c.name == field.name)
                .values(**values)
            )
        return altered

    def _write_lineage(
        self, connection: sa.Connection, dataset_id: DatasetId, parents: Sequence[DatasetId]
    ) -> list[int]:
        known = {parent.dataset_id for parent in parents_of(connection, dataset_id, self._clock())}
        above = _ancestors(connection, parents)
        changes = []
        for parent in dict.fromkeys(parents):
            if parent in known or parent == dataset_id or dataset_id in above:
                continue
            connection.execute(t.lineage.insert().values(child=dataset_id, parent=parent, since=self._clock()))
            changes.append(
                self._ledger.record(
                    connection, dataset_id, ChangeKind.LINEAGE_ADDED, "system:catalogue", after={"parent": parent}
                )
            )
        return changes


def _require_columns(table: str, schema: pa.Schema) -> None:
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if not schema.names or repeated:
        reason = f"more than one column is named {repeated[0]!r}" if repeated else "it has no columns"
        raise SchemaUnusable(table=table, reason=reason)


def _is_milder(new: Proposal, old: Proposal) -> bool:
    """A later sample that happens to show less never lowers a proposal."""
    return is_below(new.grade, new.importance, old.grade, old.importance) or bool(set(old.markers) - set(new.markers))


def _what_changed(row: Any, values: dict[str, Any], proposal: Proposal) -> str:
    before = decode_proposal(row.proposal)
    if row.type != values["type"]:
        return f"{row.type} → {values['type']}"
    if row.unit != values["unit"]:
        return f"unit {row.unit or '?'} → {values['unit'] or '?'}"
    stricter = is_below(before.grade, before.importance, proposal.grade, proposal.importance)
    if stricter or set(proposal.markers) - set(before.markers):
        return f"now proposed {proposal.category}, grade {int(proposal.grade)}"
    return ""


def _require_parents(connection: sa.Connection, parents: Sequence[DatasetId]) -> None:
    known = set(
        connection.execute(sa.select(t.datasets.c.dataset_id).where(t.datasets.c.dataset_id.in_(parents))).scalars()
    )
    for parent in parents:
        if parent not in known:
            raise DatasetUnknown(dataset_id=parent)


def _ancestors(connection: sa.Connection, start: Sequence[DatasetId]) -> set[str]:
    """Return everything above: an edge that would close a circle is left out."""
    found: set[str] = set()
    waiting: list[str] = list(start)
    while waiting:
        child = waiting.pop()
        for parent in connection.execute(sa.select(t.lineage.c.parent).where(t.lineage.c.child == child)).scalars():
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _label_of(proposal: Proposal) -> GradeLabel:
    return GradeLabel(proposal.grade, proposal.importance, proposal.category, GradeStanding.PROPOSED, None)


def _metadata(field: pa.Field, key: bytes) -> str:
    value: bytes = (field.metadata or {}).get(key, b"")
    return value.decode()


_DUCKDB_TYPES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "halffloat": "FLOAT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "large_string": "VARCHAR",
    "string_view": "VARCHAR",
    "binary": "BLOB",
    "large_binary": "BLOB",
    "date32[day]": "DATE",
    "date64[ms]": "DATE",
    "null": "VARCHAR",
}


def duckdb_type(type_: pa.DataType) -> str:
    """Return the DuckDB name of an Arrow type, as readers see it.

    >>> duckdb_type(pa.timestamp("us", tz="UTC"))
    'TIMESTAMP WITH TIME ZONE'
    """
    if pa.types.is_timestamp(type_):
        return "TIMESTAMP WITH TIME ZONE" if type_.tz else "TIMESTAMP"
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision},{type_.scale})"
    if pa.types.is_dictionary(type_):
        return duckdb_type(type_.value_type)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"{duckdb_type(type_.value_type)}[]"
    if pa.types.is_time(type_):
        return "TIME"
    if pa.types.is_duration(type_):
        return "INTERVAL"
    return _DUCKDB_TYPES.get(str(type_), str(type_).upper())
