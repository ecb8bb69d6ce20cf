"""contracts, groups and places bound to the party's key."""

import hashlib

import sqlalchemy as sa
from alembic import op
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

revision = "0014"
down_revision = "0013"

BOUND = ("share_agreements", "share_group_members", "share_places")


def upgrade() -> None:
    """Apply. What stands is bound to the key that is known now; with a party that is not known, to nobody."""
    op.create_table(
        "share_key_changes",
        sa.Column("change_id", sa.String(length=200), nullable=False),
        sa.Column("party_id", sa.String(length=200), nullable=False),
        sa.Column("former", sa.String(length=400), nullable=False),
        sa.Column("current", sa.String(length=400), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=200), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_share_key_changes")),
    )
    op.add_column("parties", sa.Column("proof", sa.String(length=400), server_default="", nullable=False))
    for table in BOUND:
        op.add_column(table, sa.Column("bound_to", sa.String(length=400), server_default="", nullable=False))
    connection = op.get_bind()
    known = connection.execute(sa.text("SELECT party_id, public_key_pem, identity, certificate_pin FROM parties")).all()
    for party_id, pem, identity, pin in known:
        proof = {"proof": _proof(pem, identity, pin), "party": party_id}
        connection.execute(sa.text("UPDATE parties SET proof = :proof WHERE party_id = :party"), proof)
        for table, column in zip(BOUND, ("counterparty", "party_id", "party_id"), strict=True):
            statement = f"UPDATE {table} SET bound_to = :proof WHERE {column} = :party"
            connection.execute(sa.text(statement), proof)


def downgrade() -> None:
    """Take back."""
    for table in BOUND:
        op.drop_column(table, "bound_to")
    op.drop_column("parties", "proof")
    op.drop_table("share_key_changes")


def _proof(pem: str, identity: str, pin: str) -> str:
    """Write what `Party.proof` wrote when this revision was made."""
    shown = ""
    if pem:
        der = load_pem_public_key(pem.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        shown = "sha256:" + hashlib.sha256(der).hexdigest()
    if identity in ("gongshu", "mtls+gongshu"):
        return f"key {shown}"
    return " ".join(part for part in (identity, shown, "" if identity == "dcp" else pin) if part)
