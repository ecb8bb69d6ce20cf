"""Makes few large files of the many small ones that a stream leaves; encrypted all the way, and seen in one step.

The new file's row is there before the file, and one transaction shows it and takes the old ones out of sight: a kill at
any moment leaves either. Queries that began on the old ones end on them; they are deleted an hour later. Decision 0096.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.sealed import SealedFile, SealedReport, SealedRows, SealedStorage
from gongshu.share.keeping import store
from gongshu.share.keeping.law import agreements_of, bound_to
from gongshu.share.keeping.model import File, KeyState, Version
from gongshu.share.keeping.room import with_room
from gongshu.share.keeping.vault import KeyVault, file_key
from gongshu.share.ports import Clock

_logger = logging.getLogger(__name__)

FILES_MIN, FILES_MAX = 32, 1000
"""So many small neighbours become one, and no more at once. Ours: a query opens a hundred files in the time of one."""
GROWS_BY = 16
"""Files are merged with files of their size: each row is written anew once for each sixteenfold."""
LARGE_ROWS = GROWS_BY**5
"""A file of a million rows is large enough."""
SPAN_SHARE = 100
"""Where data are to be deleted so long after they came, files are merged that came within a hundredth of it: the file
is deleted when the oldest of its rows is due."""


def choose_files(files: Sequence[File], span_max: timedelta | None) -> list[File]:
    """Return neighbours to be merged, smallest first; empty if there are too few of any size. Pure.

    `files` are in the order in which they came, `span_max` is how far apart they may have come.
    """
    for limit in (GROWS_BY**power for power in range(1, 6)):
        run: list[File] = []
        for file in files:
            is_near = not run or span_max is None or file.made_at - run[0].made_at <= span_max
            if file.rows >= limit or not is_near or sum(each.rows for each in run) >= LARGE_ROWS:
                if len(run) >= FILES_MIN:
                    return run
                run = []
            if file.rows < limit:
                run.append(file)
                if len(run) == FILES_MAX:
                    return run
        if len(run) >= FILES_MIN:
            return run
    return []


class Merger:
    """Merges for one node. Processes may do it at once: one of them succeeds, the others have worked in vain."""

    def __init__(
        self, database: Database, vault: KeyVault, storage: SealedStorage, folder: Path, audit: AuditSink, clock: Clock
    ) -> None:
        self._database = database
        self._vault = vault
        self._storage = storage
        self._folder = folder
        self._audit = audit
        self._clock = clock

    def run(self) -> int:
        """Merge what has become many, and return how many files became one."""
        with self._database.connect() as connection:
            many = store.versions_of_many(connection, FILES_MIN)
        return sum(self._merge_if_sound(version) for version in many)

    def _merge_if_sound(self, version: Version) -> int:
        """One dataset that cannot be read, or finds no room, leaves the others their turn."""
        try:
            return self._merge(version)
        except (GongshuError, OSError) as fault:
            code = fault.code if isinstance(fault, GongshuError) else type(fault).__name__
            _logger.warning("the small files of %s stay as they are: %s (%s)", version.dataset_id, code, fault)
            return 0

    def _merge(self, version: Version) -> int:
        if any(key.state is not KeyState.HELD for key in version.keys):
            return 0
        try:
            files = choose_files(version.files, self._span_max(version))
        except GongshuError:  # a contract that cannot be read opens nothing
            return 0
        if not files:
            return 0
        name, at = f"{secrets.token_hex(16)}.sealed", self._clock()
        with self._database.begin() as connection:
            store.insert_file(connection, name, version.version_id, at)
        try:
            self._rewrite(version, name, files, at)
        except BaseException as fault:
            (self._folder / name).unlink(missing_ok=True)
            with self._database.begin() as connection:
                store.drop_unfinished(connection, name)
            if isinstance(fault, _TooLate):
                return 0
            raise
        return len(files)

    def _rewrite(self, version: Version, name: str, files: Sequence[File], at: datetime) -> None:
        keys = [self._vault.open(key.fingerprint) for key in version.keys]
        columns = pa.ipc.read_schema(pa.py_buffer(version.columns))
        opened = SealedRows(columns, tuple(self._sealed(keys, version, file.name) for file in files))
        batches = with_room(self._storage.read_sealed(opened), self._folder)
        report = self._storage.write_sealed(self._sealed(keys, version, name), columns, batches)
        assert report.rows == sum(file.rows for file in files), "no row is lost"
        self._show(version, name, report, files, at)

    def _show(self, version: Version, name: str, report: SealedReport, files: Sequence[File], at: datetime) -> None:
        with self._database.begin() as connection:
            if not store.are_held(connection, version.keys):
                raise _TooLate
            if not store.replace_files(connection, [file.name for file in files], at):
                raise _TooLate
            if not store.finish_file(connection, name, report, min(file.made_at for file in files)):
                raise _TooLate
            bound = sorted({key.agreement_id for key in version.keys})
            details: Mapping[str, Any] = {"agreements": bound, "files": len(files), "rows": report.rows}
            event = AuditEvent(at, "system:share", "data.merged", version.dataset_id, "ok", details)
            self._audit.write(event)

    def _sealed(self, keys: Sequence[bytes], version: Version, name: str) -> SealedFile:
        return SealedFile(self._folder / name, file_key(keys, name), bound_to(version, name))

    def _span_max(self, version: Version) -> timedelta | None:
        with self._database.connect() as connection:
            terms = [agreement.terms for agreement in agreements_of(connection, version)]
        shortest = min((each.delete_after_s for each in terms if each.delete_after_s is not None), default=None)
        return None if shortest is None else timedelta(seconds=shortest / SPAN_SHARE)


class _TooLate(Exception):
    """The contract ended meanwhile, or another process was first; what was written is thrown away."""
