"""A served process keeps to the processors that were named; what it starts does not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import ValidationError

from gongshu import affinity
from gongshu.affinity import ProcessorsUnknown, on_all, stay_on
from gongshu.config import NodeConfig

GIVEN = os.sched_getaffinity(0)
ONE = max(GIVEN)
SHOWN = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    """A thread of its own: what it keeps to holds for it alone."""
    monkeypatch.setattr(affinity, "_given", set())
    with ThreadPoolExecutor(1) as pool:
        yield pool


def config(listed: Any) -> NodeConfig:
    return NodeConfig(party_id="urn:gongshu:party:test", title="test", cpu_affinity=listed)


def child() -> str:
    return subprocess.run(SHOWN, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("listed", "meant"), [("", set()), ("1", {1}), ("0,2-4,2", {0, 2, 3, 4})])
def test_processors_are_listed_as_for_taskset(listed: str, meant: set[int]) -> None:
    assert config(listed).processors == meant


@pytest.mark.parametrize("listed", ["a", "1,", "-1", "1-", "1 2", "99999", "0,3-1"])
def test_another_list_is_refused(listed: str) -> None:
    with pytest.raises(ValidationError):
        config(listed)


def test_a_child_runs_on_all_processors_though_its_parent_stays_on_one(thread: ThreadPoolExecutor) -> None:
    def work() -> tuple[set[int], str, set[int]]:
        stay_on({ONE})
        with on_all():
            started = child()
        return os.sched_getaffinity(0), started, os.sched_getaffinity(0)

    assert thread.submit(work).result() == ({ONE}, str(sorted(GIVEN)), {ONE})


def test_who_names_no_processor_keeps_all(thread: ThreadPoolExecutor) -> None:
    def work() -> set[int]:
        stay_on(set())
        with on_all():
            return os.sched_getaffinity(0)

    assert thread.submit(work).result() == GIVEN


def test_a_processor_that_is_not_there_is_refused_before_anything_starts() -> None:
    with pytest.raises(ProcessorsUnknown, match="9000"):
        stay_on({ONE, 9000})
    assert os.sched_getaffinity(0) == GIVEN
