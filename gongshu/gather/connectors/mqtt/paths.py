"""Paths into JSON: `data.items[0].value`, with `data["a.b"]` for names that hold a dot. Pure."""

import re
from functools import lru_cache

_STEP = re.compile(r"""\.?(?:([^.\[\]"]+)|\[(\d+)\]|\["([^"]+)"\])""")


class PathMissing(LookupError):
    """The message has nothing at that path."""


@lru_cache(maxsize=256)
def parse_path(path: str) -> tuple[str | int, ...]:
    """Return the steps of a path. Raises: ValueError if it is none.

    >>> parse_path('data.items[0]["a.b"]')
    ('data', 'items', 0, 'a.b')
    """
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise ValueError(f"{path!r} is no path into JSON at character {at + 1}")
        name, index, quoted = step.groups()
        steps.append(int(index) if index is not None else name or quoted)
        at = step.end()
    return tuple(steps)


def value_at(message: object, path: str) -> object:
    """Return what stands at the path; the empty path is the message itself. Raises: PathMissing."""
    at = message
    for step in parse_path(path):
        if (isinstance(at, dict) and step in at) or (isinstance(at, list) and isinstance(step, int) and step < len(at)):
            at = at[step]  # type: ignore[index]
        else:
            raise PathMissing(path)
    return at
