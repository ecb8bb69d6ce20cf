"""The hash of a delivery's bytes, made beside its way: a helper thread hashes while the next piece is read or sent."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

AT_ONCE_BYTES = 1024 * 1024
"""Less than this is hashed where it is; a hop between threads costs as much as 100 KiB. Ours."""
WAITING_MAX = 8
"""Pieces that may wait, so that memory stays bounded when hashing is the slower part."""


class Digest:
    """SHA-256 of parts in order. Used by one thread at a time."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []
        self._size = 0
        self._waiting: deque[Future[None]] = deque()
        self._helper: ThreadPoolExecutor | None = None

    def update(self, part: bytes) -> None:
        """Take the next part, which nobody changes afterwards."""
        self._parts.append(part)
        self._size += len(part)
        if self._size >= AT_ONCE_BYTES:
            self._hand_over()

    def hexdigest(self) -> str:
        """Return the hash of everything so far, and let go of the helper until the next part."""
        while self._waiting:
            self._waiting.popleft().result()
        if self._helper is not None:
            self._helper.shutdown()
            self._helper = None
        self._absorb(self._parts)
        self._parts, self._size = [], 0
        return self._hash.hexdigest()

    def _hand_over(self) -> None:
        if self._helper is None:
            self._helper = ThreadPoolExecutor(1, thread_name_prefix="share-hash")
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft().result()
        self._waiting.append(self._helper.submit(self._absorb, self._parts))
        self._parts, self._size = [], 0

    def _absorb(self, parts: list[bytes]) -> None:
        for part in parts:
            self._hash.update(part)
