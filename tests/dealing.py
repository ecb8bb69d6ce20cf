"""How tests are dealt out to the processes of `pytest -n`."""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

PAGES = "tests/integration/console/"
WHOLE = (
    "tests/integration/",
    "tests/scenario/",
    "tests/contract/connectors_opcua/",
    "tests/unit/hub/test_disclosure.py",
    "tests/unit/simulate/test_physics.py",
)
"""Tests with real servers, nodes and browsers, and modules whose first test in a process makes something dear, such as
the standard's address space, which takes two seconds."""

POSTGRES = (
    "tests/integration/govern/test_catalogue_postgres.py",
    "tests/integration/govern/test_registration_load.py",
    "tests/integration/secure/test_several_writers.py",
    "tests/integration/share/test_consumer_postgres.py",
    "tests/integration/share/test_index_postgres.py",
    "tests/integration/share/test_kept_postgres.py",
    "tests/integration/share/test_postgres.py",
    "tests/integration/share/test_races_postgres.py",
    "tests/integration/share/test_spaces_postgres.py",
    "tests/integration/share/test_sweep.py",
    "tests/integration/share/test_two_processes.py",
    "tests/integration/test_migrations.py",
    "tests/integration/test_prepared.py",
)
"""Modules with a PostgreSQL server, which takes two seconds to make: in one process they share it."""


def is_dealt_whole(nodeid: str) -> bool:
    """True for tests whose module goes to one process, because its tests share what takes long to make."""
    return nodeid.startswith(WHOLE)


def scope_of(nodeid: str) -> str:
    """Return what is dealt out in one piece: tests that share a node or a server; a module; or else the test alone."""
    if nodeid.startswith(PAGES):
        return PAGES
    if nodeid.startswith(POSTGRES):
        return "postgres"
    return nodeid.partition("::")[0] if is_dealt_whole(nodeid) else nodeid


class Dealer(LoadScopeScheduling):  # type: ignore[misc]
    """Deals in the order of the collection: whole modules first; many short tests even out the end."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
