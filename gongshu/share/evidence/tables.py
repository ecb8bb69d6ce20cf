"""The tables of evidence: both chains of a contract, the deliveries matched, and who speaks this at all."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

evidence_entries = sa.Table(
    "share_evidence_entries",
    metadata,
    sa.Column("direction", sa.String(3), primary_key=True),
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("body_hash", sa.String(64), nullable=False, index=True),
    sa.Column("signature", sa.String(200), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("acknowledged_at", UtcTime),
    sa.Index("ix_share_evidence_entries_waiting", "direction", "acknowledged_at"),
)
"""Our chain of a contract (`out`) and the other side's (`in`, where `at` is when it came). `kind`: line, agree,
dispute, settle, end."""

evidence_deliveries = sa.Table(
    "share_evidence_deliveries",
    metadata,
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("delivery", sa.String(200), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("own_line", sa.String(64), nullable=False, default=""),
    sa.Column("their_line", sa.String(64), nullable=False, default=""),
    sa.Column("own_figures", sa.Text, nullable=False, default=""),
    sa.Column("their_figures", sa.Text, nullable=False, default=""),
    sa.Column("round", sa.Integer, nullable=False, default=0),
    sa.Column("own_choice", sa.Text, nullable=False, default=""),
    sa.Column("their_choice", sa.Text, nullable=False, default=""),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Index("ix_share_evidence_deliveries_due", "due_at"),
    sa.Index("ix_share_evidence_deliveries_state", "state"),
)
"""One delivery as both sides count it. `due_at`: when the other line is late, or a dispute lapses; `round` counts how
often both sides have said how a dispute is to end."""

evidence_partners = sa.Table(
    "share_evidence_partners",
    metadata,
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("spoke_at", UtcTime),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", UtcTime),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
)
"""`spoke_at`: the last valid word of a party's node; one that never spoke meters on one side only."""

stream_marks = sa.Table(
    "share_stream_marks",
    metadata,
    sa.Column("process_id", sa.String(200), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
"""Windows of a stream that were sent or kept and stand in no line yet."""
