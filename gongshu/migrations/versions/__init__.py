"""Alembic revisions of the metadata database."""
