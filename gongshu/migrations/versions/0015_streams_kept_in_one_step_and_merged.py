"""streams kept in one step, and merged."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply. A part that was kept and not yet noted when its process ended is noted now: it is not kept again."""
    follows = sa.table(
        "share_follows",
        sa.column("process_id", sa.String),
        sa.column("position", sa.BigInteger),
        sa.column("keeping_to", sa.BigInteger),
    )
    files = sa.table("share_kept_files", sa.column("name", sa.String), sa.column("is_whole", sa.Boolean))
    connection = op.get_bind()
    for row in connection.execute(sa.select(follows).where(follows.c.keeping_to.is_not(None))).all():
        part = f"{row.process_id} {row.process_id} {row.keeping_to}"
        named = hashlib.sha256(part.encode()).hexdigest()[:24]
        kept = sa.select(files.c.name).where(files.c.name.startswith(named), files.c.is_whole)
        if connection.execute(kept.limit(1)).first() is not None:
            mine = sa.update(follows).where(follows.c.process_id == row.process_id)
            connection.execute(mine.values(position=row.keeping_to))
    op.drop_column("share_follows", "keeping_to")
    op.add_column("share_kept_files", sa.Column("replaced_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("share_kept_files", "replaced_at")
    op.add_column("share_follows", sa.Column("keeping_to", sa.BigInteger(), nullable=True))
