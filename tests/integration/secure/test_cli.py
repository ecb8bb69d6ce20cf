"""The room's commands, run as a person runs them, over a node in a folder."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from gongshu.cli import main
from gongshu.config import Home
from gongshu.model.access import Role
from gongshu.node import open_node
from gongshu.secure.policy.text import default_text

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Answer:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Answer]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli") / "node"


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    """Run one command over one node, in this process; `as_` gives the token of who runs it."""

    def command(*words: str, as_: str = "") -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr("sys.argv", ["gongshu", *words])
            for name, value in {"GONGSHU_HOME": str(home), "GONGSHU_TOKEN": as_, "COLUMNS": "200"}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                main()
        return Answer(int(end.value.code or 0), out.getvalue(), err.getvalue())

    made = command("init", "--party", "urn:gongshu:party:mill", "--title", "Mill")
    assert made.returncode == 0, made.stderr
    return command


@pytest.fixture(scope="module")
def tokens(run: Run, home: Path) -> dict[str, str]:
    """One token for each of two administrators."""
    node = open_node(Home(home))
    found = {}
    for role in (Role.SECURITY_ADMIN, Role.AUDIT_ADMIN):
        account = node.identity.create_account(role.value.replace("_", "-"), PASSWORD, {role}, actor="system:test")
        found[role.value] = node.identity.issue_token(account.name, valid_s=3600, actor="system:test")
    node.close()
    return found


def test_the_first_account_is_made_from_a_code_and_makes_others(run: Run) -> None:
    code = run("account", "first-link").stdout.strip()
    assert run("account", "redeem", code, "root", "--password", PASSWORD).returncode == 0
    assert "[secure.code_rejected]" in run("account", "redeem", code, "two", "--password", PASSWORD).stderr
    assert run("login", "root", "--password", PASSWORD).returncode == 0
    assert run("account", "create", "li", "--role", "steward", "--password", PASSWORD).returncode == 0
    token = run("account", "token", "root").stdout.strip()
    listed = json.loads(run("account", "list", "--format", "json", as_=token).stdout)
    assert {"li", "root"} <= {row["name"] for row in listed}


def test_sql_goes_through_the_gate(run: Run, tokens: dict[str, str]) -> None:
    refused = run("sql", "SELECT count(*) FROM readings", as_=tokens["audit_admin"])
    assert refused.returncode == 1
    assert "[secure.denied]" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "[secure.sql_refused]" in run("sql", "SELECT * FROM glob('/*')", as_=tokens["audit_admin"]).stderr


def test_policies_are_checked_deployed_and_explained(run: Run, tokens: dict[str, str], tmp_path: Path) -> None:
    good, bad = tmp_path / "good.cedar", tmp_path / "bad.cedar"
    good.write_text(default_text() + '\n@id("mine") forbid (principal, action, resource) when { false };\n', "utf-8")
    bad.write_text('\n\n@id("mine") permit (principal, action, resource) when { resource.x };\n', "utf-8")
    assert run("policy", "check", str(good)).returncode == 0
    faults = run("policy", "check", str(bad), "--format", "json")
    assert faults.returncode == 1
    assert json.loads(faults.stdout)[0]["line"] == 3
    assert "line 3" in run("policy", "deploy", str(bad), as_=tokens["security_admin"]).stderr
    assert "[secure.not_allowed]" in run("policy", "deploy", str(good), as_=tokens["audit_admin"]).stderr
    assert run("policy", "deploy", str(good), as_=tokens["security_admin"]).returncode == 0
    assert run("policy", "show", as_=tokens["security_admin"]).stdout == good.read_text("utf-8")
    explain = ("policy", "explain", "nothing_here", "--role", "analyst", "--format", "json")
    answer = json.loads(run(*explain, as_=tokens["security_admin"]).stdout)
    assert answer[0]["because"] == "no-such-dataset"


def test_the_log_is_listed_exported_and_verified(run: Run, tokens: dict[str, str], tmp_path: Path) -> None:
    export, tampered = tmp_path / "audit.jsonl", tmp_path / "tampered.jsonl"
    assert "[secure.not_allowed]" in run("audit", "export", str(export), as_=tokens["security_admin"]).stderr
    exported = run("audit", "export", str(export), as_=tokens["audit_admin"])
    fingerprint = json.loads(run("keys", "show", "--format", "json").stdout)[0]["fingerprint"]
    assert fingerprint in exported.stdout.replace("\n", "")
    listed = run("audit", "list", "--action", "account.*", "--format", "json", as_=tokens["audit_admin"])
    assert {row["action"] for row in json.loads(listed.stdout)} >= {"account.created"}
    good = run("audit", "verify", str(export))
    assert (good.returncode, "the key is the expected one" in good.stdout) == (0, True)
    tampered.write_text(export.read_text().replace("account.created", "account.crested", 1))
    bad = run("audit", "verify", str(tampered))
    assert bad.returncode == 1
    assert bad.stderr.startswith("FAILED record ")
    assert run("audit", "verify", str(tmp_path / "absent")).returncode == 2
    other = run("audit", "verify", str(export), "--fingerprint", "sha256:00")
    assert "key was replaced" in other.stderr
