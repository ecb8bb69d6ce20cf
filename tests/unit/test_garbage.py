"""How often a process of our own looks for garbage."""

import gc
from collections.abc import Iterator

import pytest

from gongshu import cli
from gongshu.garbage import NEW_OBJECTS
from gongshu.simulate import plant


@pytest.fixture
def by_pythons_own_rule() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("by_pythons_own_rule")
def test_the_command_line_searches_rarely_and_the_node_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gongshu", "--version"])
    with pytest.raises(SystemExit):
        cli.main()
    assert gc.get_threshold() == (NEW_OBJECTS, 10, 10)


@pytest.mark.usefixtures("by_pythons_own_rule")
def test_a_child_of_the_node_searches_rarely(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        plant.main(["--folder", "plant", "--no-such-option"])
    assert "no-such-option" in capsys.readouterr().err
    assert gc.get_threshold() == (NEW_OBJECTS, 10, 10)
