"""The writer process: `python -m gongshu.lake.writer --home HOME`. It moves readings from the log into the table.

One step commits what waits; a step that was cut off, by whatever, is done again from the log. SIGTERM ends the loop
between two steps, so nothing is left half done. The heavy libraries are loaded with the first readings.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gongshu.errors import GongshuError, Retry
from gongshu.garbage import search_rarely
from gongshu.lake.memory import release_memory, without_pandas
from gongshu.lake.service import COMMIT_ROWS_MAX, Lake

POLL_S = 0.5
UPKEEP_EVERY_S = 60.0
PAUSE_MAX_S = 30.0
"""After an error the next step waits, twice as long each time, up to this."""

_logger = logging.getLogger("gongshu.lake.writer")


@dataclass(frozen=True, slots=True)
class Pace:
    """When a commit is due."""

    commit_rows: int
    commit_every_s: float

    def is_due(self, *, waiting_rows: int, since_last_s: float) -> bool:
        """Return whether enough rows wait, or any wait for long enough.

        >>> Pace(commit_rows=100, commit_every_s=20.0).is_due(waiting_rows=1, since_last_s=20.0)
        True
        """
        return waiting_rows >= self.commit_rows or (waiting_rows > 0 and since_last_s >= self.commit_every_s)


class Writer:
    """The loop. It logs once when committing fails and once when it works again; normal work logs nothing."""

    def __init__(
        self, lake: Lake, pace: Pace, *, clock: Callable[[], datetime], stop: threading.Event, pause_s: float = POLL_S
    ) -> None:
        self._lake = lake
        self._pace = pace
        self._clock = clock
        self._stop = stop
        self._failing = False
        self._first_pause_s = pause_s
        self._pause_s = pause_s

    def run(self) -> None:
        """Work until `stop` is set; then commit what waits and return.

        Raises: GongshuError with retry `never`, such as WriterRunning's relatives: somebody has to look.
        """
        last_commit = last_upkeep = time.monotonic()
        while not self._stop.wait(min(POLL_S, self._pace.commit_every_s / 4) if not self._failing else self._pause_s):
            now = time.monotonic()
            if self._pace.is_due(waiting_rows=self._waiting_rows(), since_last_s=now - last_commit):
                if self._attempt(self._commit_all):
                    last_commit = now
            elif now - last_upkeep >= UPKEEP_EVERY_S and self._lake.has_readings():
                self._attempt(lambda: self._lake.compact(now=self._clock()))
                last_upkeep = now
        self._attempt(self._commit_all)

    def _commit_all(self) -> None:
        # A backlog is worked off in steps, none larger than what fits in memory.
        rows_max = min(self._pace.commit_rows * 2, COMMIT_ROWS_MAX)
        while True:
            report = self._lake.commit(rows_max=rows_max)
            if report is None or (report.rows < rows_max and not self._waiting_rows()):
                return

    def _waiting_rows(self) -> int:
        try:
            return self._lake.pending()
        except GongshuError:
            return 1  # the attempt that follows says what is wrong

    def _attempt(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except GongshuError as cause:
            self._lost(cause, code=cause.code)
            if cause.retry is Retry.NEVER:
                raise
            return False
        except Exception as cause:  # noqa: BLE001  the supervisor of the commit step: a full disk must not end it
            self._lost(cause, code=type(cause).__name__)
            return False
        release_memory()
        if self._failing:
            _logger.warning("The writer works again.")
            self._failing, self._pause_s = False, self._first_pause_s
        return True

    def _lost(self, cause: Exception, *, code: str) -> None:
        if not self._failing:
            _logger.error("The writer cannot move readings into the table (%s): %s. The log keeps them.", code, cause)
        self._failing = True
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)


def main(arguments: list[str] | None = None) -> int:
    """Run the writer of one node until SIGTERM or SIGINT; return the exit status."""
    search_rarely()
    without_pandas()
    from gongshu.config import Home, read_config

    parser = argparse.ArgumentParser(prog="python -m gongshu.lake.writer", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the node's home folder")
    home = Home(parser.parse_args(arguments).home)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        config = read_config(home)
        lake = Lake.open(
            log_file=home.log_file, warehouse=home.warehouse(config), query_timeout_s=config.query_timeout_s
        )
    except GongshuError as cause:
        print(f"writer: {cause}", file=sys.stderr)  # noqa: T201  a command's last word
        return 1
    try:
        pace = Pace(commit_rows=config.commit_rows, commit_every_s=config.commit_every_s)
        Writer(lake, pace, clock=lambda: datetime.now(UTC), stop=stop).run()
    except GongshuError as cause:
        print(f"writer: {cause}", file=sys.stderr)  # noqa: T201  a command's last word
        return 1
    finally:
        lake.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
