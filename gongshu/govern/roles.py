"""Which roles may do what in governance; the doors (HTTP, command line) ask here, the services do not."""

from collections.abc import Collection

from gongshu.govern.errors import RoleMissing
from gongshu.model.access import Role, Subject
from gongshu.model.ids import DatasetId

READERS = frozenset(Role) - {Role.PARTNER}
"""Partners see offers, never the catalogue."""
CONFIRMERS = frozenset({Role.STEWARD})
SECRET_DECLARERS = frozenset({Role.STEWARD, Role.SECURITY_ADMIN})
JUDGES = frozenset({Role.STEWARD, Role.ENGINEER, Role.ANALYST})


def require_role(subject: Subject, roles: Collection[Role], act: str, dataset_id: DatasetId | str = "") -> None:
    """Let those pass who have one of the roles.

    Raises: RoleMissing, which names the roles that could.
    """
    if not subject.roles & frozenset(roles):
        named = ", ".join(sorted(role.value for role in roles))
        raise RoleMissing(subject=subject.subject_id, act=act, dataset_id=dataset_id or "the catalogue", roles=named)
