"""The governance commands on a real node, as a steward and as somebody who is not."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from gongshu.cli.catalog import app as catalog
from gongshu.cli.grade import app as grade
from gongshu.cli.quality import app as quality
from gongshu.config import NodeConfig
from gongshu.govern.errors import ReasonMissing, RoleMissing, StateSecretDeclared
from gongshu.model.access import Role
from gongshu.model.ids import DatasetId, SubjectId
from gongshu.node import open_node
from tests.metadata import new_home
from tests.unit.govern.parts import sighting

RUN = CliRunner()
PASSWORD = "correct horse battery staple 9"
MILL = "plant_1_line_1_mill_01"


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A node with one asset and one table, and a token for a steward and for a viewer."""
    node = open_node(new_home(tmp_path, NodeConfig(party_id="urn:gongshu:party:mill", title="Mill (synthetic)")))
    node.catalogue.register_series([sighting(), sighting("recipe_id", unit="")])
    rows = pa.table({"order_id": ["a", "b"], "quantity": [1, None]})
    node.store.write("orders", rows, title="订单", origin="import:orders.csv")
    given = {}
    for name, role in (("li", Role.STEWARD), ("wang", Role.VIEWER)):
        node.identity.create_account(name, PASSWORD, frozenset({role}), SubjectId("system:test"))
        given[name] = node.identity.issue_token(name, valid_s=600, actor=SubjectId("system:test"))
    node.close()
    monkeypatch.setenv("GONGSHU_HOME", str(tmp_path))
    monkeypatch.setenv("GONGSHU_TOKEN", given["li"])
    return given


def test_a_steward_lists_confirms_shows_and_exports(tokens: dict[str, str], tmp_path: Path) -> None:
    found = json.loads(RUN.invoke(catalog, ["list", "订单", "--format", "json"]).stdout)
    assert [row["dataset_id"] for row in found] == ["orders"]
    assert isinstance(RUN.invoke(catalog, ["confirm", MILL, "--grade", "1"]).exception, ReasonMissing)
    assert "一级/一般" in RUN.invoke(catalog, ["confirm", MILL, "--grade", "1", "--reason", "training"]).stdout
    assert "三级/一般" in RUN.invoke(catalog, ["confirm", MILL, "--grade", "3", "--part", "spindle_load"]).stdout
    (shown,) = json.loads(RUN.invoke(catalog, ["show", MILL, "--format", "json"]).stdout)
    assert shown["standing"] == "proposed"
    assert {part["name"]: part["grade"] for part in shown["parts"]} == {"spindle_load": 3, "recipe_id": 1}
    assert MILL in RUN.invoke(catalog, ["show", MILL]).stdout
    assert [row["why"] for row in json.loads(RUN.invoke(grade, ["due", "--format", "json"]).stdout)] == ["proposed"] * 2
    RUN.invoke(catalog, ["export", str(tmp_path / "list.csv"), "--sign"])
    assert (tmp_path / "list.csv.sig.json").is_file()


def test_quality_is_run_and_reported(tokens: dict[str, str]) -> None:
    (made,) = json.loads(RUN.invoke(quality, ["run", "orders", "--format", "json"]).stdout)
    (kept,) = json.loads(RUN.invoke(quality, ["report", "orders", "--format", "json"]).stdout)
    assert made == kept
    assert "Cells without a value" in RUN.invoke(quality, ["report", "orders"]).stdout


def test_a_viewer_may_look_and_not_decide(tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONGSHU_TOKEN", tokens["wang"])
    assert RUN.invoke(catalog, ["list"]).exit_code == 0
    for app, words in (
        (catalog, ["confirm", MILL]),
        (catalog, ["export", "list.csv"]),
        (quality, ["run", "orders"]),
        (grade, ["state-secret", MILL, "--reason", "x"]),
    ):
        assert isinstance(RUN.invoke(app, words).exception, RoleMissing), words


def test_a_declared_secret_is_gone_from_every_list(tokens: dict[str, str]) -> None:
    RUN.invoke(grade, ["state-secret", "orders", "--reason", "found by review"])
    assert json.loads(RUN.invoke(catalog, ["list", "订单", "--format", "json"]).stdout) == []
    assert isinstance(RUN.invoke(catalog, ["show", "orders"]).exception, StateSecretDeclared)
    assert DatasetId("orders") not in RUN.invoke(grade, ["due"]).stdout
