"""What happens when a contract ends: the key is shredded, the files go, the provider gets a signed proof.

Each step is written down when it is done, and doing it twice is the same as once; whatever kills the process, the next
round goes on from there. Reading ends before all that, with the contract: the gate asks the terms, not this job.
"""

import fcntl
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from gongshu.database import Database
from gongshu.errors import GongshuError, NotFound
from gongshu.model.audit import AuditEvent, AuditSink
from gongshu.model.ids import DatasetId
from gongshu.secure.keys import KeyStore
from gongshu.share.agreements import find_agreement
from gongshu.share.keeping import store
from gongshu.share.keeping.chain import PROOF_DOMAIN, canonical, hash_of, moment, sign
from gongshu.share.keeping.counting import Counted, CountedClock
from gongshu.share.keeping.judging import BINDING, delete_at, why_ended
from gongshu.share.keeping.model import Deletion, File, Key, KeyState
from gongshu.share.keeping.ports import Catalogue, Post
from gongshu.share.keeping.receipts import PATH as USAGE_PATH
from gongshu.share.keeping.vault import KeyVault
from gongshu.share.model import Agreement
from gongshu.share.ports import Clock

_logger = logging.getLogger(__name__)

PATH = "/share/deletions"
METHOD = "AES-256-GCM key overwritten with random bytes, synced and unlinked; encrypted files unlinked"
MARK = "已删除 deleted: "
"""Stands before the catalogue title of what is gone."""
ARRIVING_MAX = timedelta(hours=6)
"""A file that was begun so long ago, is not whole, and is not being written has lost its process. Ours."""
REPLACED_AFTER = timedelta(hours=1)
"""A version that was replaced is deleted then: queries that began on it have ended. Ours."""
REMOVED_MAX = 500
NAMED_MAX = 4_000
"""Files that a proof names one by one, 800 KB; the protocol's messages are read up to 1 MiB. Ours."""
TELL_AGAIN = timedelta(minutes=1)
TELL_LATEST = timedelta(hours=6)


class Ending:
    """Ends keys, one step at a time."""

    def __init__(
        self,
        database: Database,
        vault: KeyVault,
        folder: Path,
        catalogue: Catalogue,
        keys: KeyStore,
        audit: AuditSink,
        clock: Clock,
        counting: CountedClock,
    ) -> None:
        self._database = database
        self._vault = vault
        self._folder = folder
        self._catalogue = catalogue
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._counting = counting

    def run(self, post: Post | None) -> int:
        """Do all that is due; without a wire, proofs wait. Return how many steps were taken."""
        held = self._in(KeyState.HELD)
        counted = self._look(held)
        if counted.held_since is not None and post is not None and self._counting.may_ask():
            for party in sorted({key.counterparty for key in held}):
                with suppress(GongshuError):
                    post(party, USAGE_PATH, b'{"receipts":[]}')  # whatever the answer is, it says when it was given
            counted = self._look(held)
        steps = sum(self._end_if_due(key, counted) for key in held)
        steps += self._sweep(counted)
        for state, act in ((KeyState.ENDING, self._shred), (KeyState.SHREDDED, self._prove)):
            for key in self._in(state):
                act(key)
                steps += 1
        if post is not None:
            steps += sum(self._tell(key, post) for key in self._in(KeyState.PROVED))
        return steps

    def deletions(self) -> list[Deletion]:
        """Return each key that had to go and where that stands."""
        past = [state for state in KeyState if state is not KeyState.HELD]
        lines = []
        with self._database.connect() as connection:
            for key in store.keys_in(connection, past):
                files = store.files_under(connection, key.key_id)
                line = Deletion(
                    direction="out",
                    agreement_id=key.agreement_id,
                    counterparty=key.counterparty,
                    state=key.state,
                    since=key.made_at,
                    proved_at=key.shredded_at,
                    fingerprint=key.fingerprint,
                    files=sum(1 for file in files if _is_seen(file)),
                    reason=key.reason,
                )
                lines.append(line)
        return lines

    def _in(self, state: KeyState) -> list[Key]:
        with self._database.connect() as connection:
            return store.keys_in(connection, [state])

    def _look(self, held: Sequence[Key]) -> Counted:
        return self._counting.look(max((key.made_at for key in held), default=None))

    def _end_if_due(self, key: Key, counted: Counted) -> int:
        """Mark a key whose contract is over; delete single files whose time is over under one that goes on."""
        try:
            with self._database.connect() as connection:
                agreement = find_agreement(connection, key.agreement_id)
                is_aging = agreement.terms.delete_after_s is not None  # else no file ends before its contract
                files = store.files_under(connection, key.key_id, standing=True) if is_aging else []
        except GongshuError as fault:
            # Nothing can be read under it; destroying evidence because it cannot be read would be rash.
            _logger.error("the contract of received data cannot be judged: %s (%s)", fault.code, fault)
            return 0
        over = [file for file in files if _is_over(file, agreement, counted.at)]
        why = why_ended(agreement, counted.at)
        if why is None and (not over or len(over) < len(files)):
            self._remove(over)
            return len(over)
        reason = why or f"its data were to be deleted {agreement.terms.delete_after_s} s after delivery"
        if agreement.status in BINDING:
            reason = f"{reason}; the time of this: {counted.basis}"
        with self._database.begin() as connection:
            if store.move_key(connection, key, state=KeyState.ENDING, reason=reason[:2000]):
                self._write("copy.ending", key, {"reason": reason[:300]})
        return 1

    def _shred(self, key: Key) -> None:
        self._vault.shred(key.fingerprint)
        with self._database.begin() as connection:
            if store.move_key(connection, key, state=KeyState.SHREDDED, shredded_at=self._clock()):
                self._write("copy.shredded", key, {"key": key.fingerprint})

    def _prove(self, key: Key) -> None:
        """Delete the files, close the catalogue's entries, and write the proof, signed."""
        with self._database.connect() as connection:
            files = store.files_under(connection, key.key_id)
            versions = store.versions_under(connection, key.key_id)
        self._remove([file for file in files if file.deleted_at is None])
        for version in versions:
            if version.is_current:
                self._mark(version.dataset_id, version.columns)
        with self._database.begin() as connection:
            for version in versions:
                store.hide_version(connection, version.version_id)
            gone = store.files_under(connection, key.key_id)
            text = canonical(self._proof(key, gone))
            signature = sign(PROOF_DOMAIN, text, self._keys.sign)
            if store.move_key(connection, key, state=KeyState.PROVED, proof=text, signature=signature):
                self._write("copy.deleted", key, {"files": len(gone), "datasets": [v.dataset_id for v in versions]})

    def _proof(self, key: Key, files: list[File]) -> dict[str, Any]:
        assert key.shredded_at is not None, "the step before wrote it"
        return {
            "contract": key.agreement_id,
            "key": key.fingerprint,
            "reason": key.reason,
            "method": METHOD,
            "shredded_at": moment(key.shredded_at),
            "written_at": moment(self._clock()),
            "files": self._named([file for file in files if _is_seen(file)]),
        }

    def _named(self, files: Sequence[File]) -> list[dict[str, Any]]:
        """Return the entries of files in a proof, which has to fit into a message: the oldest of very many as one."""
        entries: list[dict[str, Any]] = [
            {
                "name": file.name,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
                "deleted_at": moment(file.deleted_at or self._clock()),
            }
            for file in files
        ]
        rest = entries[: max(0, len(entries) - NAMED_MAX)]
        if not rest:
            return entries
        whole = {
            "name": f"{len(rest)} more, older; the hash is over their entries",
            "sha256": hash_of(canonical({"files": rest})),
            "size_bytes": sum(each["size_bytes"] for each in rest),
            "deleted_at": max(each["deleted_at"] for each in rest),
        }
        return [whole, *entries[len(rest) :]]

    def _tell(self, key: Key, post: Post) -> int:
        """Send the proof; a provider that does not take it is asked again, with growing distance."""
        now = self._clock()
        if key.next_at is not None and key.next_at > now:
            return 0
        body = orjson.dumps({"body": orjson.loads(key.proof), "signature": key.signature})
        try:
            is_taken = post(key.counterparty, PATH, body).is_ok
        except GongshuError:
            is_taken = False
        wait = min(TELL_AGAIN * 2 ** min(key.attempts, 12), TELL_LATEST)
        with self._database.begin() as connection:
            if is_taken:
                if store.move_key(connection, key, state=KeyState.TOLD, told_at=now):
                    self._write("deletion.told", key, {"party": key.counterparty})
            else:
                store.move_key(connection, key, attempts=key.attempts + 1, next_at=now + wait)
        return int(is_taken)

    def _sweep(self, counted: Counted) -> int:
        """Remove what nobody reads any more: half-written files, replaced versions, keys that never got a row."""
        now = self._clock()
        # By a clock that was set forward all looks replaced long ago; one that was set back makes what is new look old.
        replaced = min(now, counted.at) - REPLACED_AFTER
        kept = self._vault.kept()  # looked at before their rows: what is made meanwhile is in neither
        with self._database.connect() as connection:
            idle = store.idle_files(connection, begun_before=now - ARRIVING_MAX, replaced_before=replaced)
            known = store.fingerprints(connection)
        idle = [file for file in idle if not self._is_being_written(file)]
        self._remove(idle, forget=True)
        lost = [name for name, made_at in kept if name not in known and made_at < replaced]
        for fingerprint in lost:
            self._vault.shred(fingerprint)
        return len(idle) + len(lost)

    def _is_being_written(self, file: File) -> bool:
        """True while a process writes it, whose lock goes with it: by a clock that was set, a new file looks old."""
        with suppress(FileNotFoundError), self._partial(file).open("rb") as partial:
            try:
                fcntl.flock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _partial(self, file: File) -> Path:
        return self._folder / f".{file.name}.partial"

    def _remove(self, files: Sequence[File], *, forget: bool = False) -> None:
        """Delete files, many in one step: each step waits for the disk. With `forget` also rows that nothing needs."""
        for start in range(0, len(files), REMOVED_MAX):
            names = [file.name for file in files[start : start + REMOVED_MAX]]
            for file in files[start : start + REMOVED_MAX]:
                self._partial(file).unlink(missing_ok=True)
                (self._folder / file.name).unlink(missing_ok=True)
            with self._database.begin() as connection:
                store.mark_deleted(connection, names, self._clock())
                if forget:
                    store.forget_files(connection, names)

    def _mark(self, dataset_id: DatasetId, columns: bytes) -> None:
        """Say in the catalogue that the data are gone; the entry stays, because records name it."""
        try:
            found = self._catalogue.dataset(dataset_id)
        except NotFound:
            return
        if not found.title.startswith(MARK):
            schema = pa.ipc.read_schema(pa.py_buffer(columns))
            self._catalogue.register_table(
                table=dataset_id,
                title=f"{MARK}{found.title}",
                schema=schema,
                sample=None,
                origin=found.origin,
                asset=found.asset,
            )

    def _write(self, action: str, key: Key, details: Mapping[str, Any]) -> None:
        self._audit.write(AuditEvent(self._clock(), "system:share", action, key.agreement_id, "ok", dict(details)))


def _is_seen(file: File) -> bool:
    """True unless it was never whole, or its rows lie in a larger file."""
    return file.is_whole and file.replaced_at is None


def _is_over(file: File, agreement: Agreement, now: datetime) -> bool:
    end = delete_at(agreement.terms, file.made_at)
    return end is not None and end < now
