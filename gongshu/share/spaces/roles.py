"""Who may do what in a space: five roles, one matrix. Pure.

Source: 可信数据空间发展行动计划（2024—2028年） for the roles; the matrix is this platform's.
"""

from collections.abc import Collection
from enum import StrEnum


class SpaceRole(StrEnum):
    """What a party is in a space."""

    OPERATOR = "operator"
    PROVIDER = "provider"
    USER = "user"
    SERVICE = "service"
    REGULATOR = "regulator"

    @property
    def term(self) -> str:
        """The Chinese term."""
        return _TERMS[self]


_TERMS = {
    SpaceRole.OPERATOR: "运营者",
    SpaceRole.PROVIDER: "数据提供方",
    SpaceRole.USER: "数据使用方",
    SpaceRole.SERVICE: "数据服务方",
    SpaceRole.REGULATOR: "监管方",
}


class Act(StrEnum):
    """What can be done in a space; nobody can see data through it, so there is no such act."""

    SEE_CATALOGUE = "see the catalogue"
    SEE_MEMBERS = "see the members"
    SEE_CONTRACTS = "see the facts of all contracts"
    SEE_HISTORY = "see who decided what"
    SUBMIT = "submit entries"
    PUBLISH = "publish its entries"
    WITHDRAW = "withdraw its entries"
    REPORT = "report its contracts"
    LEAVE = "leave"
    AUDIT = "audit entries"
    ADMIT = "decide on members"
    DISSOLVE = "dissolve the space"


_LOOK = frozenset({Act.SEE_CATALOGUE, Act.SEE_MEMBERS})
_OFFER = frozenset({Act.SUBMIT, Act.PUBLISH, Act.WITHDRAW})
MATRIX: dict[SpaceRole, frozenset[Act]] = {
    SpaceRole.OPERATOR: _LOOK | {Act.SEE_CONTRACTS, Act.SEE_HISTORY, Act.WITHDRAW, Act.AUDIT, Act.ADMIT, Act.DISSOLVE},
    SpaceRole.PROVIDER: _LOOK | _OFFER | {Act.REPORT, Act.LEAVE},
    SpaceRole.USER: _LOOK | {Act.REPORT, Act.LEAVE},
    SpaceRole.SERVICE: _LOOK | _OFFER | {Act.REPORT, Act.LEAVE},
    SpaceRole.REGULATOR: _LOOK | {Act.SEE_CONTRACTS, Act.SEE_HISTORY, Act.LEAVE},
}
APPLICABLE = frozenset(SpaceRole) - {SpaceRole.OPERATOR}
"""Roles that a party can apply for; the operator is who runs the node."""


def may(roles: Collection[SpaceRole], act: Act) -> bool:
    """Return whether one of the roles allows the act; no role allows nothing.

    >>> may([SpaceRole.REGULATOR], Act.SEE_CONTRACTS), may([SpaceRole.USER], Act.SUBMIT), may([], Act.SEE_CATALOGUE)
    (True, False, False)
    """
    return any(act in MATRIX[role] for role in roles)


def why_not_together(roles: Collection[SpaceRole]) -> str | None:
    """Return why a party cannot hold these roles at the same time, None if it can: who supervises takes no part."""
    if not roles:
        return "it names no role"
    if not set(roles) <= APPLICABLE:
        return "the operator's role is not applied for"
    if SpaceRole.REGULATOR in roles and len(set(roles)) > 1:
        return "a regulator takes no other part in the space it supervises"
    return None
