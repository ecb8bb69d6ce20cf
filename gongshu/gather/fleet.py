"""One collector process for each source that is wanted: compares what is wanted with what runs, every second."""

import logging
import sys
import threading
from collections.abc import Mapping

from gongshu.config import Home
from gongshu.gather.model import Desired, Source
from gongshu.gather.service import SourceService
from gongshu.model.ids import SourceId
from gongshu.supervise import Supervisor

log = logging.getLogger("gongshu.gather")

TICK_S = 1.0
"""Sources added or removed are seen within twice this."""


def decide_fleet(
    running: Mapping[SourceId, int], sources: list[Source]
) -> tuple[list[SourceId], list[tuple[SourceId, int]]]:
    """Return the collectors to end, and those to start with their source's revision; a changed source is in both.

    >>> decide_fleet({SourceId("a"): 1}, [])
    (['a'], [])
    """
    wanted = {s.source_id: s.revision for s in sources if s.definition.desired is Desired.RUNNING}
    ending = [source_id for source_id, revision in running.items() if wanted.get(source_id) != revision]
    starting = [(source_id, revision) for source_id, revision in wanted.items() if running.get(source_id) != revision]
    return ending, starting


class Fleet:
    """Keeps a node's collectors; `start` and `stop` belong to the node."""

    def __init__(self, supervisor: Supervisor, sources: SourceService, home: Home) -> None:
        self._supervisor = supervisor
        self._sources = sources
        self._home = home
        self._running: dict[SourceId, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="fleet", daemon=True)

    def start(self) -> None:
        """Begin to keep the collectors, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End all collectors; each stores what it has taken first."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(30.0)
        for source_id in list(self._running):
            self._end(source_id)

    def tend(self) -> None:
        """Bring what runs in line with what is wanted, once."""
        ending, starting = decide_fleet(self._running, self._sources.sources())
        for source_id in ending:
            self._end(source_id)
        for source_id, revision in starting:
            argv = [sys.executable, "-m", "gongshu.gather.collector", "--home", str(self._home.path)]
            self._supervisor.add(_child(source_id), [*argv, "--source", source_id])
            self._running[source_id] = revision

    def _end(self, source_id: SourceId) -> None:
        self._running.pop(source_id, None)
        self._supervisor.remove(_child(source_id))

    def _keep(self) -> None:
        failing = False
        while not self._ending.is_set():
            try:
                self.tend()
            except Exception as error:  # noqa: BLE001 - a busy database shall not end the collectors (E5)
                if not failing:
                    log.error("the list of sources cannot be read: %s", error)
                failing = True
            else:
                failing = False
            self._ending.wait(TICK_S)


def _child(source_id: SourceId) -> str:
    return f"collector:{source_id}"
