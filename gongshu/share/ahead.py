"""Batches read in a thread of their own, a few ahead of who writes them: fetching and storing go on at once."""

import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator

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
        if not sys.is_finalizing():  # the helper is frozen then, perhaps with the lock in its hands
            ahead.stop()


class _Ahead:
    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._waiting: deque[pa.RecordBatch] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_wanted = True
        self._fault: BaseException | None = None
        # A daemon: an iterator that nobody closed keeps no process from ending.
        self._helper = threading.Thread(target=self._run, name="share-ahead", daemon=True)
        self._helper.start()

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
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        with self._changed:
            self._is_wanted = False
            self._changed.notify()
        self._helper.join()

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
        except BaseException as fault:  # noqa: BLE001  # raised where the batches are taken
            self._fault = fault
        finally:
            with self._changed:
                self._is_wanted = False
                self._changed.notify()


def _size(batch: pa.RecordBatch) -> int:
    return max(int(batch.nbytes), held_bytes(batch))
