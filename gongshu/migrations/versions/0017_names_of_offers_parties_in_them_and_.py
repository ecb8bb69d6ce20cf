"""names of offers, parties in them and processes bound to keys."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply. What stands is bound to the key that is known now; with a party that is not known, to nobody."""
    op.create_table(
        "share_published_names",
        sa.Column("published_as", sa.String(length=400), nullable=False),
        sa.Column("dataset_id", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("published_as", name=op.f("pk_share_published_names")),
    )
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "INSERT INTO share_published_names (published_as, dataset_id) "
            "SELECT published_as, MIN(dataset_id) FROM share_offers GROUP BY published_as"
        )
    )
    for table, column in (("share_offer_parties", "party_id"), ("share_processes", "counterparty")):
        op.add_column(table, sa.Column("bound_to", sa.String(length=400), server_default="", nullable=False))
        known = f"SELECT proof FROM parties WHERE parties.party_id = {table}.{column}"
        connection.execute(sa.text(f"UPDATE {table} SET bound_to = COALESCE(({known}), '')"))


def downgrade() -> None:
    """Take back."""
    op.drop_column("share_processes", "bound_to")
    op.drop_column("share_offer_parties", "bound_to")
    op.drop_table("share_published_names")
