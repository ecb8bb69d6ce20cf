"""The key vault: one file a key, apart from data and database, readable by its owner alone, wrapped by the node's key.

A key is named by its fingerprint. Where the file is gone, the key is gone, and with it whatever was encrypted with it:
nothing else of the key exists on disk, and memory holds it only while a file is written or a query is planned.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gongshu.secure.keys import KeyStore
from gongshu.share.errors import CopyKeyGone, VaultUnsafe

KEY_BYTES = 32
_FORM = b"GSV1"
_NONCE_BYTES = 12
_WRAPPING = "vault: keys of received data"


class KeyVault:
    """The keys in one folder. Threads and processes may share it."""

    def __init__(self, folder: Path, keys: KeyStore) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o077:
            raise VaultUnsafe(path=folder, mode=f"{mode:04o}", expected="0700")
        self._folder = folder
        self._wrapping = AESGCM(keys.derived_secret(_WRAPPING))

    def make(self) -> str:
        """Make a random key and return its fingerprint; it is on disk when the call returns."""
        key = secrets.token_bytes(KEY_BYTES)
        fingerprint = hashlib.sha256(b"gongshu vault key\0" + key).hexdigest()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = _FORM + nonce + self._wrapping.encrypt(nonce, key, fingerprint.encode())
        partial = self._folder / f".{fingerprint}.partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(wrapped)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path(fingerprint))
        self._sync()
        return fingerprint

    def open(self, fingerprint: str) -> bytes:
        """Return a key. Raises: CopyKeyGone, VaultUnsafe."""
        path = self._path(fingerprint)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            wrapped = path.read_bytes()
        except FileNotFoundError as cause:
            raise CopyKeyGone(fingerprint=fingerprint[:16], reason="it is not in the vault") from cause
        if mode & 0o077:
            raise VaultUnsafe(path=path, mode=f"{mode:04o}", expected="0600")
        head = len(_FORM) + _NONCE_BYTES
        try:
            key = self._wrapping.decrypt(wrapped[len(_FORM) : head], wrapped[head:], fingerprint.encode())
        except (InvalidTag, ValueError) as cause:
            reason = "its file does not open with this node's key"
            raise CopyKeyGone(fingerprint=fingerprint[:16], reason=reason) from cause
        return key

    def shred(self, fingerprint: str) -> None:
        """Destroy a key: overwritten, synced, unlinked, the folder synced. What is gone already stays gone.

        A file system that copies on write, and backups, may hold the old bytes: they are wrapped by the node's key.
        """
        path = self._path(fingerprint)
        try:
            with path.open("r+b") as file:
                size = path.stat().st_size
                file.write(secrets.token_bytes(size))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return
        path.unlink(missing_ok=True)
        self._sync()

    def kept(self) -> list[tuple[str, datetime]]:
        """Return the fingerprint of each key, and when its file was written."""
        files = [path for path in self._folder.glob("*.key") if path.is_file()]
        return [(path.stem, datetime.fromtimestamp(path.stat().st_mtime, UTC)) for path in files]

    def _path(self, fingerprint: str) -> Path:
        assert fingerprint.isalnum(), "a fingerprint is hexadecimal"
        return self._folder / f"{fingerprint}.key"

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_key(keys: Sequence[bytes], name: str) -> bytes:
    """Return the key of one file: it needs all the contracts' keys, in the order of their ids, and the file's name.

    A key of its own for each file keeps the number of messages under one AES-GCM key small.
    Source: RFC 5869 (HKDF-SHA256); NIST SP 800-38D, 8.3 for the bound.
    """
    assert keys, "no file without a key"
    assert all(len(key) == KEY_BYTES for key in keys), "keys have one length, so their order can be told"
    derived = HKDF(hashes.SHA256(), length=KEY_BYTES, salt=name.encode(), info=b"gongshu sealed file 1")
    return derived.derive(b"".join(keys))
