"""Which of a server's endpoints is used: the best of the protection that was asked for, or none. Pure.

Source: OPC 10000-4 §5.4.4 GetEndpoints; OPC 10000-7 §6.6 (security policies).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gongshu.gather.connectors.opcua.config import Security

POLICY_PREFIX = "http://opcfoundation.org/UA/SecurityPolicy#"
POLICIES = ("Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep")
"""Accepted, best first. Basic256 and Basic128Rsa15 use SHA-1 and are withdrawn (OPC 10000-7)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One endpoint as the server describes it."""

    mode: Security
    policy: str
    """Without its prefix; `None` for no protection."""
    logins: frozenset[str]
    """`anonymous`, `username`, `certificate`."""
    certificate: bytes
    """DER, the server's own first."""
    application_uri: str


def choose_offer(offers: Sequence[Offer], wanted: Security, login: str) -> Offer | None:
    """Return the offer with the best policy among those that give exactly the protection and the login wanted.

    A weaker or stronger protection than the one configured is never taken instead: what runs is what was asked for.
    """
    fitting = [offer for offer in offers if offer.mode is wanted and login in offer.logins]
    if wanted is Security.NONE:
        return next((offer for offer in fitting if offer.policy == "None"), None)
    ranked = [offer for offer in fitting if offer.policy in POLICIES]
    return min(ranked, key=lambda offer: POLICIES.index(offer.policy), default=None)


def describe_offers(offers: Sequence[Offer]) -> str:
    """Return what a server offers, for the message that says why none fits."""
    if not offers:
        return "nothing"
    return "; ".join(
        sorted(
            {f"{offer.mode.value} {offer.policy} ({', '.join(sorted(offer.logins)) or 'no login'})" for offer in offers}
        )
    )
