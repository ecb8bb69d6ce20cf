"""Password hashes: Argon2id.

Parameters: 64 MiB, 3 passes, 4 lanes, 16-byte salt, 32-byte hash. Source: RFC 9106 §4, second recommended option. One
hash takes about 0.1 s and 64 MiB, so at most two run at a time in a process.
"""

import threading

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB = 65_536
PASSES = 3
LANES = 4


class Passwords:
    """Makes and checks hashes with one set of parameters."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(passes, memory_kib, lanes, hash_len=32, salt_len=16, type=Type.ID)
        self._at_once = threading.BoundedSemaphore(2)
        salt, digest = "A" * 22, "A" * 43
        self.absent = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}"
        """Checked when there is no account, so that the answer takes as long; no known password fits it."""

    def encode(self, password: str) -> str:
        """Return the encoded hash, with its parameters and a fresh salt."""
        with self._at_once:
            return self._hasher.hash(password)

    def matches(self, password: str, encoded: str) -> bool:
        """True if the password belongs to the hash. Takes as long either way."""
        with self._at_once:
            try:
                return self._hasher.verify(encoded, password)
            except (VerificationError, InvalidHashError):
                return False

    def is_outdated(self, encoded: str) -> bool:
        """True if the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)
