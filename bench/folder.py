"""A folder for one bench, on the disk that temporary files are on, removed afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty folder."""
    with tempfile.TemporaryDirectory(prefix="gongshu-bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)
