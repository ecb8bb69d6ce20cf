"""The navigation: the policy's six areas in its order and words, and the pages in them."""

from dataclasses import dataclass

from gongshu.config import NodeRole


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    name: str
    path: str
    roles: frozenset[NodeRole] = frozenset(NodeRole)
    """Nodes that list it; the page answers on every node."""

    def is_for(self, role: NodeRole) -> bool:
        """Return whether a node of this role lists the entry."""
        return role in self.roles


AREAS: dict[str, tuple[Place, ...]] = {
    "": (Place("home", "/"),),
    "gather": (Place("sources", "/sources"), Place("assets", "/assets"), Place("hub", "/hub")),
    "share": (
        Place("sharing", "/sharing"),
        Place("market", "/sharing/find"),
        Place("agreements", "/sharing/agreements"),
        Place("transfers", "/sharing/transfers"),
        Place("clearances", "/sharing/clearances"),
        Place("ledger", "/sharing/ledger"),
        Place("partners", "/sharing/partners"),
        Place("spaces", "/sharing/spaces"),
    ),
    "apply": (Place("oee", "/apps/oee"),),
    "govern": (Place("catalogue", "/catalogue"), Place("standards", "/standards")),
    "secure": (Place("decisions", "/decisions"), Place("audit", "/audit"), Place("accounts", "/accounts")),
    "industry": (Place("components", "/components"),),
}
