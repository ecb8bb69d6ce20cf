"""Files of the warehouse on a local disk, for the table format's library: every file is on disk before it counts.

The library's own local file layer imports half of the data-science stack (60 MB a process) and never calls fsync.
"""

import os
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlparse

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.typedef import EMPTY_DICT, Properties


def local_path(location: str) -> Path:
    """Return the path of a `file://` location or of a plain path.

    >>> local_path("file:///lake/a%20b").as_posix()
    '/lake/a b'
    """
    parsed = urlparse(location)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(location)


def sync_file(path: Path) -> None:
    """Flush a finished file and its folder entry to the disk."""
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _LocalInput(InputFile):
    def __len__(self) -> int:
        return local_path(self.location).stat().st_size

    def exists(self) -> bool:
        return local_path(self.location).exists()

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002
        return cast(InputStream, local_path(self.location).open("rb"))


class _SyncedStream:
    """Writes to a partial file; the real name appears only once all bytes are on disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: BinaryIO = self._partial.open("wb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if self._file.closed:
            return
        self._file.close()
        self._partial.replace(self._path)
        sync_file(self._path)

    def __enter__(self) -> "_SyncedStream":
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._partial.unlink(missing_ok=True)


class _LocalOutput(OutputFile):
    def __len__(self) -> int:
        return local_path(self.location).stat().st_size

    def exists(self) -> bool:
        return local_path(self.location).exists()

    def to_input_file(self) -> InputFile:
        return _LocalInput(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        path = local_path(self.location)
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} is already there")
        return cast(OutputStream, _SyncedStream(path))


class LocalFileIO(FileIO):
    """The file layer that the catalogue names in its property `py-io-impl`."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)

    def new_input(self, location: str) -> InputFile:
        """Return a file to read; it need not exist yet."""
        return _LocalInput(location)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return _LocalOutput(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file; one that is gone already is an error of the caller."""
        local_path(location if isinstance(location, str) else location.location).unlink()
