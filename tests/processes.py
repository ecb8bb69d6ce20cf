"""Processes that tests let race or kill: forked from one that has loaded what they need, which takes two seconds."""

from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

RACING = (
    "tests.integration.govern.test_registration_load",
    "tests.integration.secure.test_several_writers",
    "tests.integration.test_migrations",
)
"""The modules whose functions run there."""


@cache
def racing() -> ForkServerContext:
    """Return how to start them; the process that they come from ends with this one."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(RACING))
    return context
