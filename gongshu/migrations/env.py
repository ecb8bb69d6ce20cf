"""Alembic runs this file: it upgrades the engine that `Database` hands over, one process at a time."""

import sqlalchemy as sa
from alembic import context

from gongshu.database import metadata


def run() -> None:
    """Run the revisions inside one transaction, behind a lock on PostgreSQL (SQLite's BEGIN IMMEDIATE is one)."""
    engine: sa.Engine = context.config.attributes["engine"]
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(6720)"))
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=False)
        context.run_migrations()


run()
