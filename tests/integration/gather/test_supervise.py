"""The supervisor: children come back, end in order, and die with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gongshu.supervise import ChildState, Supervisor

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor(restart_min_s=0.05, restart_max_s=0.4, stop_timeout_s=2.0) as supervisor:
        yield supervisor


def until(holds: Callable[[], object], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pid_of(supervisor: Supervisor, name: str = "c") -> int:
    until(lambda: supervisor.states()[name].pid)
    pid = supervisor.states()[name].pid
    assert pid is not None
    return pid


def test_a_killed_child_comes_back(supervisor: Supervisor) -> None:
    supervisor.add("c", SLEEPER)
    for restart in range(1, 4):
        pid = pid_of(supervisor)
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: supervisor.states()["c"].pid not in (None, pid))  # type: ignore[misc]
        status = supervisor.states()["c"]
        assert (status.restarts, status.last_exit, status.state) == (restart, -9, ChildState.RUNNING)


def test_a_child_that_ends_at_once_is_started_ever_more_slowly(supervisor: Supervisor) -> None:
    supervisor.add("c", [sys.executable, "-S", "-c", "raise SystemExit(3)"])
    time.sleep(2.5)
    until(lambda: supervisor.states()["c"].restarts >= 2)
    status = supervisor.states()["c"]
    assert 2 <= status.restarts <= 8
    assert status.last_exit == 3


def test_stopping_ends_the_deaf_too(supervisor: Supervisor, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    deaf = (
        f"import signal, time, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch(); "
        "time.sleep(60)"
    )
    supervisor.add("c", [sys.executable, "-S", "-c", deaf])
    until(ready.exists)
    pid = pid_of(supervisor)
    started_s = time.monotonic()
    supervisor.remove("c", timeout_s=0.5)
    assert time.monotonic() - started_s < 40, "it would sleep for a minute"
    assert not is_alive(pid)
    assert supervisor.states() == {}


def test_a_removed_child_does_not_come_back(supervisor: Supervisor) -> None:
    supervisor.add("c", SLEEPER)
    pid = pid_of(supervisor)
    supervisor.remove("c")
    assert not is_alive(pid)
    supervisor.remove("c")
    supervisor.add("c", SLEEPER)
    assert pid_of(supervisor) != pid


def test_the_same_name_twice_is_our_own_mistake(supervisor: Supervisor) -> None:
    supervisor.add("c", SLEEPER)
    with pytest.raises(RuntimeError, match="a child 'c' already"):
        supervisor.add("c", SLEEPER)


def test_a_program_that_is_not_there_is_tried_again(supervisor: Supervisor) -> None:
    supervisor.add("c", ["/nowhere/program"])
    until(lambda: supervisor.states()["c"].restarts >= 2)


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom gongshu.supervise import Supervisor\ns = Supervisor()\n"
        "for n in 'ab': s.add(n, [sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "while not all(c.pid for c in s.states().values()): time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print(*(c.pid for c in s.states().values()), flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(is_alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(is_alive, pids)))
