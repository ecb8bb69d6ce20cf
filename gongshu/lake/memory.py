"""Give memory back to the system after a burst of work, so that a process that waits is small."""

import ctypes
import gc
import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa


def release_memory() -> None:
    """Return what Arrow and the C library keep for reuse."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)


def without_pandas() -> None:
    """Keep Arrow from loading pandas, which it does to look at a Python list, in a process that has no use for it.

    It saves 60 MB and half a second. Called first thing in `main` of processes of our own, never in a library.
    """
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out of this process", name="pandas")
