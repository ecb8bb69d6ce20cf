"""Whoever goes away in the middle of a delivery lets nobody else wait for it."""

import threading
from collections.abc import Iterator

import anyio

from gongshu.share.dsp.api import _closing


def test_a_delivery_that_is_cut_is_closed_by_a_thread_and_not_by_the_loop() -> None:
    closed_by: list[threading.Thread] = []
    is_read = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            is_read.set()
            yield b"a"
            cut.cancel()
            yield b"b"
        finally:
            closed_by.append(threading.current_thread())

    class Cut:
        """Cancels what the loop runs, from another thread."""

        scope: anyio.CancelScope

        def cancel(self) -> None:
            anyio.from_thread.run_sync(self.scope.cancel)

    cut = Cut()

    async def serve() -> None:
        with anyio.CancelScope() as cut.scope:
            async for _ in _closing(pieces()):
                pass

    anyio.run(serve)
    assert is_read.is_set()
    assert closed_by
    assert closed_by[0] is not threading.current_thread()
