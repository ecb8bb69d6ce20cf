"""Some records of the audit log, each with the proof that it stands in the log that a signed checkpoint covers."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.secure.audit.leaf import decode_details
from gongshu.secure.audit.log import AuditLog
from gongshu.secure.audit.merkle import plan_inclusion_proofs
from gongshu.secure.tables import audit_entries

_E = audit_entries.c


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One record."""

    index: int
    leaf: bytes
    signature: bytes
    path: tuple[bytes, ...]
    """From the leaf upwards, to the root in the checkpoint."""


def read_excerpt(
    database: Database,
    log: AuditLog,
    *,
    objects: Collection[str],
    is_wanted: Callable[[str, str, Mapping[str, Any]], bool],
) -> tuple[str, list[Excerpt]]:
    """Return a checkpoint over the whole log, and the records about these objects that are wanted.

    `is_wanted` is asked with a record's action, object and details.
    Cost: the hash of every record of the log, once; about two seconds for a million.
    """
    note = log.checkpoint()
    size = int(note.split("\n")[1])
    with database.connect() as connection:
        query = sa.select(audit_entries).where(_E.record_index < size, _E.object.in_(sorted(objects)))
        found = [
            row
            for row in connection.execute(query.order_by(_E.record_index))
            if is_wanted(row.action, row.object, decode_details(row.leaf))
        ]
        hashes = sa.select(_E.leaf_hash).where(_E.record_index < size).order_by(_E.record_index)
        leaves = list(connection.execute(hashes).scalars()) if found else []
    paths = plan_inclusion_proofs(leaves, [row.record_index for row in found])
    return note, [Excerpt(r.record_index, r.leaf, r.signature, tuple(paths[r.record_index])) for r in found]
