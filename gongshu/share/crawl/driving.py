"""The thread beside the served node that reads whatever catalogue is due, a few parties at a time."""

import logging
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from gongshu.errors import GongshuError
from gongshu.share.crawl.crawler import Crawler

_logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often the table is looked at for parties that are due."""
AFTER_ERROR_S = 5.0


class CrawlLoop:
    """Starts and stops the reading; what is read is decided by the crawler."""

    def __init__(self, crawler: Crawler, stopping: threading.Event, parallel_max: int) -> None:
        self._crawler = crawler
        self._stopping = stopping
        self._parallel_max = parallel_max
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="crawl", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the pages under way; what was read is kept and gone on with."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def is_running(self) -> bool:
        """True while the thread is there."""
        return self._thread is not None

    def step(self) -> int:
        """Read everything that is due now and return how many parties that were, failures included."""
        count = 0
        if not self._crawler.due():
            return 0
        with ThreadPoolExecutor(self._parallel_max, thread_name_prefix="crawl") as pool:
            running: set[Future[bool]] = {pool.submit(self._one) for _ in range(self._parallel_max)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    if future.result():
                        count += 1
                        running.add(pool.submit(self._one))
        return count

    def _one(self) -> bool:
        """Read one party that is due; True if there was one, also if it could not be read: that is noted with it."""
        try:
            return not self._stopping.is_set() and self._crawler.crawl_due() is not None
        except GongshuError:
            return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause_s = LOOK_S
            try:
                self.step()
            except Exception as error:  # noqa: BLE001  # supervisor: reading goes on after a database was away
                _logger.error("reading catalogues stopped for a moment: %s (%s)", type(error).__name__, error)
                pause_s = AFTER_ERROR_S
            self._stopping.wait(pause_s)
