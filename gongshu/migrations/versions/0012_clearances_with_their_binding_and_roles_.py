"""clearances with their binding and roles, watermarks."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply. Both tables were declared before anything could write to them: they are empty, and made anew."""
    op.drop_table("share_clearance_approvals")
    op.drop_index("ix_share_clearances_of", table_name="share_clearances")
    op.drop_table("share_clearances")
    op.create_table(
        "share_clearances",
        sa.Column("clearance_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("dataset_id", sa.String(length=200), nullable=False),
        sa.Column("party_id", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("bound_to", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("ended_as", sa.String(length=20), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=200), nullable=False),
        sa.Column("ended_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("clearance_id", name=op.f("pk_share_clearances")),
    )
    op.create_index("ix_share_clearances_of", "share_clearances", ["dataset_id", "party_id"], unique=False)
    op.create_table(
        "share_clearance_approvals",
        sa.Column("clearance_id", sa.String(length=200), nullable=False),
        sa.Column("approved_by", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["clearance_id"], ["share_clearances.clearance_id"], name=op.f("fk_share_clearance_approvals_clearance_id")
        ),
        sa.PrimaryKeyConstraint("clearance_id", "approved_by", name=op.f("pk_share_clearance_approvals")),
        sa.UniqueConstraint("clearance_id", "role", name=op.f("uq_share_clearance_approvals_clearance_id_role")),
    )
    op.create_table(
        "share_watermarks",
        sa.Column("delivery_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dataset_id", sa.String(length=200), nullable=False),
        sa.Column("party_id", sa.String(length=200), nullable=False),
        sa.Column("clearance_id", sa.String(length=200), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("marked", sa.BigInteger(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_share_watermarks")),
    )
    op.create_index("ix_share_watermarks_of", "share_watermarks", ["dataset_id", "party_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_share_watermarks_of", table_name="share_watermarks")
    op.drop_table("share_watermarks")
    op.drop_table("share_clearance_approvals")
    op.drop_index("ix_share_clearances_of", table_name="share_clearances")
    op.drop_table("share_clearances")
    op.create_table(
        "share_clearances",
        sa.Column("clearance_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("dataset_id", sa.String(length=200), nullable=False),
        sa.Column("party_id", sa.String(length=200), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("clearance_id", name=op.f("pk_share_clearances")),
    )
    op.create_index("ix_share_clearances_of", "share_clearances", ["dataset_id", "party_id"], unique=False)
    op.create_table(
        "share_clearance_approvals",
        sa.Column("clearance_id", sa.String(length=200), nullable=False),
        sa.Column("approved_by", sa.String(length=200), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clearance_id"], ["share_clearances.clearance_id"], name=op.f("fk_share_clearance_approvals_clearance_id")
        ),
        sa.PrimaryKeyConstraint("clearance_id", "approved_by", name=op.f("pk_share_clearance_approvals")),
    )
