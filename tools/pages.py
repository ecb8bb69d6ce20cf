"""Write the reference pages that are made from the code: `python tools/pages.py`; with `--check`, only compare.

docs/errors.md     every error class with its code, status and template
docs/glossary.md   the rows of docs/glossary.d/*.csv, one table
"""

import csv
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

ROOT = Path(__file__).resolve().parents[1]


def errors_page() -> str:
    """Return docs/errors.md."""
    import gongshu
    from gongshu.errors import GongshuError

    for module in walk_packages(gongshu.__path__, "gongshu."):
        if (
            module.name.endswith(".errors")
            or module.name in {"gongshu.config", "gongshu.main"}
            or ".cli" in module.name
        ):
            import_module(module.name)
    leaves: list[type[GongshuError]] = []
    waiting = list(GongshuError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.code and kind.__module__.startswith("gongshu."):
            leaves.append(kind)
    lines = [
        "# Errors",
        "",
        "Made by `tools/pages.py` from the classes; a code is never used for another meaning.",
        "",
        "| code | HTTP | try again | what it says |",
        "|---|---|---|---|",
    ]
    for kind in sorted(leaves, key=lambda leaf: leaf.code):
        text = kind.template.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{kind.code}` | {kind.status} | {kind.retry.value} | {text} |")
    return "\n".join(lines) + "\n"


def glossary_page() -> str:
    """Return docs/glossary.md.

    Raises: ValueError if two rows give one Chinese term different English words.
    """
    rows: dict[str, dict[str, str]] = {}
    for file in sorted((ROOT / "docs" / "glossary.d").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                known = rows.setdefault(row["zh"], row)
                if known["en"].lower() != row["en"].lower():
                    raise ValueError(f"{file.name}: {row['zh']} is {row['en']!r} here and {known['en']!r} elsewhere")
    lines = [
        "# Glossary 术语表",
        "",
        "Made by `tools/pages.py` from `docs/glossary.d/`. One idea, one word, from the standard named.",
        "",
        "| 中文 | English | meaning | source |",
        "|---|---|---|---|",
    ]
    for row in sorted(rows.values(), key=lambda r: r["en"].lower()):
        lines.append(
            "| " + " | ".join((row[k] or "").replace("|", "\\|") for k in ("zh", "en", "meaning", "source")) + " |"
        )
    return "\n".join(lines) + "\n"


PAGES = {"docs/errors.md": errors_page, "docs/glossary.md": glossary_page}


def stale_pages() -> list[str]:
    """Return the names of pages that differ from what the code says now."""
    return [
        name
        for name, make in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


if __name__ == "__main__":
    if "--check" in sys.argv:
        stale = stale_pages()
        print("\n".join(f"{name} is stale: run python tools/pages.py" for name in stale))
        sys.exit(1 if stale else 0)
    for page, maker in PAGES.items():
        (ROOT / page).write_text(maker(), encoding="utf-8")
