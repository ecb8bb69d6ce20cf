"""time by which received data are destroyed."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply. The latest moment that was seen was written down twice; the later of the two stays."""
    op.create_table(
        "share_counted_time",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("held_since", sa.BigInteger(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_counted_time")),
    )
    later = "(SELECT highest FROM share_kept_clock WHERE highest > share_high_time.at)"
    op.execute(f"UPDATE share_high_time SET at = {later} WHERE EXISTS {later}")
    op.execute(
        "INSERT INTO share_high_time (id, at) SELECT 1, highest FROM share_kept_clock "
        "WHERE NOT EXISTS (SELECT 1 FROM share_high_time)"
    )
    op.drop_table("share_kept_clock")


def downgrade() -> None:
    """Take back."""
    op.create_table(
        "share_kept_clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_kept_clock")),
    )
    op.drop_table("share_counted_time")
