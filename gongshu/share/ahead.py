"""Batches read in a thread of their own, a few ahead of who writes them: fetching and storing go on at once."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from gongshu.share.unfolding import held_bytes

WAITING_BYTES_MAX = 64 * 1024 * 1024
"""What may wait between reading and writing, beside one batch of any size. Ours."""


def read_ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """Yield the batches in their order; what their source raises is raised here, behind the batches before it.

    When the iterator is closed, reading has ended: the source is nobody's any more.
    Cost: a thread; `WAITING_BYTES_MAX` and two batches in memory.
    """
    ahead = _Ahead(batches)
    try:
        yield from ahead.all()
    finally:
        ahead.stop()


class _Ahead:
    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._waiting: deque[pa.RecordBatch] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_wanted = True
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="share-ahead")
        self._reading = self._helper.submit(self._run)

    def all(self) -> Iterator[pa.RecordBatch]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._is_wanted)
                if not self._waiting:
                    break
                batch = self._waiting.popleft()
                self._bytes -= _size(batch)
                self._changed.notify()
            yield batch
        self._reading.result()

    def stop(self) -> None:
        with self._changed:
            self._is_wanted = False
            self._changed.notify()
        self._helper.shutdown()

    def _run(self) -> None:
        try:
            for batch in self._batches:
                with self._changed:
                    self._changed.wait_for(lambda: self._bytes < WAITING_BYTES_MAX or not self._is_wanted)
                    if not self._is_wanted:
                        return
                    self._waiting.append(batch)
                    self._bytes += _size(batch)
                    self._changed.notify()
        finally:
            with self._changed:
                self._is_wanted = False
                self._changed.notify()


def _size(batch: pa.RecordBatch) -> int:
    return max(int(batch.nbytes), held_bytes(batch))
