"""The node's side of the query workers: start, ask, read frames in time, replace what died."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gongshu.affinity import on_all
from gongshu.lake import errors
from gongshu.lake.errors import QueryTimeout, QueryWorkerLost
from gongshu.lake.query.frames import HEADER, Kind, header, parse_header

WORKERS_MAX = 4
"""Queries that run at once; more wait for their turn within their own time."""
WORKERS_IDLE = 2
"""Workers kept when nobody asks."""
START_TIMEOUT_S = 30.0
PIPE_BYTES = 1024 * 1024
"""What lies between a worker and its node, so that they take turns less often; Linux gives this much to anybody."""
_PROGRAM = "import sys; sys.modules['numpy'] = None; from gongshu.lake.query.worker import main; main()"
"""Arrow loads NumPy where it finds it. A worker has no use for it: a quarter of its start, and 8 MB."""
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class Worker:
    """One worker process. Not for several threads at once: a pool lends it to one."""

    def __init__(self, *, log_file: Path, temp_root: Path, memory_mb: int) -> None:
        self.served = 0
        """Requests answered to the end."""
        temp_root.mkdir(parents=True, exist_ok=True)
        self._temp = Path(tempfile.mkdtemp(prefix="query-", dir=temp_root))
        setup = json.dumps({"log_file": str(log_file), "memory_mb": memory_mb, "temp": str(self._temp)})
        # The node's environment may hold secrets; the worker gets what Python needs, and a home of its own.
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        with on_all():
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, setup],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment | {"HOME": str(self._temp), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        try:
            self._widen()
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Process id, for those who measure or kill it."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any], *, budget: "TimeBudget") -> Iterator[tuple[Kind, memoryview]]:
        """Send a request and yield the frames of its answer, the last one included.

        Raises: QueryTimeout, QueryWorkerLost. The worker must be killed then.
        """
        payload = json.dumps(request).encode()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(header(Kind.REQUEST, len(payload)) + payload)
            self._process.stdin.flush()
        except BrokenPipeError as cause:
            raise QueryWorkerLost(reason=self._ending()) from cause
        while True:
            kind, frame = self._read_frame(budget)
            self.served += kind in (Kind.DONE, Kind.ERROR, Kind.STALE)
            yield kind, frame
            if kind in (Kind.DONE, Kind.ERROR, Kind.STALE):
                return

    def kill(self) -> None:
        """End the process at once and remove its temporary files."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        shutil.rmtree(self._temp, ignore_errors=True)

    def _widen(self) -> None:
        assert self._process.stdout is not None
        with suppress(OSError):  # a user who has many pipes already gets the usual size
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def _wait_ready(self) -> None:
        kind, _ = self._read_frame(TimeBudget(START_TIMEOUT_S))
        assert kind is Kind.READY

    def _read_frame(self, budget: "TimeBudget") -> tuple[Kind, memoryview]:
        kind, length = parse_header(self._read_exactly(HEADER.size, budget))
        return kind, self._read_exactly(length, budget)

    def _read_exactly(self, length: int, budget: "TimeBudget") -> memoryview:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        buffer = bytearray(length)
        view = memoryview(buffer)
        done = 0
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while done < length:
            with budget.spending():
                if not poll.poll(max(budget.left_s, 0.0) * 1000):
                    raise QueryTimeout(timeout_s=budget.total_s)
            count = os.readv(descriptor, [view[done:]])
            if count == 0:
                raise QueryWorkerLost(reason=self._ending())
            done += count
        return view

    def _ending(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"signal {-code}" if code < 0 else f"exit status {code}"


class TimeBudget:
    """Time that a query may keep its caller waiting; the caller's own time between batches does not count."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self.left_s = total_s
        self._since: float | None = None

    def spending(self) -> "TimeBudget":
        """Count the time of the block."""
        return self

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        assert self._since is not None
        self.left_s -= time.monotonic() - self._since


class WorkerPool:
    """Workers, started when needed and lent to one query at a time; the one used last is lent first."""

    def __init__(self, *, log_file: Path, temp_root: Path, memory_mb: int) -> None:
        self._log_file = log_file
        self._temp_root = temp_root
        self._memory_mb = memory_mb
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._lent = 0
        self._closed = False

    def lend(self, budget: TimeBudget) -> Worker:
        """Return a worker for this caller alone; give it back with `take_back`.

        Raises: QueryTimeout if none gets free in time.
        """
        with self._changed, budget.spending():
            if not self._changed.wait_for(lambda: self._lent < WORKERS_MAX, timeout=max(budget.left_s, 0.0)):
                raise QueryTimeout(timeout_s=budget.total_s)
            self._lent += 1
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
                worker.kill()
        try:
            return Worker(log_file=self._log_file, temp_root=self._temp_root, memory_mb=self._memory_mb)
        except BaseException:
            self._return_place()
            raise

    def take_back(self, worker: Worker, *, usable: bool) -> None:
        """Take a worker back; one in an unknown state is ended."""
        with self._changed:
            keep = usable and not self._closed and len(self._idle) < WORKERS_IDLE
            if keep:
                self._idle.append(worker)
        if not keep:
            worker.kill()
        self._return_place()

    def pids(self) -> list[int]:
        """Return the process ids of the idle workers, the next to be lent last."""
        with self._changed:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """End all idle workers; lent ones end when they come back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def _return_place(self) -> None:
        with self._changed:
            self._lent -= 1
            self._changed.notify()


def is_sound_after(frame: memoryview) -> bool:
    """True if a worker that sent this error can serve the next query: one whose memory ran out fails those as well."""
    return bool(json.loads(bytes(frame))["error"] != errors.QueryMemoryExceeded.__name__)


def raise_worker_error(frame: memoryview) -> None:
    """Raise the error that a worker sent, with its fields."""
    told = json.loads(bytes(frame))
    raise getattr(errors, told["error"])(**told["fields"])
