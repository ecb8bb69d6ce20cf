"""`gongshu app` in a shell, on a node with the synthetic plant's readings."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from gongshu.apply.errors import AppUnknown, InputsNotMet, ParameterInvalid
from gongshu.cli.app import app
from gongshu.config import NodeConfig
from gongshu.model.access import Role
from gongshu.node import Node, open_node
from tests.integration.apply.conftest import PARTY, SPAN_S, START, Stack, run_plant
from tests.metadata import new_home

PASSWORD = "correct-Horse-battery-67"
SPAN = ("--from", START.isoformat(), "--to", (START + timedelta(seconds=SPAN_S)).isoformat())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a signed-in steward."""
    config = NodeConfig(party_id=PARTY, title="mill (synthetic)", port=0)
    home = new_home(tmp_path_factory.mktemp("node"), config)
    node: Node = open_node(home)
    stack = Stack(node.lake, node.catalogue, node.policies, node.audit, node.gate, node.store, node.apps)
    stack.register()
    stack.append(run_plant()[0])
    node.identity.create_account("li", PASSWORD, frozenset({Role.STEWARD}), actor="system:test")
    token = node.identity.login("li", PASSWORD)
    node.close()
    return {**os.environ, "GONGSHU_HOME": str(home.path), "GONGSHU_TOKEN": token, "COLUMNS": "200"}


def invoke(shell: dict[str, str], *arguments: str) -> str:
    """Run a command in this process and return what it printed."""
    result = CliRunner().invoke(app, arguments, env=shell, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_check_run_and_open_a_figure(shell: dict[str, str]) -> None:
    assert "oee" in invoke(shell, "list")
    assert "heartbeat" in invoke(shell, "show", "oee")
    checked = json.loads(invoke(shell, "check", "oee", *SPAN, "--format", "json"))
    assert not [row for row in checked if row["stops"]]
    rows = json.loads(invoke(shell, "run", "oee", *SPAN, "--param", "bucket_s=30", "--format", "json"))
    assert len(rows) == 4
    run, asset = rows[0]["run"], rows[0]["asset"]
    assert run in invoke(shell, "runs", "oee", "--format", "json")
    assert "not judged" in invoke(shell, "show", run)
    opened = invoke(shell, "show", run, "--asset", asset, "--figure", "availability")
    assert "A = APT / PBT" in opened
    assert "SELECT time" in opened


def test_what_cannot_be_used_is_refused(shell: dict[str, str]) -> None:
    early = ("--from", "2020-01-01T00:00Z", "--to", "2020-01-02T00:00Z")
    assert CliRunner().invoke(app, ["check", "oee", *early], env=shell).exit_code == 1
    for arguments, error in (
        (["run", "oee", *early], InputsNotMet),
        (["run", "nothing", *SPAN], AppUnknown),
        (["run", "oee", *SPAN, "--param", "colour=1"], ParameterInvalid),
    ):
        assert isinstance(CliRunner().invoke(app, arguments, env=shell).exception, error)
    assert CliRunner().invoke(app, ["run", "oee", "--from", "2026-11-02T08:00"], env=shell).exit_code == 2


def test_an_error_is_one_clear_line(shell: dict[str, str]) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "gongshu", "app", "run", "oee", "--to", "2020-01-02T00:00Z"],
        env=shell,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith("[apply.inputs_not_met]")
    assert refused.stderr.count("\n") == 1
