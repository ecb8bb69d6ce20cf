"""How tests are dealt out to the processes of `pytest -n`."""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


class Dealer(LoadScopeScheduling):  # type: ignore[misc]
    """Whole modules of integration tests first, so that their servers, nodes and browsers start once; largest first.

    After them come the other tests one by one, in the order in which they were collected: many short ones even out
    the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith("tests/integration/") else nodeid
