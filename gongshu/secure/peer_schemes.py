"""The schemes of identity that come with the platform, as the entry point group declares them."""

from gongshu.secure.peer_identity import IdentitySpec, SchemeParts
from gongshu.secure.peer_tokens import NAME, PeerTokens

GONGSHU = IdentitySpec(
    name=NAME,
    title="Tokens signed by the registered key",
    opens="gongshu.secure.peer_schemes:open_gongshu",
    sources=("RFC 7515", "RFC 7519", "RFC 8037"),
)


def open_gongshu(parts: SchemeParts) -> PeerTokens:
    """Return the node's own tokens, which the rooms above use directly too."""
    return parts.peers
