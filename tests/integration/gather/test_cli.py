"""`gongshu source` and `gongshu import`, as an engineer types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gongshu.cli import ingest, source
from gongshu.config import NodeConfig
from gongshu.gather.errors import AbilityMissing, ConfigWrong, EndpointUnreachable, NotAllowed, SourceExists
from gongshu.model.access import Role
from gongshu.model.ids import SubjectId
from gongshu.node import open_node
from tests.metadata import new_home

ADD = ["add", "mill-3", "--connector", "modbus", "--asset", "plant-1/mill-03"]
SET = ["--set", "host=127.0.0.1", "--set", "port=1", "--set", 'tags=[{"name":"load","address":40}]']


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    home = new_home(tmp_path / "home", NodeConfig(party_id="urn:gongshu:party:test", title="Test (synthetic)"))
    node = open_node(home)
    actor = SubjectId("system:test")
    for name, role in (("engineer", Role.ENGINEER), ("viewer", Role.VIEWER)):
        node.identity.create_account(name, "correct horse battery", frozenset({role}), actor)
        token = node.identity.issue_token(name, valid_s=600, actor=actor)
        monkeypatch.setenv(f"TOKEN_{name.upper()}", token)
        if role is Role.ENGINEER:
            monkeypatch.setenv("GONGSHU_TOKEN", token)
    node.close()
    monkeypatch.setenv("GONGSHU_HOME", str(home.path))
    return CliRunner()


def test_a_source_is_added_listed_stopped_and_removed(run: CliRunner) -> None:
    assert "Added mill-3" in run.invoke(source.app, [*ADD, *SET], catch_exceptions=False).output
    (row,) = json.loads(run.invoke(source.app, ["list", "--format", "json"], catch_exceptions=False).stdout)
    assert (row["source"], row["connector"], row["state"]) == ("mill-3", "modbus", "starting")
    run.invoke(source.app, ["stop", "mill-3"], catch_exceptions=False)
    (row,) = json.loads(run.invoke(source.app, ["list", "--format", "json"], catch_exceptions=False).stdout)
    assert row["state"] == "stopped"
    assert json.loads(run.invoke(source.app, ["losses", "--format", "json"], catch_exceptions=False).stdout) == []
    run.invoke(source.app, ["remove", "mill-3"], catch_exceptions=False)
    assert json.loads(run.invoke(source.app, ["list", "--format", "json"], catch_exceptions=False).stdout) == []


def test_what_is_wrong_is_one_error_of_ours(run: CliRunner) -> None:
    for argv, error in (
        ([*ADD, "--set", "host"], ConfigWrong),
        ([*ADD, "--set", "host=h"], ConfigWrong),
        (["add", "mill-3", "--connector", "modbus", *SET], ConfigWrong),
        ([*ADD, *SET, "--probe"], EndpointUnreachable),
    ):
        assert isinstance(run.invoke(source.app, argv).exception, error), argv
    run.invoke(source.app, [*ADD, *SET], catch_exceptions=False)
    assert isinstance(run.invoke(source.app, [*ADD, *SET]).exception, SourceExists)
    assert isinstance(run.invoke(source.app, ["browse", "mill-3"]).exception, AbilityMissing)


def test_a_file_adds_all_of_its_sources_or_none(run: CliRunner, tmp_path: Path) -> None:
    one = '[[sources]]\nid = "{}"\nconnector = "files"\nasset = "plant-1"\nconfig = {{ {} = "/tmp" }}\n'
    file = tmp_path / "s.toml"
    file.write_text(one.format("a", "folder") + one.format("b", "colour"), encoding="utf-8")
    assert isinstance(run.invoke(source.app, ["add", "--file", str(file)]).exception, ConfigWrong)
    assert json.loads(run.invoke(source.app, ["list", "--format", "json"]).stdout) == []
    file.write_text(one.format("a", "folder") + one.format("b", "folder"), encoding="utf-8")
    run.invoke(source.app, ["add", "--file", str(file)], catch_exceptions=False)
    assert len(json.loads(run.invoke(source.app, ["list", "--format", "json"]).stdout)) == 2


def test_a_viewer_changes_nothing(run: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    monkeypatch.setenv("GONGSHU_TOKEN", os.environ["TOKEN_VIEWER"])
    assert isinstance(run.invoke(source.app, [*ADD, *SET]).exception, NotAllowed)
    (tmp_path / "a.csv").write_text("a\n1\n", encoding="utf-8")
    assert isinstance(run.invoke(ingest.app, [str(tmp_path / "a.csv")]).exception, NotAllowed)


def test_importing_says_what_was_taken_and_set_aside(run: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,part\n1,007\n2\n", encoding="utf-8")
    result = run.invoke(ingest.app, [str(tmp_path / "orders.csv"), "--format", "json"], catch_exceptions=False)
    (row,) = json.loads(result.stdout)
    assert (row["dataset"], row["rows taken"], row["rows set aside"]) == ("orders", 1, 1)
    assert Path(row["side file"]).read_text(encoding="utf-8").splitlines()[1].startswith("3,")
