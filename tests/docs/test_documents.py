"""Documents say what is there: links, commands, dependencies, invariants and their tests."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from gongshu.cli.edge import plain_help
from tests.docs.command_lines import command_tree, fault_of

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)!?\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(?:sh|bash|console|text)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
TREE = command_tree()


def documents() -> list[Path]:
    """Return every document of the repository that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("document", documents(), ids=names(documents()))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(document.read_text(encoding="utf-8"))]
    relative = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in relative if not (document.parent / target).exists()] == []


COMMAND = re.compile(r"^(?:\w*\$ )?(gongshu .*)$")
WITH_COMMANDS = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=names(WITH_COMMANDS))
def test_every_command_in_a_block_exists(document: Path) -> None:
    lines = [
        line.strip()
        for block in BLOCK.findall(document.read_text(encoding="utf-8"))
        for line in re.sub(r"\\\n\s*", " ", block).splitlines()
    ]
    commands = [found[1] for line in lines if (found := COMMAND.match(line))]
    faults = {command: fault for command in commands if (fault := fault_of(command, TREE))}
    assert faults == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    assert fault_of("gongshu catalog lst", TREE)
    assert fault_of("gongshu sql 'SELECT 1' --purpos x", TREE)
    assert fault_of("gongshu --house x status", TREE)
    assert not fault_of("gongshu --home x sql 'SELECT 1' --purpose x | head", TREE)


@pytest.mark.parametrize("path", sorted(TREE), ids=" ".join)
def test_every_command_shows_an_example_that_exists(path: tuple[str, ...]) -> None:
    _, is_there, example = (plain_help(TREE[path]).help or "").partition("Example:\n")
    assert is_there
    assert fault_of(example.strip(), TREE) == ""


def normal(name: str) -> str:
    return re.split(r"[\[<>=~!; ]", name)[0].lower().replace("_", "-")


def test_the_page_of_dependencies_lists_what_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {normal(each) for each in project["dependencies"]}
    declared |= {normal(each) for extra in project.get("optional-dependencies", {}).values() for each in extra}
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ") and "package | for" not in line]
    listed = {normal(re.sub(r"\(.*\)", "", part).strip()) for cell in cells for part in cell.split(",")}
    assert listed == declared


NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
INVARIANTS = ROOT / "docs" / "invariants.md"


def test_every_invariant_names_tests_that_exist() -> None:
    rows = [line for line in INVARIANTS.read_text(encoding="utf-8").splitlines() if re.match(r"\| I\d ", line)]
    assert [row[2:4] for row in rows] == [f"I{number}" for number in range(1, 9)]
    assert [row[2:4] for row in rows if not NAMED_TEST.search(row)] == []
    missing = []
    for file, name in NAMED_TEST.findall("\n".join(rows)):
        path = ROOT / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
        functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        if name not in functions:
            missing.append(f"{file}::{name}")
    assert missing == []
