"""Database tables of what contracts stand on: facts about partners, documents and signatures, notices, clearances."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

share_groups = sa.Table(
    "share_groups",
    metadata,
    sa.Column("group_id", sa.String(200), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)

share_group_members = sa.Table(
    "share_group_members",
    metadata,
    sa.Column("group_id", sa.ForeignKey("share_groups.group_id"), primary_key=True),
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("added_by", sa.String(200), nullable=False),
    sa.Column("bound_to", sa.String(400), nullable=False, server_default=""),
)
"""Who is in a group now; read at every judgement, so a change binds at once. A row counts while the party proves itself
by what it did when it was added (`bound_to`)."""

share_places = sa.Table(
    "share_places",
    metadata,
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("place", sa.String(80), nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("registered_at", UtcTime, nullable=False),
    sa.Column("registered_by", sa.String(200), nullable=False),
    sa.Column("bound_to", sa.String(400), nullable=False, server_default=""),
)
"""Where a party is, and what that is known from; it counts as a group's member does."""

share_key_changes = sa.Table(
    "share_key_changes",
    metadata,
    sa.Column("change_id", sa.String(200), primary_key=True),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("former", sa.String(400), nullable=False),
    sa.Column("current", sa.String(400), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("decided_at", UtcTime),
    sa.Column("decided_by", sa.String(200), nullable=False, default=""),
    sa.Column("outcome", sa.String(20), nullable=False, default=""),
)
"""That what was agreed with a party under `former` goes on under `current`: one person asks, another one decides."""

share_payments = sa.Table(
    "share_payments",
    metadata,
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("reference", sa.String(200), nullable=False),
    sa.Column("confirmed_at", UtcTime, nullable=False),
    sa.Column("confirmed_by", sa.String(200), nullable=False),
    sa.UniqueConstraint("reference"),
)
"""Payments that somebody confirmed; one reference pays one agreement."""

share_notices = sa.Table(
    "share_notices",
    metadata,
    sa.Column("notice_id", sa.String(200), primary_key=True),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("agreement_id", sa.String(400), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("queued_at", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", UtcTime),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
    sa.Index("ix_share_notices_due", "due_at"),
)
"""Signed notices of uses, kept until and after they were delivered. `due_at` is empty once nothing is to be done."""

share_notices_received = sa.Table(
    "share_notices_received",
    metadata,
    sa.Column("notice_id", sa.String(200), primary_key=True),
    sa.Column("sender", sa.String(200), primary_key=True),
    sa.Column("agreement_id", sa.String(400), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Index("ix_share_notices_received_sender", "sender", "received_at"),
)

share_contracts = sa.Table(
    "share_contracts",
    metadata,
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("document_hash", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("replaces", sa.String(400), nullable=False, default=""),
    sa.Column("needs_both", sa.Boolean, nullable=False),
    sa.Index("ix_share_contracts_replaces", "replaces"),
)
"""The canonical contract document of an agreement. `needs_both`: it counts only with both signatures."""

share_contract_signatures = sa.Table(
    "share_contract_signatures",
    metadata,
    sa.Column("agreement_id", sa.ForeignKey("share_contracts.agreement_id"), primary_key=True),
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("statement", sa.Text, nullable=False),
    sa.Column("kept_at", UtcTime, nullable=False),
)
"""`statement` is the JSON of one signature: party, fingerprint, time, public key, signature."""

share_attachments = sa.Table(
    "share_attachments",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("media_type", sa.String(200), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("added_at", UtcTime, nullable=False),
)

share_offer_attachments = sa.Table(
    "share_offer_attachments",
    metadata,
    sa.Column("offer_id", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("sha256", sa.ForeignKey("share_attachments.sha256"), nullable=False),
)

share_clearances = sa.Table(
    "share_clearances",
    metadata,
    sa.Column("clearance_id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("dataset_id", sa.String(200), nullable=False),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
    sa.Column("bound_to", sa.String(64), nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("valid_until", UtcTime, nullable=False),
    sa.Column("ended_as", sa.String(20), nullable=False, default=""),
    sa.Column("ended_at", UtcTime),
    sa.Column("ended_by", sa.String(200), nullable=False, default=""),
    sa.Column("ended_why", sa.Text, nullable=False, default=""),
    sa.Index("ix_share_clearances_of", "dataset_id", "party_id"),
)
"""That one dataset may go to one party, by a procedure: requested, approved by others, in force, ended. `bound_to` is
the hash of the label, columns and key it stands on."""

share_clearance_approvals = sa.Table(
    "share_clearance_approvals",
    metadata,
    sa.Column("clearance_id", sa.ForeignKey("share_clearances.clearance_id"), primary_key=True),
    sa.Column("approved_by", sa.String(200), primary_key=True),
    sa.Column("role", sa.String(40), nullable=False),
    sa.Column("approved_at", UtcTime, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.UniqueConstraint("clearance_id", "role"),
)
"""One approval a person and one a role, whoever comes at the same time."""

share_watermarks = sa.Table(
    "share_watermarks",
    metadata,
    sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("dataset_id", sa.String(200), nullable=False),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("clearance_id", sa.String(200), nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("marked", sa.BigInteger, nullable=False, default=0),
    sa.Column("begun_at", UtcTime, nullable=False),
    sa.Index("ix_share_watermarks_of", "dataset_id", "party_id"),
)
"""Deliveries that carry a mark: in which columns, at which decimal, and how many values were changed."""
