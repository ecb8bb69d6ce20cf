"""Kept data in the database: keys, versions and files as rows. No file is touched here."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gongshu.model.ids import DatasetId, PartyId
from gongshu.model.sealed import SealedReport
from gongshu.share.keeping.model import File, Key, KeyState, Version
from gongshu.share.keeping.tables import kept_files, kept_keys, kept_version_keys, kept_versions

_K, _V, _F = kept_keys.c, kept_versions.c, kept_files.c
_SEEN = (_F.is_whole, _F.replaced_at.is_(None), _F.deleted_at.is_(None))


def insert_key(connection: sa.Connection, agreement_id: str, counterparty: str, fingerprint: str, at: datetime) -> int:
    """Write down a key that lies in the vault; return its id."""
    values = {"agreement_id": agreement_id, "counterparty": counterparty, "fingerprint": fingerprint}
    row = connection.execute(sa.insert(kept_keys).values(**values, state=KeyState.HELD, made_at=at))
    assert row.inserted_primary_key is not None, "the table has a serial key"
    return int(row.inserted_primary_key[0])


def held_key(connection: sa.Connection, agreement_id: str) -> Key | None:
    """Return the key under which new deliveries of a contract are kept, None if there is none yet."""
    query = sa.select(kept_keys).where(_K.agreement_id == agreement_id, _K.state == KeyState.HELD)
    row = connection.execute(query.order_by(_K.key_id.desc()).limit(1)).first()
    return key_of(row) if row is not None else None


def are_held(connection: sa.Connection, keys: Collection[Key]) -> bool:
    """Return whether all these keys are held, and let none be moved on before the transaction ends."""
    ids = [key.key_id for key in keys]
    query = sa.select(_K.key_id).where(_K.key_id.in_(ids), _K.state == KeyState.HELD).with_for_update()
    return len(connection.execute(query).all()) == len(ids)


def keys_in(connection: sa.Connection, states: Collection[KeyState]) -> list[Key]:
    """Return the keys in these states, oldest first."""
    rows = connection.execute(sa.select(kept_keys).where(_K.state.in_(list(states))).order_by(_K.key_id))
    return [key_of(row) for row in rows]


def move_key(connection: sa.Connection, key: Key, **values: Any) -> bool:
    """Change a key that still stands where it was seen; False if another process has moved it on meanwhile."""
    change = sa.update(kept_keys).where(_K.key_id == key.key_id, _K.state == key.state)
    return connection.execute(change.values(**values)).rowcount == 1


def fingerprints(connection: sa.Connection) -> set[str]:
    """Return the fingerprint of every key ever made."""
    return set(connection.execute(sa.select(_K.fingerprint)).scalars())


def insert_version(
    connection: sa.Connection,
    dataset_id: DatasetId,
    *,
    kind: str,
    transfer_id: str,
    columns: bytes,
    keys: Iterable[Key],
    at: datetime,
) -> Version:
    """Write down a version that is not seen yet."""
    last = connection.execute(sa.select(sa.func.max(_V.number)).where(_V.dataset_id == dataset_id)).scalar()
    values = {"dataset_id": dataset_id, "number": (last or 0) + 1, "kind": kind, "transfer_id": transfer_id}
    row = connection.execute(sa.insert(kept_versions).values(**values, columns=columns, made_at=at))
    assert row.inserted_primary_key is not None, "the table has a serial key"
    version_id = int(row.inserted_primary_key[0])
    for key in keys:
        connection.execute(sa.insert(kept_version_keys).values(version_id=version_id, key_id=key.key_id))
    found = connection.execute(sa.select(kept_versions).where(_V.version_id == version_id)).one()
    return version_of(connection, found)


def current_version(connection: sa.Connection, dataset_id: str) -> Version | None:
    """Return the version that is read, None if none is, or the dataset is no copy."""
    row = connection.execute(sa.select(kept_versions).where(_V.dataset_id == dataset_id, _V.is_current)).first()
    return version_of(connection, row) if row is not None else None


def was_kept(connection: sa.Connection, dataset_id: str) -> bool:
    """Return whether the dataset ever held a copy that was whole."""
    query = sa.select(_V.version_id).join(kept_files, _F.version_id == _V.version_id)
    return connection.execute(query.where(_V.dataset_id == dataset_id, _F.is_whole).limit(1)).first() is not None


def emptied(connection: sa.Connection) -> frozenset[DatasetId]:
    """Return the datasets that held a copy, and hold none since it was deleted."""
    shown = sa.select(_V.dataset_id).where(_V.is_current)
    query = sa.select(_V.dataset_id).distinct().join(kept_files, _F.version_id == _V.version_id)
    found = connection.execute(query.where(_F.is_whole, _V.dataset_id.not_in(shown))).scalars()
    return frozenset(map(DatasetId, found))


def is_anything_kept(connection: sa.Connection) -> bool:
    """Return whether this node ever received anything."""
    return connection.execute(sa.select(_V.version_id).limit(1)).first() is not None


def current_versions(connection: sa.Connection) -> list[Version]:
    """Return what is read now, by dataset."""
    rows = connection.execute(sa.select(kept_versions).where(_V.is_current).order_by(_V.dataset_id)).all()
    return [version_of(connection, row) for row in rows]


def versions_of_many(connection: sa.Connection, files_min: int) -> list[Version]:
    """Return what is read now and lies in so many files."""
    counted = sa.select(_F.version_id).where(*_SEEN).group_by(_F.version_id).having(sa.func.count() >= files_min)
    rows = connection.execute(sa.select(kept_versions).where(_V.is_current, _V.version_id.in_(counted))).all()
    return [version_of(connection, row) for row in rows]


def versions_under(connection: sa.Connection, key_id: int) -> list[Version]:
    """Return every version that needs a key, current or not."""
    joined = sa.select(kept_versions).join(kept_version_keys, kept_version_keys.c.version_id == _V.version_id)
    rows = connection.execute(joined.where(kept_version_keys.c.key_id == key_id).order_by(_V.version_id)).all()
    return [version_of(connection, row) for row in rows]


def show_version(connection: sa.Connection, version: Version) -> None:
    """Let a version be the one that is read."""
    others = sa.update(kept_versions).where(_V.dataset_id == version.dataset_id, _V.version_id != version.version_id)
    connection.execute(others.values(is_current=False))
    connection.execute(sa.update(kept_versions).where(_V.version_id == version.version_id).values(is_current=True))


def hide_version(connection: sa.Connection, version_id: int) -> None:
    """Let a version be read no more."""
    connection.execute(sa.update(kept_versions).where(_V.version_id == version_id).values(is_current=False))


def count_read(connection: sa.Connection, version_id: int, reads_max: int | None) -> bool:
    """Count one reading of a version; False if none is left. Two callers never share the last one."""
    change = sa.update(kept_versions).where(_V.version_id == version_id)
    if reads_max is not None:
        change = change.where(_V.reads < reads_max)
    return connection.execute(change.values(reads=_V.reads + 1)).rowcount == 1


def insert_file(connection: sa.Connection, name: str, version_id: int, at: datetime) -> None:
    """Write down a file that is about to be written."""
    connection.execute(sa.insert(kept_files).values(name=name, version_id=version_id, made_at=at))


def finish_file(connection: sa.Connection, name: str, report: SealedReport, received: datetime) -> bool:
    """Write down that a file is whole, and when its rows came; False if it was given up meanwhile."""
    change = sa.update(kept_files).where(_F.name == name, _F.deleted_at.is_(None))
    values = {"rows": report.rows, "size_bytes": report.size_bytes, "sha256": report.sha256, "made_at": received}
    return connection.execute(change.values(is_whole=True, **values)).rowcount == 1


def replace_files(connection: sa.Connection, names: Sequence[str], at: datetime) -> bool:
    """Take files out of sight because their rows lie in another one; False if one of them was gone already."""
    change = sa.update(kept_files).where(_F.name.in_(names), _F.replaced_at.is_(None), _F.deleted_at.is_(None))
    return connection.execute(change.values(replaced_at=at)).rowcount == len(names)


def forget_files(connection: sa.Connection, names: Sequence[str]) -> None:
    """Remove the rows of those files whose rows lie in another one."""
    connection.execute(sa.delete(kept_files).where(_F.name.in_(names), _F.replaced_at.is_not(None)))


def drop_unfinished(connection: sa.Connection, name: str) -> None:
    """Remove the row of a file that was given up before it was whole, and is not there."""
    connection.execute(sa.delete(kept_files).where(_F.name == name, _F.is_whole.is_(False)))


def mark_deleted(connection: sa.Connection, names: Sequence[str], at: datetime) -> None:
    """Write down that files are gone."""
    connection.execute(sa.update(kept_files).where(_F.name.in_(names), _F.deleted_at.is_(None)).values(deleted_at=at))


def files_under(connection: sa.Connection, key_id: int, *, standing: bool = False) -> list[File]:
    """Return every file that was ever encrypted with a key, oldest first; with `standing` those that can be read."""
    query = sa.select(kept_files).join(kept_version_keys, kept_version_keys.c.version_id == _F.version_id)
    query = query.where(kept_version_keys.c.key_id == key_id, *(_SEEN if standing else ()))
    rows = connection.execute(query.order_by(_F.made_at, _F.name))
    return [File(**row._mapping) for row in rows]


def idle_files(connection: sa.Connection, *, begun_before: datetime, replaced_before: datetime) -> list[File]:
    """Return files that nobody reads: never finished, or replaced, alone or with their version, long enough ago."""
    newer = kept_versions.alias("newer")
    is_replaced = sa.select(newer.c.version_id).where(
        newer.c.dataset_id == _V.dataset_id, newer.c.is_current, newer.c.made_at <= replaced_before
    )
    unfinished = sa.and_(_F.is_whole.is_(False), _F.made_at <= begun_before)
    replaced = sa.and_(_F.is_whole, _V.is_current.is_(False), is_replaced.exists())
    merged = _F.replaced_at <= replaced_before
    query = sa.select(kept_files).join(kept_versions, _V.version_id == _F.version_id)
    rows = connection.execute(query.where(_F.deleted_at.is_(None), sa.or_(unfinished, replaced, merged)))
    return [File(**row._mapping) for row in rows]


def key_of(row: Any) -> Key:
    """Return the row as a value."""
    names = Key.__slots__
    values = {name: getattr(row, name) for name in names}
    return Key(**values | {"state": KeyState(row.state), "counterparty": PartyId(row.counterparty)})


def version_of(connection: sa.Connection, row: Any) -> Version:
    """Return the row as a value, with its keys and its readable files."""
    keys = sa.select(kept_keys).join(kept_version_keys, kept_version_keys.c.key_id == _K.key_id)
    keys = keys.where(kept_version_keys.c.version_id == row.version_id).order_by(_K.key_id)
    files = sa.select(kept_files).where(_F.version_id == row.version_id, *_SEEN)
    return Version(
        version_id=row.version_id,
        dataset_id=DatasetId(row.dataset_id),
        number=row.number,
        kind=row.kind,
        transfer_id=row.transfer_id,
        columns=row.columns,
        is_current=row.is_current,
        reads=row.reads,
        made_at=row.made_at,
        keys=tuple(key_of(key) for key in connection.execute(keys)),
        files=tuple(File(**file._mapping) for file in connection.execute(files.order_by(_F.made_at, _F.name))),
    )
