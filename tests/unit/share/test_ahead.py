"""Reading ahead changes when batches are read, and nothing else."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pytest

from gongshu.share import ahead
from gongshu.share.ahead import WAITING_BYTES_MAX, read_ahead


def batch(number: int, size_bytes: int = 8) -> pa.RecordBatch:
    """Return a batch that is known by its first value."""
    return pa.record_batch({"a": pa.array([number] + [0] * (size_bytes // 8 - 1), pa.int64())})


def test_batches_keep_their_order_and_an_error_comes_behind_them() -> None:
    def source() -> Iterator[pa.RecordBatch]:
        for number in range(100):
            yield batch(number)
        raise ValueError("cut")

    batches = read_ahead(source())
    taken = [next(batches).column(0)[0].as_py() for _ in range(100)]
    assert taken == list(range(100))
    with pytest.raises(ValueError, match="cut"):
        next(batches)


def test_who_closes_early_finds_the_source_unused_afterwards() -> None:
    threads = threading.active_count()
    asked = []

    def source() -> Iterator[pa.RecordBatch]:
        for number in range(1000):
            asked.append(number)
            yield batch(number, WAITING_BYTES_MAX // 2)

    with closing(read_ahead(source())) as batches:
        assert next(batches).column(0)[0].as_py() == 0
    assert threading.active_count() == threads
    assert len(asked) <= 5, "no more than may wait was read"


def test_batches_of_nothing_do_not_wait_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WAITING_BYTES_MAX", 50_000)
    is_too_far = threading.Event()

    def source() -> Iterator[pa.RecordBatch]:
        for number in range(1000):
            if number == 100:
                is_too_far.set()
            yield pa.record_batch({"a": pa.nulls(1)})

    with closing(read_ahead(source())) as batches:
        next(batches)
        assert not is_too_far.wait(0.2)


_UNFINISHED = """
import itertools, sys
import pyarrow as pa
from gongshu.share.ahead import read_ahead

batch = pa.record_batch({"a": pa.array(range(1 << 20), pa.int64())})
g = read_ahead(itertools.repeat(batch))
next(g)
sys.exit(7)
"""


def test_a_process_ends_though_nobody_has_closed_what_it_reads() -> None:
    done = subprocess.run([sys.executable, "-c", _UNFINISHED], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (7, b"")
