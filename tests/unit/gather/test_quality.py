"""The quality scale: the claimed tier follows from the answers, for every installed connector."""

import inspect
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from gongshu.gather.connector import ConnectorSpec
from gongshu.testing.quality import RULES, judge_quality, quality_findings

DONE = dict.fromkeys(RULES, "done")


def test_complete_answers_hold() -> None:
    assert judge_quality({"tier": "platinum", "rules": DONE}, {}) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"C05": {"answer": "todo", "comment": "later"}}, "the tier platinum asks for C05"),
        ({"C05": {"answer": "exempt"}}, "C05: exempt needs a comment"),
        ({"C05": "maybe"}, "C05: 'maybe' is not done"),
        ({"C99": "done"}, "C99 is no rule"),
    ],
)
def test_wrong_answers_are_found(change: dict[str, object], says: str) -> None:
    found = judge_quality({"tier": "platinum", "rules": DONE | change}, {})
    assert any(says in finding for finding in found)


def test_a_gap_of_ours_cannot_be_done() -> None:
    found = judge_quality({"tier": "bronze", "rules": DONE}, {"test_c10_comes_back_after_cable_loss": "ours"})
    assert found == ["C10 is answered done, but test_c10_comes_back_after_cable_loss is a gap of ours"]


@pytest.mark.parametrize("point", entry_points(group="gongshu.connectors"), ids=lambda point: point.name)
def test_every_installed_connector_answers(point: object) -> None:
    spec = point.load()  # type: ignore[attr-defined]
    assert isinstance(spec, ConnectorSpec)
    assert spec.name == point.name  # type: ignore[attr-defined]
    file = Path(inspect.getfile(spec.config_type())).parent / "quality.toml"
    assert quality_findings(file, spec, {}) == []
