"""The tables of this room: the sources there are, and what was lost on the way from them."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source_id", sa.String(63), primary_key=True),
    sa.Column("connector", sa.String(63), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("assets", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("desired", sa.String(16), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
)
"""`config` has no secrets: they lie in the keys folder, one file a source."""

source_losses = sa.Table(
    "source_losses",
    metadata,
    sa.Column("loss_id", sa.Integer, primary_key=True),
    sa.Column("source_id", sa.String(63), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("readings", sa.BigInteger),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("ended_at", UtcTime),
    sa.Column("recorded_at", UtcTime, nullable=False),
    sa.Column("recovered", sa.Boolean, nullable=False),
)
"""Kept when a source is removed: what is missing from the readings stays explained."""
