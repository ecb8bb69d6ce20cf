"""Room on the disk: nothing that arrives may take the last of it."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from gongshu.share.errors import SpoolFull

FREE_BYTES_MIN = 1024**3
"""A delivery ends before it takes the last of the disk. More than what is written between two looks. Ours."""

T = TypeVar("T")


def require_room(folder: Path) -> None:
    """Return if the disk on which a folder lies has room. Raises: SpoolFull."""
    if shutil.disk_usage(folder).free < FREE_BYTES_MIN:
        raise SpoolFull(folder=folder, free_bytes=FREE_BYTES_MIN)


def with_room(parts: Iterable[T], folder: Path) -> Iterator[T]:
    """Yield the parts that are written to a folder, while there is room. Raises: SpoolFull."""
    for part in parts:
        require_room(folder)
        yield part
