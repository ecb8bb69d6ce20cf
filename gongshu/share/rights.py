"""Which roles may do what in the data space. The gate decides about data; this decides about dealing."""

from gongshu.model.access import Role, Subject
from gongshu.secure.errors import NotAllowed

DEALERS = frozenset({Role.PRODUCT_OWNER, Role.STEWARD, Role.APP})
"""Offer, withdraw, approve, decline, end agreements, register parties."""
USERS = DEALERS | {Role.ANALYST, Role.ENGINEER}
"""Look for data, negotiate, transfer and pull."""
LOOKERS = USERS | {Role.VIEWER, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN}
"""See what is going on; partners never do."""


def require_right(actor: Subject, roles: frozenset[Role], act: str) -> None:
    """Return if the actor has one of the roles. Raises: NotAllowed."""
    if not actor.roles & roles:
        wanted = " or ".join(sorted(role.value for role in roles))
        raise NotAllowed(actor=actor.subject_id, act=act, role=wanted)
