"""What a bench says, and how it is written down."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True, slots=True)
class Result:
    """One figure beside its reference of the same run."""

    what: str
    measured: float
    unit: str
    reference: str = ""
    """What the figure is compared with, and that one's own figure."""
    ratio: float | None = None
    aim: str = ""
    holds: bool | None = None
    """None where no aim is set."""


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    head = ["what", "measured", "reference in the same run", "ratio", "aim", "holds"]
    rows = [[r.what, _figure(r), r.reference, _ratio(r), r.aim, _answer(r.holds)] for r in results]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [_line(head, widths), _line(["-" * width for width in widths], widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def machine() -> str:
    """Return what the figures depend on: processors, memory, versions; no names."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{name} {version(name)}" for name in ("pyarrow", "duckdb", "pyiceberg")]
    return (
        f"{os.cpu_count()} vCPU, {memory_gib:.0f} GiB memory, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(parts)}"
    )


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _figure(result: Result) -> str:
    value = result.measured
    shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{shown} {result.unit}"


def _ratio(result: Result) -> str:
    return "" if result.ratio is None else f"{result.ratio:.2f}"


def _answer(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[holds]
