"""The tables of kept data: keys without the keys, versions and their files, receipts, proofs."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")

kept_keys = sa.Table(
    "share_kept_keys",
    metadata,
    sa.Column("key_id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("agreement_id", sa.String(400), nullable=False, index=True),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("shredded_at", UtcTime),
    sa.Column("proof", sa.Text, nullable=False, default=""),
    sa.Column("signature", sa.String(200), nullable=False, default=""),
    sa.Column("told_at", UtcTime),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", UtcTime),
)
"""One key of a contract; the key itself is in the vault, under its fingerprint. `state`: held, ending (it must go, and
no read is permitted), shredded (it is gone), proved (the files are gone too, the proof is written), told (the provider
has it). A contract whose copies all fell due gets a new key with its next delivery."""

kept_versions = sa.Table(
    "share_kept_versions",
    metadata,
    sa.Column("version_id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("dataset_id", sa.String(200), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("transfer_id", sa.String(200), nullable=False, default=""),
    sa.Column("columns", sa.LargeBinary, nullable=False),
    sa.Column("is_current", sa.Boolean, nullable=False, default=False),
    sa.Column("reads", sa.Integer, nullable=False, default=0),
    sa.Column("made_at", UtcTime, nullable=False),
)
"""One delivery of a dataset, or one derived state of it (`kind`: delivery, derived). Only the current one is read."""

kept_version_keys = sa.Table(
    "share_kept_version_keys",
    metadata,
    sa.Column("version_id", sa.ForeignKey("share_kept_versions.version_id"), primary_key=True),
    sa.Column("key_id", sa.ForeignKey("share_kept_keys.key_id"), primary_key=True),
)
"""Derived data need the keys of all their sources: without any one of them they cannot be read."""

kept_files = sa.Table(
    "share_kept_files",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("version_id", sa.ForeignKey("share_kept_versions.version_id"), nullable=False, index=True),
    sa.Column("is_whole", sa.Boolean, nullable=False, default=False),
    sa.Column("rows", sa.BigInteger, nullable=False, default=0),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("sha256", sa.String(64), nullable=False, default=""),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("replaced_at", UtcTime),
    sa.Column("deleted_at", UtcTime),
)
"""Written before the file is begun, so that what a killed process left is found. `replaced_at`: its rows lie in a
larger file since then; it goes when no query reads it any more, and its row with it."""

kept_reads = sa.Table(
    "share_kept_reads",
    metadata,
    sa.Column("read_id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("agreement_id", sa.String(400), nullable=False, index=True),
    sa.Column("dataset_id", sa.String(200), nullable=False),
    sa.Column("role", sa.String(400), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("operation", sa.String(20), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
"""Readings that have begun and are not yet told of; a read that died is told of later, with rows unknown."""

usage_receipts = sa.Table(
    "share_usage_receipts",
    metadata,
    sa.Column("direction", sa.String(3), primary_key=True),
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("body_hash", sa.String(64), nullable=False),
    sa.Column("signature", sa.String(200), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("acknowledged_at", UtcTime),
    sa.Index("ix_share_usage_receipts_waiting", "direction", "acknowledged_at"),
)
"""The chain of a contract: what we signed (`out`) and what partners sent (`in`, where `at` is when it came)."""

receipt_faults = sa.Table(
    "share_receipt_faults",
    metadata,
    sa.Column("fault_id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("agreement_id", sa.String(400), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False, default=0),
    sa.Column("seen", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.UniqueConstraint("agreement_id", "kind", "sequence", name="uq_share_receipt_faults_once"),
)
"""What was wrong with a partner's receipts: gap, fork, forged, silence."""

deletion_proofs = sa.Table(
    "share_deletion_proofs",
    metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("signature", sa.String(200), nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
)
"""What partners proved to us."""

counted_time = sa.Table(
    "share_counted_time",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("held_since", UtcTime),
    sa.Column("basis", sa.Text, nullable=False),
)
"""One row while anything is held: the time by which it is destroyed, and since when a jump of the clock is not
believed."""
