"""Alembic runs this file: it works on the engine that `Database` hands over, one process at a time."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from gongshu.database import UtcTime, metadata


def run() -> None:
    """Run the revisions inside one transaction, behind a lock on PostgreSQL (SQLite's BEGIN IMMEDIATE is one)."""
    engine: sa.Engine = context.config.attributes["engine"]
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(6720)"))
        context.configure(connection=connection, target_metadata=metadata, render_item=_render)
        context.run_migrations()


def _render(kind: str, item: Any, api: Any) -> str | Literal[False]:  # noqa: ARG001
    """Write our own column type as what the database sees, so that old revisions do not depend on today's code."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, UtcTime) else False


run()
