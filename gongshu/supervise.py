"""Child processes that must be there: started, watched, started again with growing delay, stopped in order.

The children die with their parent, also when it is killed: on Linux each asks the kernel for SIGTERM at its parent's
death. That signal is bound to the thread that started the child, so one thread of the supervisor's own starts them all.
This module must not know what any child does.
"""

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gongshu.affinity import on_all

log = logging.getLogger("gongshu.supervise")

TICK_S = 0.1
LAUNCHER = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs in the child before its program: PR_SET_PDEATHSIG (1) is kept over exec. A parent that died before it was set
shows as another parent id."""


class ChildState(StrEnum):
    """Where a child stands."""

    RUNNING = "running"
    WAITING = "waiting"
    """It ended, and is started again after a delay."""
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """What can be seen of a child."""

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    last_exit: int | None
    """Exit status of its last end; negative is the signal that ended it."""


@dataclass(slots=True)
class _Child:
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] | None
    process: subprocess.Popen[bytes] | None = None
    state: ChildState = ChildState.WAITING
    due_s: float = 0.0
    started_s: float = 0.0
    failures: int = 0
    restarts: int = 0
    last_exit: int | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    kill_at_s: float = 0.0


class Supervisor:
    """Keeps the children that were added; `with Supervisor() as supervisor:` or `stop()` ends them all."""

    def __init__(
        self,
        *,
        restart_min_s: float = 0.5,
        restart_max_s: float = 30.0,
        stable_after_s: float = 30.0,
        stop_timeout_s: float = 10.0,
    ) -> None:
        self._restart_min_s = restart_min_s
        self._restart_max_s = restart_max_s
        self._stable_after_s = stable_after_s
        self._stop_timeout_s = stop_timeout_s
        self._children: dict[str, _Child] = {}
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, name: str, argv: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        """Start a child and keep it running. `argv[0]` is a path; `environment` replaces the inherited one.

        Raises: RuntimeError if a child of that name is there already.
        """
        with self._lock:
            if name in self._children:
                raise RuntimeError(f"there is a child {name!r} already")
            child = self._children[name] = _Child(name, tuple(argv), environment)
        self._orders.put(lambda: self._start(child))

    def remove(self, name: str, *, timeout_s: float | None = None) -> None:
        """Stop a child (SIGTERM, then SIGKILL) and forget it; returns when it has ended. An unknown name is ignored."""
        with self._lock:
            child = self._children.get(name)
        if child is None:
            return
        limit_s = self._stop_timeout_s if timeout_s is None else timeout_s
        self._orders.put(lambda: self._end(child, limit_s))
        child.stopped.wait(limit_s + 5.0)
        with self._lock:
            self._children.pop(name, None)

    def states(self) -> dict[str, ChildStatus]:
        """Return what can be seen of each child, by name."""
        with self._lock:
            return {
                child.name: ChildStatus(
                    child.name,
                    child.state,
                    child.process.pid if child.process is not None else None,
                    child.restarts,
                    child.last_exit,
                )
                for child in self._children.values()
            }

    def stop(self) -> None:
        """Stop all children at once and the supervisor itself; none is left when the call returns."""
        with self._lock:
            children = list(self._children.values())
        for child in children:
            self._orders.put(lambda child=child: self._end(child, self._stop_timeout_s))  # type: ignore[misc]
        for child in children:
            child.stopped.wait(self._stop_timeout_s + 5.0)
        self._orders.put(None)
        self._thread.join(5.0)

    # all below runs in the supervisor's own thread

    def _watch(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=TICK_S)
            except queue.Empty:
                pass
            else:
                if order is None:
                    return
                order()
            with self._lock:
                children = list(self._children.values())
            for child in children:
                self._look_after(child)

    def _look_after(self, child: _Child) -> None:
        now_s = time.monotonic()
        process = child.process
        if process is not None and (status := process.poll()) is not None:
            child.process, child.last_exit = None, status
            if child.state is ChildState.STOPPING:
                self._stopped(child)
                return
            lived_s = now_s - child.started_s
            child.failures = 1 if lived_s >= self._stable_after_s else child.failures + 1
            delay_s = min(self._restart_min_s * 2.0 ** (child.failures - 1), self._restart_max_s)
            log.warning("%s ended with %s after %.1f s; started again in %.1f s", child.name, status, lived_s, delay_s)
            child.state, child.due_s = ChildState.WAITING, now_s + delay_s
        elif process is not None and child.state is ChildState.STOPPING and now_s >= child.kill_at_s:
            process.kill()
        elif process is None and child.state is ChildState.WAITING and now_s >= child.due_s and child.started_s:
            child.restarts += 1
            self._start(child)

    def _start(self, child: _Child) -> None:
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *child.argv]
        child.started_s = time.monotonic()
        try:
            environment = dict(child.environment) if child.environment is not None else None
            with on_all():
                child.process = subprocess.Popen(launch, env=environment, stdin=subprocess.DEVNULL)
        except OSError as error:  # no memory, no process left: as if it had ended at once
            child.failures += 1
            child.due_s = child.started_s + min(self._restart_min_s * 2.0**child.failures, self._restart_max_s)
            log.warning("%s cannot be started: %s", child.name, error)
            return
        child.state = ChildState.RUNNING

    def _end(self, child: _Child, timeout_s: float) -> None:
        if child.process is None or child.process.poll() is not None:
            self._stopped(child)
            return
        child.state, child.kill_at_s = ChildState.STOPPING, time.monotonic() + timeout_s
        child.process.send_signal(signal.SIGTERM)

    def _stopped(self, child: _Child) -> None:
        if child.process is not None:
            child.last_exit = child.process.poll()
            child.process = None
        child.state = ChildState.STOPPED
        child.stopped.set()
