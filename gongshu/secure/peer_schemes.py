"""The schemes of identity that come with the platform, as the entry point group declares them."""

from gongshu.secure.peer_identity import IdentitySpec, SchemeParts
from gongshu.secure.peer_mtls import NAME as MTLS_NAME
from gongshu.secure.peer_mtls import NAME_WITH_TOKENS, MutualTls, MutualTlsWithTokens
from gongshu.secure.peer_tokens import NAME, PeerTokens

GONGSHU = IdentitySpec(
    name=NAME,
    title="Tokens signed by the registered key",
    opens="gongshu.secure.peer_schemes:open_gongshu",
    sources=("RFC 7515", "RFC 7519", "RFC 8037"),
)

DCP = IdentitySpec(
    name="dcp",
    title="Decentralized Claims Protocol",
    opens="gongshu.secure.dcp.scheme:open_scheme",
    sources=("DCP 1.0.1", "DID Core 1.0", "VC Data Model 1.1 and 2.0", "Bitstring Status List 1.0"),
)
MTLS = IdentitySpec(
    name=MTLS_NAME,
    title="The certificate shown in TLS",
    opens="gongshu.secure.peer_schemes:open_mtls",
    sources=("RFC 8446 §4.4.2", "RFC 5280"),
)
MTLS_GONGSHU = IdentitySpec(
    name=NAME_WITH_TOKENS,
    title="The certificate shown in TLS, and signed tokens",
    opens="gongshu.secure.peer_schemes:open_mtls_with_tokens",
    sources=("RFC 8446 §4.4.2", "RFC 5280", "RFC 7515"),
)


def open_gongshu(parts: SchemeParts) -> PeerTokens:
    """Return the node's own tokens, which the rooms above use directly too."""
    return parts.peers


def open_mtls(parts: SchemeParts) -> MutualTls | None:
    """Return the scheme of certificates; None if TLS does not end in this node, where nobody could show one."""
    if parts.tls.certificate is None:
        return None
    return MutualTls(parts.parties, parts.tls.authorities(), parts.clock)


def open_mtls_with_tokens(parts: SchemeParts) -> MutualTlsWithTokens | None:
    """Return the scheme of certificates and tokens; None if TLS does not end in this node."""
    if parts.tls.certificate is None:
        return None
    return MutualTlsWithTokens(parts.parties, parts.tls.authorities(), parts.clock, parts.peers)
