"""On which processors a served node runs, and that the processes it starts run on all it was given.

Only one thread of a Python process computes at a time. Where its threads lie on several processors, each hand-over from
one to the next wakes another processor, which costs more than most of what the threads do.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from gongshu.errors import InvalidInput

_given: set[int] = set()
"""What the program was given, once it keeps to less."""


class ProcessorsUnknown(InvalidInput):
    """The configuration names processors that the program was not given."""

    code = "serve.processors_unknown"
    template = (
        "Cannot run on the processors {asked} (cpu_affinity): given are {given}. Name some of these, or none for all."
    )


def stay_on(numbers: Collection[int]) -> None:
    """Keep this thread, and those that it starts from now on, on these processors; on all where none is named.

    Raises: ProcessorsUnknown.
    """
    if not numbers:
        return
    given = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if not given.issuperset(numbers):
        raise ProcessorsUnknown(asked=sorted(numbers), given=sorted(given) or "not to be chosen on this system")
    _given.update(given)
    os.sched_setaffinity(0, numbers)


@contextmanager
def on_all() -> Iterator[None]:
    """Within the block this thread may use all processors again, and so may a process that it starts."""
    if not _given:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _given)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
