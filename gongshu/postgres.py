"""Connections to PostgreSQL with few journeys to the server; what SQLAlchemy does for safety costs some each time.

This module must not know what any table means.
"""

import select
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

IDLE_S = 30.0
"""A connection that lay longer is asked whether it still holds: a cut cable says nothing by itself. Ours."""
PREPARED_AFTER = 1
"""A statement is prepared when a connection carries it out for the second time; the driver's own 5 lets a node that
has just started plan each of them on each of its connections for a hundred contracts."""
_IDLE_SINCE = "gongshu_idle_since_s"


def tend_connections(engine: sa.Engine) -> None:
    """Let the engine's pool replace connections that the server has ended, without asking each of them each time.

    One that was ended has something to read. If one is found, all that are open are replaced when they are taken next.
    """

    def begin(driver: Any, record: Any) -> None:  # noqa: ARG001
        driver.prepare_threshold = PREPARED_AFTER

    def lie_down(driver: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()
        if driver is not None and not driver.closed and driver.autocommit:  # by `one_by_one`; the next user may write
            driver.autocommit = False

    def take(driver: Any, record: Any, proxy: Any) -> None:  # noqa: ARG001
        since_s = record.info.get(_IDLE_SINCE)
        if since_s is None:  # it was opened a moment ago
            return
        try:
            if time.monotonic() - since_s > IDLE_S or _has_something_to_say(driver):
                engine.dialect.do_ping(driver)
        except (engine.dialect.loaded_dbapi.Error, OSError, ValueError) as cause:
            raise sa.exc.InvalidatePoolError from cause

    event.listen(engine, "connect", begin)
    event.listen(engine, "checkin", lie_down)
    event.listen(engine, "checkout", take)


def one_by_one(connection: sa.Connection) -> None:
    """Let the server end each statement by itself, until the connection is given back to its pool.

    For reading: each statement sees the newest state anyway (READ COMMITTED), and a transaction around them would cost
    two more journeys. Rows cannot be taken in parts (`yield_per`).
    """
    driver: Any = connection.connection.driver_connection
    driver.autocommit = True


def _has_something_to_say(driver: Any) -> bool:
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))
