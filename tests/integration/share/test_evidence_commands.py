"""The commands of evidence on a node of one's own, and the verifier without one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gongshu.cli.evidence import app
from tests.integration.share.offices import Office


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("evidence_commands") / "mill", "mill")
    yield made
    made.close()


def run(office: Office | None, *arguments: str) -> tuple[int, str]:
    environment = {"COLUMNS": "200"}
    if office is not None:
        environment |= {"GONGSHU_HOME": str(office.home.path), "GONGSHU_TOKEN": office.token}
    result = CliRunner().invoke(app, list(arguments), env=environment)
    return result.exit_code, f"{result.output}{result.exception or ''}"


def test_a_node_without_contracts_shows_nothing_and_says_what_it_lacks(office: Office, tmp_path: Path) -> None:
    assert run(office, "meter", "--format", "json") == (0, "[]\n")
    assert run(office, "disputes", "--format", "json") == (0, "[]\n")
    assert office.rows("ledger") == []
    file = tmp_path / "evidence.jsonl"
    status, said = run(office, "export", "urn:uuid:none", str(file))
    assert status != 0
    assert "urn:uuid:none" in said
    assert not file.exists()


def test_settling_names_a_side_and_a_contract(office: Office) -> None:
    status, said = run(office, "settle", "urn:uuid:none", "key", "--figures", "mine", "--reason", "x")
    assert (status, "provider or consumer" in said) == (2, True)
    status, said = run(office, "settle", "urn:uuid:none", "key", "--figures", "provider", "--reason", "x")
    assert status != 0
    assert "urn:uuid:none" in said


def test_the_verifier_needs_no_node_and_refuses_what_is_no_evidence(tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text("{}\n")
    status, said = run(None, "verify", str(file))
    assert (status, "cannot be read as evidence" in said) == (2, True)
    assert run(None, "verify", str(file), str(file), "--problems", "--format", "json")[0] == 2
