"""Slows guessing down: failures are counted for each account name and for each address."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from gongshu.secure.identity.rules import plan_delay
from gongshu.secure.tables import login_failures

FORGET_AFTER = timedelta(hours=24)
"""A count that rests this long starts anew."""


def read_wait(connection: sa.Connection, scopes: Sequence[str], now: datetime) -> timedelta:
    """Return how long an attempt has to wait because of any of the scopes; zero means that it may be made."""
    query = sa.select(sa.func.max(login_failures.c.blocked_until)).where(login_failures.c.scope.in_(scopes))
    until = connection.execute(query).scalar()
    return max(until - now, timedelta(0)) if until is not None else timedelta(0)


def write_failure(connection: sa.Connection, scopes: Sequence[str], now: datetime) -> None:
    """Count one failure. It is counted before the password is checked, so that parallel guesses all count."""
    for scope in scopes:
        row = connection.execute(sa.select(login_failures).where(login_failures.c.scope == scope)).first()
        stale = row is not None and now - row.last_at > FORGET_AFTER
        failures = 1 if row is None or stale else row.failures + 1
        values = {"failures": failures, "last_at": now, "blocked_until": now + plan_delay(failures)}
        if row is None:
            connection.execute(sa.insert(login_failures).values(scope=scope, **values))
        else:
            connection.execute(sa.update(login_failures).where(login_failures.c.scope == scope).values(**values))


def write_success(connection: sa.Connection, account_scope: str, address_scope: str) -> None:
    """Forget the account's failures, and take this one attempt back from the address.

    An address keeps its other failures: one known password must not buy guesses at other accounts.
    """
    connection.execute(sa.delete(login_failures).where(login_failures.c.scope == account_scope))
    connection.execute(
        sa.update(login_failures)
        .where(login_failures.c.scope == address_scope)
        .values(failures=login_failures.c.failures - 1, blocked_until=None)
    )
