"""Who may do what in the hub. Data are guarded by the gate; these roles guard acts and published tables."""

from collections.abc import Set as AbstractSet

from gongshu.hub.errors import RoleMissing
from gongshu.model.access import Role, Subject

CONTRACTORS = frozenset({Role.STEWARD, Role.SYSTEM_ADMIN})
"""Invite, join, end an agreement."""
REPORTERS = frozenset({Role.STEWARD, Role.PRODUCT_OWNER})
"""Name the query behind an indicator, make and send a report."""
PUBLISHERS = frozenset({Role.STEWARD})
"""Release totals."""
OVERSEERS = frozenset({Role.STEWARD, Role.ANALYST, Role.AUDIT_ADMIN})
"""See who reported and who is late; never a value."""
READERS = OVERSEERS | {Role.VIEWER, Role.ENGINEER, Role.PRODUCT_OWNER, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN}
"""See released totals."""


def require_role(subject: Subject, allowed: AbstractSet[Role], *, what: str) -> None:
    """Refuse a subject that has none of the roles.

    Raises: RoleMissing, which names the roles that would do.
    """
    if not subject.roles & allowed:
        raise RoleMissing(subject=subject.subject_id, what=what, roles=", ".join(sorted(allowed)))
