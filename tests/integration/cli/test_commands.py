"""The command line as a newcomer meets it: a served node, the first account, own data; and each wrong use."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from gongshu import cli
from gongshu.config import Home, read_config
from gongshu.node import open_node
from gongshu.share.keeping.tables import counted_time

PASSWORD = "Seven-quiet-gears"
CSV = "order_no,part,quantity\nA-1,shaft,10\nA-2,gear,7\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left."""

    status: int
    out: str
    err: str


def gongshu(home: Path, *words: str, token: str = "") -> Answer:
    """Run one command in this process, as the shell would."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, dict(os.environ))
    sys.argv = ["gongshu", "--home", str(home), *words]
    os.environ["GONGSHU_TOKEN"] = token
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        return Answer(int(ended.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before[0]
        os.environ.clear()
        os.environ.update(before[1])
    raise AssertionError("a command ends the process")


@dataclass(slots=True)
class Served:
    """A node that answers, and the line that `serve` printed."""

    home: Path
    line: str
    tokens: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, who: str = "li") -> Answer:
        """Run one command as somebody who is signed in."""
        return gongshu(self.home, *words, token=self.tokens[who])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("cli") / "mill"
    made = gongshu(home, "init", "--party", "urn:gongshu:party:mill", "--title", "示例厂", "--port", "0")
    code = made.out.split("code=")[1].split()[0]
    command = [sys.executable, "-m", "gongshu", "--home", str(home), "serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        served = Served(home, process.stdout.readline())
        assert gongshu(home, "account", "redeem", code, "admin", "--password", PASSWORD).status == 0
        assert gongshu(home, "login", "admin", "--password", PASSWORD).out == "Signed in as admin.\n"
        for name, roles in (("li", ("--role", "steward", "--role", "engineer")), ("chen", ("--role", "viewer"))):
            assert gongshu(home, "account", "create", name, *roles, "--password", PASSWORD).status == 0
            served.tokens[name] = gongshu(home, "account", "token", name).out.strip()
        (home / "mine.csv").write_text(CSV, encoding="utf-8")
        assert served.run("import", str(home / "mine.csv"), "--name", "mine").status == 0
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_serve_prints_the_address_that_answers(node: Served) -> None:
    address = next(word for word in node.line.split() if word.startswith("http://"))
    deadline = time.monotonic() + 60
    while True:
        try:
            assert httpx.get(f"{address}/healthz", timeout=10, trust_env=False).json()["status"] == "ok"
            break
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert address in node.run("status").out


def test_a_csv_of_ones_own_is_a_governed_dataset_at_once(node: Served) -> None:
    rows = json.loads(node.run("sql", "SELECT part, quantity FROM mine", "--format", "json").out)
    assert rows == [{"part": "shaft", "quantity": 10}, {"part": "gear", "quantity": 7}]
    (dataset,) = json.loads(node.run("catalog", "list", "--format", "json").out)
    assert (dataset["dataset_id"], dataset["standing"]) == ("mine", "proposed")


LISTINGS = [
    "status",
    "account list",
    "source connectors",
    "source list",
    "source losses",
    "catalog list",
    "catalog show mine",
    "grade due",
    "grade facts enterprise_impact=large",
    "standard list",
    "standard show gbt-36344",
    "keys show",
    "share offers",
    "share agreements",
    "share negotiations",
    "share transfers",
    "share deliveries",
    "app list",
    "app runs",
    "app show oee",
    "hub status",
]


@pytest.mark.parametrize("command", LISTINGS)
def test_json_is_the_only_thing_on_standard_output(node: Served, command: str) -> None:
    answer = node.run(*command.split(), "--format", "json")
    assert (answer.status, answer.err) == (0, "")
    assert isinstance(json.loads(answer.out), list)


WRONG = [
    ("no-such-command", 2, "No such command"),
    ("catalog no-such-command", 2, "No such command"),
    ("login", 2, "Missing argument"),
    ("login nobody --password wrong", 1, "[secure.login_failed]"),
    ("account redeem no-code x --password Seven-quiet-gears", 1, "[secure.code_rejected]"),
    ("catalog show nosuch", 1, "[govern.dataset_unknown]"),
    ("catalog confirm mine --grade 9", 2, "--grade"),
    ("catalog confirm mine --grade 1", 1, "[govern.reason_missing]"),
    ("catalog export /nosuch/list.csv", 1, "[cli.file_unusable]"),
    ("quality run nosuch", 1, "nosuch"),
    ("quality report mine", 1, "[govern.quality_unknown]"),
    ("standard show nosuch", 1, "[packs.unknown]"),
    ("import /nosuch.csv", 1, "[gather.file_unreadable]"),
    ("source add --file /nosuch.yaml", 1, "[gather.file_unreadable]"),
    ("source add x --connector modbus --asset a --set host=h", 1, "[gather.config_wrong]"),
    ("sql nonsense", 1, "[secure.sql_refused]"),
    ("sql SELECT/**/*/**/FROM/**/nosuch", 1, "[secure.denied]"),
    ("audit list", 1, "[secure.not_allowed]"),
    ("audit verify /nosuch", 2, "cannot be read"),
    ("policy check /nosuch", 2, "does not exist"),
    ("share join gongshu-invite-1.x", 1, "[share.invite_invalid]"),
    ("share find urn:gongshu:party:nobody", 1, "[secure.party_unknown]"),
    ("share offer mine --uses 1", 1, "[share.grade_forbids]"),
    ("share offer mine --until soon", 2, "--until"),
    ("share transfer nosuch", 1, "[share.agreement_unknown]"),
    ("share deliveries --agreement nosuch", 1, "[share.agreement_unknown]"),
    ("share pull nosuch --file rows.xlsx", 2, "--file"),
    ("app run nosuch", 1, "[apply.app_unknown]"),
    ("app runs nosuch", 1, "[apply.app_unknown]"),
    ("app check oee --from yesterday", 2, "--from"),
    ("hub bind energy nosuch SELECT", 1, "[govern.dataset_unknown]"),
    ("hub report", 1, "[hub.agreement_unknown]"),
    ("hub join http://127.0.0.1:1 CODE@sha256:00 --yes", 1, "[hub."),
    ("hub totals --period 2026-13", 1, "[hub.period_malformed]"),
]


@pytest.mark.parametrize(("command", "status", "says"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_a_wrong_use_is_one_clear_line(node: Served, command: str, status: int, says: str) -> None:
    answer = node.run(*command.split())
    assert (answer.status, answer.out) == (status, "")
    assert answer.err.count("\n") == 1
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_nobody_signed_in_is_said_so(node: Served) -> None:
    (node.home / "run" / "session-token").unlink(missing_ok=True)
    for command in ("catalog list", "source list", "share offers", "app runs", "hub status", "audit list"):
        answer = gongshu(node.home, *command.split())
        assert (answer.status, answer.out) == (1, "")
        assert "[cli.not_signed_in]" in answer.err


@pytest.mark.parametrize("command", ["import mine.csv", "source stop x", "share offer mine --uses 1", "hub status"])
def test_a_role_that_may_not_is_one_clear_line(node: Served, command: str) -> None:
    answer = node.run(*command.split(), who="chen")
    assert (answer.status, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "needs" in answer.err


def test_a_pull_that_could_not_be_written_is_refused_before_it_counts_as_a_use(node: Served, tmp_path: Path) -> None:
    unwritable = node.run("share", "pull", "nosuch", "--file", str(tmp_path / "no" / "rows.csv"))
    assert "[cli.file_unusable]" in unwritable.err
    writable = node.run("share", "pull", "nosuch", "--file", str(tmp_path / "rows.csv"))
    assert "[share.process_unknown]" in writable.err
    assert not (tmp_path / "rows.csv").exists()


@pytest.mark.parametrize(
    ("party", "title", "more"),
    [
        ("mill", "x", ()),
        ("", "x", ()),
        ("urn:gongshu:party:a mill", "x", ()),
        ("urn:gongshu:party:mill", "", ()),
        ("urn:gongshu:party:mill", "x", ("--port", "99999")),
        ("urn:gongshu:party:mill", "x", ("--division", "Z99")),
        ("urn:gongshu:party:mill", "x", ("--division", "C99")),
        ("urn:gongshu:party:mill", "x", ("--public-url", "mill.example:6720")),
    ],
)
def test_a_node_that_could_not_work_is_not_made(tmp_path: Path, party: str, title: str, more: tuple[str, ...]) -> None:
    answer = gongshu(tmp_path / "mill", "init", "--party", party, "--title", title, *more)
    assert (answer.status, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "[init.option_invalid]" in answer.err
    assert "should match pattern" not in answer.err, "a pattern tells a person nothing; an example does"
    assert not (tmp_path / "mill").exists()


def test_no_node_says_how_to_make_one(tmp_path: Path) -> None:
    answer = gongshu(tmp_path / "none", "status")
    assert (answer.status, answer.out) == (1, "")
    assert f"gongshu --home {tmp_path / 'none'} init" in answer.err


def test_status_says_when_nothing_answers(tmp_path: Path) -> None:
    home, address = tmp_path / "mill", "https://mill.example:6720"
    options = ("--party", "urn:gongshu:party:mill", "--title", "x", "--public-url", address)
    assert gongshu(home, "init", *options).status == 0
    assert read_config(Home(home)).public_url == address
    assert "not running" in gongshu(home, "status").out
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / "address").write_text("http://127.0.0.1:1", encoding="utf-8")
    at = datetime.now(UTC)
    with closing(open_node(Home(home))) as node, node.database.begin() as connection:
        connection.execute(sa.insert(counted_time).values(id=1, at=at, held_since=at, basis=""))
    said = " ".join(gongshu(home, "status").out.split())  # a narrow terminal gets it in several lines
    assert "does not answer" in said
    (shown,) = re.findall(r"by the machine it is (\S+Z)", said)
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(shown) < timedelta(minutes=2)


def test_lines_are_not_wrapped_so_that_codes_can_be_copied(tmp_path: Path) -> None:
    home = tmp_path / "with-a-long-name-that-goes-on-and-on-and-on" / "and-on-and-on-and-on" / "mill"
    made = gongshu(home, "init", "--party", "urn:gongshu:party:mill", "--title", "x")
    code = made.out.split("code=")[1].split()[0]
    assert gongshu(home, "account", "redeem", code, "admin", "--password", PASSWORD).status == 0
