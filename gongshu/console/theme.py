"""Colours for charts, which cannot read the style sheet; the same values as in `theme.css`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
MARK = (
    '<svg width="22" height="22" viewBox="0 0 22 22" fill="none" stroke="currentColor" stroke-width="2.2" '
    'aria-hidden="true"><path d="M3 5h16M11 5v12M3 17h16"/></svg>'
)
"""The house mark: the character 工."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme."""

    text: str
    muted: str
    line: str
    panel: str
    accent: str
    series: tuple[str, ...]
    good: str
    warn: str
    bad: str


LIGHT = Palette(
    text="#182227",
    muted="#586770",
    line="#dfe4e7",
    panel="#ffffff",
    accent="#0b6b75",
    series=("#0b6b75", "#7a5cae", "#b0641b", "#3c6fb5", "#7d7a2c", "#9c4468", "#4d7f6a", "#60656b"),
    good="#2b7a4b",
    warn="#9a5b00",
    bad="#b3261e",
)
DARK = Palette(
    text="#e6ecee",
    muted="#9aa9b0",
    line="#303c42",
    panel="#192125",
    accent="#4fb8c2",
    series=("#4fb8c2", "#b49be0", "#e0a06a", "#83abe6", "#c2be68", "#dc8fb0", "#8cc4ab", "#a4abb2"),
    good="#6cc08c",
    warn="#e0a54a",
    bad="#f2867d",
)


@cache
def head_html() -> str:
    """Return the style sheet and the script that every page carries; both come from the package."""
    css = (FOLDER / "theme.css").read_text(encoding="utf-8")
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    return f"<style>@layer overrides {{\n{css}\n}}</style><script>{script}</script>"
