"""memberships of spaces bound to keys."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

KNOWN = "(SELECT proof FROM parties WHERE parties.party_id = space_members.party_id)"


def upgrade() -> None:
    """Apply. Who applied by the key that is known now is bound to it; another one to the key of its application."""
    op.add_column("space_members", sa.Column("bound_to", sa.String(length=400), server_default="", nullable=False))
    op.execute("UPDATE space_members SET bound_to = 'key ' || fingerprint")
    op.execute(f"UPDATE space_members SET bound_to = {KNOWN} WHERE {KNOWN} LIKE '%' || fingerprint || '%'")


def downgrade() -> None:
    """Take back."""
    op.drop_column("space_members", "bound_to")
