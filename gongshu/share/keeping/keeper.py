"""Writes what arrives under a contract, and what is derived from it: encrypted, batch by batch, seen when whole.

The order is what makes a kill harmless: the key is in the vault before its row, the file's row is there before the
file, and one transaction at the end makes the version the one that is read. What a killed process left is swept later.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import NotFound
from gongshu.govern.classify.profile import SAMPLE_ROWS_MAX
from gongshu.govern.naming import decide_dataset_id
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId
from gongshu.model.sealed import SealedFile, SealedStorage
from gongshu.secure.gate.copies import ORIGIN
from gongshu.share.dsp.states import Side
from gongshu.share.errors import CopyForbidden, SelectionInvalid
from gongshu.share.keeping import store
from gongshu.share.keeping.judging import FIGURES, why_ended
from gongshu.share.keeping.law import CopyLawService, agreements_of, bound_to
from gongshu.share.keeping.model import Key, KeyState, Version
from gongshu.share.keeping.ports import Catalogue
from gongshu.share.keeping.room import with_room
from gongshu.share.keeping.vault import KeyVault, file_key
from gongshu.share.model import Agreement, Record
from gongshu.share.ports import Clock
from gongshu.share.selection import read_selection
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Operation

DERIVED, DELIVERY = "derived", "delivery"


class CopyKeeper:
    """Implements `share.ports.Keeper`, and writes derived data for the store of datasets."""

    def __init__(
        self,
        database: Database,
        vault: KeyVault,
        storage: SealedStorage,
        folder: Path,
        catalogue: Catalogue,
        law: CopyLawService,
        audit: AuditSink,
        clock: Clock,
    ) -> None:
        self._database = database
        self._vault = vault
        self._storage = storage
        self._folder = folder
        self._catalogue = catalogue
        self._law = law
        self._audit = audit
        self._clock = clock

    def keep(
        self,
        record: Record,
        agreement: Agreement,
        name: str,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        *,
        title: str,
        actor: str,
        append: bool = False,
        also: Callable[[sa.Connection, DatasetId], None] | None = None,
    ) -> DatasetId:
        """Keep a delivery; see `share.ports.Keeper`.

        Raises: CopyForbidden, NameUnusable, SchemaUnusable, and whatever the batches raise; nothing is kept then.
        """
        if agreement.side is not Side.CONSUMER:
            raise CopyForbidden(dataset=name[:200], reason="it is not received under a contract of ours as consumer")
        if why_not := why_ended(agreement, self._clock()):
            raise CopyForbidden(dataset=name[:200], reason=f"{agreement.agreement_id}: {why_not}")
        table = decide_dataset_id(name)
        self.require_free(table, agreement.counterparty)
        columns = self._storage.sealed_schema(table, schema)
        sampled = _Sampled(batches, schema)
        with self._database.begin() as connection:
            key = self._key_of(connection, agreement)
            version = self._joined(connection, table, record.process_id, key, columns) if append else None
            if version is None:
                kind = FIGURES if _holds_figures(schema.names) else DELIVERY
                version = self._new(connection, table, kind, record.process_id, columns, [key])
        received, written = self._clock(), self._write(version, sampled, columns)
        register: dict[str, Any] = {"title": title, "schema": schema, "origin": f"{ORIGIN}{record.counterparty}"}
        self._show(version, written, sampled.sample(), actor, register, received, also)
        return table

    def derive(
        self, table: DatasetId, data: pa.Table, *, title: str, origin: str, parents: Sequence[DatasetId], mode: str
    ) -> DatasetId | None:
        """Keep what was made from copies under the keys of all of them; None if no parent comes from a copy.

        Raises: CopyForbidden if a contract does not cover making other data, or one of the sources is gone.
        """
        with self._database.connect() as connection:
            if not store.is_anything_kept(connection):
                return None
            sources = {v.version_id: v for parent in parents for v in self._sources(connection, parent)}
            own = store.current_version(connection, table)
            if own is not None and mode == "append":
                sources[own.version_id] = own
            if not sources:
                self.require_free(table, "")
                return None
            for agreement in {
                a.agreement_id: a for v in sources.values() for a in agreements_of(connection, v)
            }.values():
                self._require_derivable(table, agreement)
        columns = self._storage.sealed_schema(table, data.schema)
        keys = {key.key_id: key for version in sources.values() for key in version.keys}
        with self._database.begin() as connection:
            if gone := [key for key in keys.values() if key.state is not KeyState.HELD]:
                raise CopyForbidden(dataset=table, reason=f"the contract {gone[0].agreement_id} of a source has ended")
            version = own if own is not None and mode == "append" and own.columns == _raw(columns) else None
            if version is None or {k.key_id for k in version.keys} != set(keys):
                ordered = [keys[key_id] for key_id in sorted(keys)]
                version = self._new(connection, table, DERIVED, "", columns, ordered)
        sampled = _Sampled(data.to_batches(), data.schema)
        written = self._write(version, sampled, columns)
        register = {"title": title, "schema": data.schema, "origin": origin, "parents": parents}
        received = min(file.made_at for source in sources.values() for file in source.files or (source,))
        self._show(version, written, sampled.sample(), origin, register, received)
        return table

    def require_free(self, table: DatasetId, party: str) -> None:
        """Return if a copy from this party may take the name: it is free, or holds such a copy.

        Raises: CopyForbidden; an empty party stands for data that are no copy.
        """
        with self._database.connect() as connection:
            if not party and store.current_version(connection, table) is not None:
                raise CopyForbidden(dataset=table, reason="other data cannot take its name")
        try:
            found = self._catalogue.dataset(table)
        except NotFound:
            return
        if party and found.origin != f"{ORIGIN}{party}":
            raise CopyForbidden(dataset=table, reason=f"the name belongs to data of another origin, {found.origin}")

    def _require_derivable(self, table: str, agreement: Agreement) -> None:
        if why_not := why_ended(agreement, self._clock()):
            raise CopyForbidden(dataset=table, reason=f"{agreement.agreement_id}: {why_not}")
        allowed = agreement.terms.operations
        if allowed and Operation.DERIVE not in allowed:
            raise CopyForbidden(
                dataset=table, reason=f"{agreement.agreement_id} does not cover making other data of it"
            )

    def _sources(self, connection: sa.Connection, parent: DatasetId) -> list[Version]:
        version = store.current_version(connection, parent)
        if version is not None:
            return [version]
        if store.was_kept(connection, parent):
            raise CopyForbidden(dataset=parent, reason="it was deleted with its contract")
        return self._law.sources(connection, parent)

    def _key_of(self, connection: sa.Connection, agreement: Agreement) -> Key:
        """The contract's key; two that deliver at once take turns on the contract's row."""
        locked = sa.select(share_agreements.c.status).where(share_agreements.c.agreement_id == agreement.agreement_id)
        connection.execute(locked.with_for_update())
        found = store.held_key(connection, agreement.agreement_id)
        if found is None:
            fingerprint = self._vault.make()
            store.insert_key(connection, agreement.agreement_id, agreement.counterparty, fingerprint, self._clock())
            found = store.held_key(connection, agreement.agreement_id)
        assert found is not None, "it was written in this transaction"
        return found

    def _joined(
        self, connection: sa.Connection, table: DatasetId, transfer_id: str, key: Key, columns: pa.Schema
    ) -> Version | None:
        found = store.current_version(connection, table)
        if found is None or found.transfer_id != transfer_id or found.columns != _raw(columns):
            return None
        return found if [k.key_id for k in found.keys] == [key.key_id] else None

    def _new(
        self,
        connection: sa.Connection,
        table: DatasetId,
        kind: str,
        transfer_id: str,
        columns: pa.Schema,
        keys: Sequence[Key],
    ) -> Version:
        return store.insert_version(
            connection,
            table,
            kind=kind,
            transfer_id=transfer_id,
            columns=_raw(columns),
            keys=keys,
            at=self._clock(),
        )

    def _write(self, version: Version, batches: Iterable[pa.RecordBatch], columns: pa.Schema) -> "_Written":
        name = f"{secrets.token_hex(16)}.sealed"
        with self._database.begin() as connection:
            store.insert_file(connection, name, version.version_id, self._clock())
        keys = [self._vault.open(key.fingerprint) for key in version.keys]
        sealed = SealedFile(self._folder / name, file_key(keys, name), bound_to(version, name))
        return _Written(name, self._storage.write_sealed(sealed, columns, with_room(batches, self._folder)))

    def _show(
        self,
        version: Version,
        written: "_Written",
        sample: pa.Table,
        actor: str,
        register: Mapping[str, Any],
        received: datetime,
        also: Callable[[sa.Connection, DatasetId], None] | None = None,
    ) -> None:
        """Register, and make the version the one that is read, unless its contract ended while it arrived.

        `received` is when the rows came to this node, for derived data the oldest of their sources.
        """
        try:
            self._catalogue.register_table(table=version.dataset_id, sample=sample, **register)
            self._finish(version, written, actor, received, also)
        except BaseException:
            (self._folder / written.name).unlink(missing_ok=True)
            raise

    def _finish(
        self,
        version: Version,
        written: "_Written",
        actor: str,
        received: datetime,
        also: Callable[[sa.Connection, DatasetId], None] | None,
    ) -> None:
        with self._database.begin() as connection:
            if store.are_held(connection, version.keys) and store.finish_file(
                connection, written.name, written.report, received
            ):
                store.show_version(connection, version)
                if also is not None:
                    also(connection, version.dataset_id)
                details = {
                    "agreements": sorted({key.agreement_id for key in version.keys}),
                    "version": version.number,
                    "rows": written.report.rows,
                    "bytes": written.report.size_bytes,
                    "keys": [key.fingerprint[:16] for key in version.keys],
                }
                event = AuditEvent(self._clock(), actor, "data.sealed", version.dataset_id, "ok", details)
                self._audit.write(event)
                return
        raise CopyForbidden(dataset=version.dataset_id, reason="its contract ended while it arrived")


class _Written:
    """A file that is whole on disk."""

    def __init__(self, name: str, report: Any) -> None:
        self.name = name
        self.report = report


class _Sampled:
    """Batches on their way, of which the first rows are remembered for the catalogue."""

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = batches
        self._schema = schema
        self._first: list[pa.RecordBatch] = []

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        wanted = SAMPLE_ROWS_MAX
        for batch in self._batches:
            if wanted > 0:
                self._first.append(batch.slice(0, wanted))
                wanted -= batch.num_rows
            yield batch

    def sample(self) -> pa.Table:
        """The rows remembered."""
        return pa.Table.from_batches(self._first, schema=self._schema)


def _holds_figures(names: Sequence[str]) -> bool:
    """True if the provider answered with figures over groups: it names them as they were asked for."""
    try:
        return bool(read_selection(names, ()).figures)
    except SelectionInvalid:
        return False


def _raw(columns: pa.Schema) -> bytes:
    return bytes(columns.serialize().to_pybytes())
