"""docs/benchmarks.md: a head that says what was measured on, and one section a bench, written and read again."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.result import Result, machine, table

_HEAD = """# Benchmarks

Written by `make bench ARGS=--write`; do not edit. Each figure stands beside a bare reference taken in the same run, so
the ratio says more than the figure. The readings are synthetic and seeded (`bench/data.py`): 1,000 series at one a
second, a quarter each of full-precision floats, walks rounded to 0.01 with clock jitter, noisy steps of 0.1, states.

{machine}.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """What one bench says."""

    name: str
    text: str
    """Markdown, from its heading on."""

    @classmethod
    def of(cls, name: str, meaning: str, results: Sequence[Result]) -> "Section":
        """Return the section of results taken now."""
        when = datetime.now(UTC).date().isoformat()
        lines = " ".join(meaning.split())
        return cls(name, f"## {name}\n\n{lines} {when}.\n\n{table(results)}\n")


def page(shown: Iterable[Section]) -> str:
    """Return the whole page."""
    return "\n".join([_HEAD.format(machine=machine()), *(section.text for section in shown)])


def sections(text: str) -> dict[str, Section]:
    """Return the sections of a page by name.

    >>> [*sections("# Benchmarks\\n\\n## log\\n\\nFast.\\n")]
    ['log']
    """
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    found = [Section(part.splitlines()[0].removeprefix("## ").strip(), part.strip() + "\n") for part in parts]
    return {section.name: section for section in found}
