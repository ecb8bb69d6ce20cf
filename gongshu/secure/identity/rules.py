"""What an account may be, and how long a guesser has to wait. Pure."""

import re
from collections.abc import Iterable
from datetime import timedelta

from gongshu.model.access import Role

ADMINISTRATORS = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})
"""The three that one account never holds together. Source: GB/T 22239-2019 §8.1.5 (系统、审计、安全管理)."""

PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 256
PASSWORD_KINDS_MIN = 5
"""Our choice: length over symbols, after NIST SP 800-63B §5.1.1.2, and no one-letter passwords."""

FREE_FAILURES = 3
DELAY_MAX = timedelta(minutes=15)
"""After three failures each further one doubles the wait from one second up to this. Our choice: a guesser gets about
a hundred tries a day, and nobody can lock another's account for longer than this."""

_NAME = re.compile(r"[a-z][a-z0-9._-]{1,62}")


def name_fault(name: str) -> str | None:
    """Return why the name cannot be used, or None.

    >>> name_fault("li.wei") is None, name_fault("Li Wei") is None
    (True, False)
    """
    if _NAME.fullmatch(name):
        return None
    return "a name has 2 to 63 lower-case letters, digits, dots, hyphens or underscores, a letter first"


def password_fault(password: str, name: str) -> str | None:
    """Return why the password cannot be used, or None."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        return f"it must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters"
    if name.casefold() in password.casefold():
        return "it must not contain the account's name"
    if len(set(password)) < PASSWORD_KINDS_MIN:
        return f"it must have at least {PASSWORD_KINDS_MIN} different characters"
    return None


def administrator_roles(roles: Iterable[Role]) -> frozenset[Role]:
    """Return those of the three administrator roles that are among `roles`; more than one is a conflict."""
    return ADMINISTRATORS & frozenset(roles)


def plan_delay(failures: int) -> timedelta:
    """Return how long the next attempt has to wait after so many failures in a row.

    >>> [plan_delay(n).seconds for n in (0, 3, 4, 5, 30)]
    [0, 0, 1, 2, 900]
    """
    if failures <= FREE_FAILURES:
        return timedelta(0)
    doublings = min(failures - FREE_FAILURES - 1, 20)
    return min(timedelta(seconds=2**doublings), DELAY_MAX)
