"""The demo's step "collect" on a machine so busy that a killed collector's successor comes late."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gongshu.demo import show as show_module
from gongshu.demo.cast import Cast
from gongshu.demo.client import Refusal
from gongshu.demo.errors import StepFailed
from gongshu.demo.plant_steps import collect
from gongshu.demo.show import Show
from gongshu.demo.stage import Stage

MACHINES = {"id": "plant-machines", "connector": "opcua", "config": {}}
KILLED, SUCCESSOR = 11, 12


class Engineer:
    """Sees the source as it was, with the counters of the killed collector, for a number of looks after the kill."""

    def __init__(self, *then: dict[str, Any]) -> None:
        self.then = list(then)
        self.was_killed = False

    def get(self, path: str) -> Any:
        seen = source("running", KILLED, 400)
        if self.was_killed:
            seen = self.then.pop(0) if len(self.then) > 1 else self.then[0]
        return [seen] if path == "/api/v1/sources" else seen

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return None

    def refused(self, method: str, path: str, body: Any = None) -> Refusal:
        return Refusal(422, "gather.certificate_untrusted", "")

    def kill(self, pid: int, number: int) -> None:
        self.was_killed = True


def source(state: str, pid: int, read: int) -> dict[str, Any]:
    counters = {"pid": pid, "read": read, "lost": 0}
    return {"id": "plant-machines", "connector": "opcua", "state": state, "counters": counters}


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Engineer], str]:
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": [MACHINES]}), encoding="utf-8")
    monkeypatch.setattr(show_module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(Show, "children", lambda self, module: [])

    def run(engineer: Engineer) -> str:
        monkeypatch.setattr(os, "kill", engineer.kill)
        cast = Cast({"engineer": engineer}, "")  # type: ignore[dict-item]  # what the step asks of a person
        stage = Stage(tmp_path, plant={"sources": str(tmp_path / "sources.yaml")})
        return str(collect(Show(stage, 0.0, cast, cast, cast, lambda text: None)))

    return run


def test_the_last_counters_of_the_killed_collector_are_not_taken_for_new_ones(
    step: Callable[[Engineer], str],
) -> None:
    late = [source("running", KILLED, 400), source("lost", KILLED, 400), source("lost", SUCCESSOR, 0)]
    assert "opcua 7;" in step(Engineer(*late, source("lost", SUCCESSOR, 7), source("running", SUCCESSOR, 7)))


def test_a_source_that_stays_lost_fails_the_step_and_is_named(
    step: Callable[[Engineer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_module, "PATIENCE_S", 0.05)
    with pytest.raises(StepFailed, match=r"every source running.*'plant-machines': 'lost'"):
        step(Engineer(source("lost", SUCCESSOR, 7)))
