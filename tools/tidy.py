"""The house rules that a program can check: `python tools/tidy.py` prints one line for each breach, with its remedy.

Rules (the letters are the clauses of the style guide in CONTRIBUTING.md):
  L1 no catch-all module names     L4 imports point down the list of rooms     L6 files and functions stay small
  E1 every error has a unique code, a retry and a template     E5 broad excepts only where listed, with a reason
  T2 every public name has a docstring that says something     P  no machine paths, no addresses of package indexes
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LEVELS: tuple[tuple[str, ...], ...] = (
    ("errors", "garbage"),
    ("model",),
    ("config", "database", "migrations"),
    ("packs", "supervise"),
    ("lake",),
    ("govern",),
    ("secure",),
    ("gather",),
    ("share",),
    ("industry",),
    ("apply",),
    ("hub",),
    ("node",),
    ("console",),
    ("main",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""Lowest first; a module may import from lower levels and from its own room."""

BESIDE = {
    "simulate": {"errors", "garbage", "model", "packs", "simulate", "gather"},
    "testing": {"errors", "model", "gather", "lake", "secure", "testing", "supervise"},
    "audit_verifier": {"audit_verifier"},
    "evidence_verifier": {"evidence_verifier"},
    "client": {"errors", "client"},
}
"""Rooms that stand beside the house, and what each may import."""

NEVER_LAKE = {"share", "apply", "industry", "hub", "console"}
WEB = {"fastapi", "starlette", "nicegui", "uvicorn"}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "misc", "manager"}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
GENERATED = ("sparkplug_b_pb2.py",)


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule broken at one place."""

    clause: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.clause} {self.text}"


def check_tree(root: Path) -> list[Breach]:
    """Return every breach in the package below `root`, in file order."""
    breaches: list[Breach] = []
    codes: dict[str, str] = {}
    for file in sorted((root / "gongshu").rglob("*.py")):
        if file.name in GENERATED or file.parent.name == "versions":
            continue
        text = file.read_text(encoding="utf-8")
        breaches += check_file(file.relative_to(root), text, codes)
    return breaches


def check_file(path: Path, text: str, codes: dict[str, str]) -> list[Breach]:
    """Return the breaches of one source file; `codes` collects error codes over all files."""
    tree = ast.parse(text)
    return [
        *_names(path),
        *_imports(path, tree),
        *_sizes(path, text, tree),
        *_docstrings(path, tree),
        *_errors(path, tree, codes),
        *_broad_excepts(path, text, tree),
    ]


def _names(path: Path) -> Iterator[Breach]:
    for part in (*path.parts[1:-1], path.stem):
        if part in FORBIDDEN_NAMES:
            yield Breach("L1", str(path), f"the name {part!r} says nothing; name it for what it decides or holds")


def _imports(path: Path, tree: ast.Module) -> Iterator[Breach]:
    room = path.parts[1].removesuffix(".py")
    rank = {name: level for level, names in enumerate(LEVELS) for name in names}
    for node in ast.walk(tree):
        for target in _targets(node):
            line = getattr(node, "lineno", 0)
            parts = target.split(".")
            if parts[0] in WEB and not (
                path.stem == "api" or room in {"console", "main", "cli"} or "api" in path.parts
            ):
                yield Breach("L4", f"{path}:{line}", f"{parts[0]} belongs in api.py, console/ or main.py")
            if parts[0] != "gongshu" or len(parts) < 2:
                continue
            other = parts[1]
            if room in BESIDE:
                if other not in BESIDE[room]:
                    yield Breach("L4", f"{path}:{line}", f"{room} must not import {other}")
            elif room in rank and other in rank:
                if rank[other] > rank[room] or (rank[other] == rank[room] and other != room and rank[room] > 2):
                    yield Breach("L4", f"{path}:{line}", f"{room} imports {other}, which lies above it")
                if room in NEVER_LAKE and other == "lake":
                    yield Breach("L4", f"{path}:{line}", f"{room} reads through secure.gate, never from the lake")
            elif other == "testing" or (other == "simulate" and room not in {"cli", "demo"}):
                yield Breach("L4", f"{path}:{line}", f"shipped code does not import {other}")


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        if node.module == "gongshu":
            return [f"gongshu.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def _sizes(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield Breach("L6", str(path), f"{lines} lines (at most {FILE_LINES_MAX}); look for the second idea in it")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield Breach(
                    "L6", f"{path}:{node.lineno}", f"{node.name} has {length} lines (at most {FUNCTION_LINES_MAX})"
                )


def _docstrings(path: Path, tree: ast.Module) -> Iterator[Breach]:
    if not ast.get_docstring(tree):
        yield Breach("T2", str(path), "no docstring: say what the module is for")
    for node in _public(tree.body):
        doc = ast.get_docstring(node)
        if not doc:
            yield Breach("T2", f"{path}:{node.lineno}", f"{node.name} has no docstring")
        elif _repeats_name(node.name, doc):
            yield Breach("T2", f"{path}:{node.lineno}", f"the docstring of {node.name} only repeats its name")


def _public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node
            yield from _public(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            overloaded = any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)
            overrides = any(isinstance(d, ast.Name) and d.id == "override" for d in node.decorator_list)
            if not (overloaded or overrides or node.name.startswith("test_")):
                yield node


def _repeats_name(name: str, doc: str) -> bool:
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    said = [
        word for word in re.findall(r"[a-z]+", doc.lower()) if word not in {"the", "a", "an", "of", "return", "returns"}
    ]
    return bool(said) and all(word.rstrip("s") in {w.rstrip("s") for w in words} for word in said)


def _errors(path: Path, tree: ast.Module, codes: dict[str, str]) -> Iterator[Breach]:
    branches = {
        "InvalidInput",
        "NotAuthenticated",
        "Refused",
        "NotFound",
        "Conflict",
        "TooLarge",
        "Unavailable",
        "Damaged",
    }
    if path.name == "errors.py" and len(path.parts) == 2:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        if not bases & (branches | {"GongshuError"}):
            continue
        values = {
            target.id: statement.value
            for statement in node.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        place = f"{path}:{node.lineno}"
        if "code" not in values or not isinstance(values["code"], ast.Constant):
            yield Breach("E1", place, f"{node.name} has no code")
            continue
        code = str(values["code"].value)
        if code in codes:
            yield Breach("E1", place, f"the code {code!r} is used by {codes[code]} already")
        codes[code] = node.name
        if "template" not in values:
            yield Breach("E1", place, f"{node.name} has no template")


def _broad_excepts(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    lines = text.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            if broad and "# noqa: BLE001" not in lines[node.lineno - 1] and not _reraises(node):
                yield Breach(
                    "E5", f"{path}:{node.lineno}", "a broad except; name the errors, or say on the line why not"
                )


def _reraises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def check_addresses(root: Path) -> list[Breach]:
    """Return every tracked file that names a path of one machine or the address of a package index."""
    machine = "/" + "wor" + "k/"
    index = r"https?://[^ )\"]*/(simple|maven2)(/|$)|--(extra-)?index-url|\"resolved\": *\"http"
    pattern = re.compile(rf"(^|[^\w.]){re.escape(machine)}|{index}", re.MULTILINE)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    breaches = []
    for name in filter(None, names.split("\0")):
        file = root / name
        if name == "tools/tidy.py" or not file.is_file() or file.stat().st_size > 2_000_000:
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if match := pattern.search(text):
            breaches.append(
                Breach("P", f"{name}:{text.count(chr(10), 0, match.start()) + 1}", "names a machine path or an index")
            )
    return breaches


def main() -> int:
    """Print the breaches and return the exit status."""
    breaches = check_tree(ROOT) + check_addresses(ROOT)
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
