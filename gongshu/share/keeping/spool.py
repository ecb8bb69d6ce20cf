"""A nameless temporary file whose bytes reach the disk encrypted: for deliveries that have to arrive whole first.

The key lives in this process alone, so what a kill leaves on the disk is noise.
"""

import io
import secrets
import tempfile
from pathlib import Path
from typing import IO, Any, cast

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16


class SealedSpool(io.RawIOBase):
    """A file for one writer and reader; bytes are encrypted where they stand (AES-256 in counter mode)."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed with this file
        self._key = secrets.token_bytes(32)
        self._first = int.from_bytes(secrets.token_bytes(_BLOCK), "big")
        self._written = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True: at the end, where no byte was written before."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as in any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def write(self, data: Any) -> int:
        """Append bytes; a position that was written before would be encrypted with the same stream, and is refused."""
        place = self._file.tell()
        if place != self._written:
            raise io.UnsupportedOperation("a spool is written from its beginning to its end, once")
        raw = bytes(data)
        self._file.write(self._through(raw, place))
        self._written += len(raw)
        return len(raw)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        place = self._file.tell()
        raw = self._file.read(len(buffer))
        buffer[: len(raw)] = self._through(raw, place)
        return len(raw)

    def close(self) -> None:
        """Close; the bytes are gone with the file, the key with this object."""
        self._file.close()
        super().close()

    def _through(self, raw: bytes, place: int) -> bytes:
        block, inside = divmod(place, _BLOCK)
        counter = ((self._first + block) % (1 << 128)).to_bytes(_BLOCK, "big")
        stream = Cipher(algorithms.AES(self._key), modes.CTR(counter)).encryptor()
        return stream.update(bytes(inside) + raw)[inside:]


def open_spool(folder: Path | None = None) -> IO[bytes]:
    """Return an empty spool in a folder, which is made; by default the system's for temporary files."""
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cast("IO[bytes]", io.BufferedRandom(cast("Any", SealedSpool(folder)), 1 << 20))
