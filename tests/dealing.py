"""How tests are dealt out to the processes of `pytest -n`."""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

PAGES = "tests/integration/console/"


def is_dealt_whole(nodeid: str) -> bool:
    """True for tests with real servers, nodes and browsers, which start once a module."""
    return nodeid.startswith(("tests/integration/", "tests/scenario/"))


def scope_of(nodeid: str) -> str:
    """Return what is dealt out in one piece: the pages, which share one node; a module; or else the test alone."""
    if nodeid.startswith(PAGES):
        return PAGES
    return nodeid.partition("::")[0] if is_dealt_whole(nodeid) else nodeid


class Dealer(LoadScopeScheduling):  # type: ignore[misc]
    """Deals in the order of the collection: whole modules first; many short tests even out the end."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
