"""Who may see and change sources. The gate rules the data; this rules only the plumbing."""

from gongshu.gather.errors import NotAllowed
from gongshu.model.access import Role, Subject

MAY_CHANGE = frozenset({Role.ENGINEER, Role.SYSTEM_ADMIN})
MAY_IMPORT = MAY_CHANGE | {Role.STEWARD}
MAY_SEE = MAY_IMPORT | {Role.SECURITY_ADMIN, Role.AUDIT_ADMIN, Role.ANALYST, Role.VIEWER}


def require_role(subject: Subject, roles: frozenset[Role], what: str) -> Subject:
    """Return the subject if it has one of the roles. Raises: NotAllowed, which says who could give it."""
    if not subject.roles & roles:
        raise NotAllowed(subject=subject.subject_id, what=what, roles=", ".join(sorted(roles)))
    return subject
