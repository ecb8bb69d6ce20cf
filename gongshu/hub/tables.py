"""Tables of the hub: what this node agreed to, sent, received and published. Rows of reports are never changed."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

invitations = sa.Table(
    "hub_invitation",
    metadata,
    sa.Column("code_sha256", sa.String(64), primary_key=True),
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_by", sa.String(200)),
    sa.Column("agreement_sha256", sa.String(64)),
)

agreements = sa.Table(
    "hub_agreement",
    metadata,
    sa.Column("agreement_id", sa.String(100), primary_key=True),
    sa.Column("as_province", sa.Boolean, nullable=False),
    sa.Column("province", sa.String(200), nullable=False),
    sa.Column("province_title", sa.String(200), nullable=False),
    sa.Column("member", sa.String(200), nullable=False),
    sa.Column("member_title", sa.String(200), nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("member_signature", sa.String(200), nullable=False),
    sa.Column("province_signature", sa.String(200), nullable=False),
    sa.Column("signed_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)

indicator_sources = sa.Table(
    "hub_indicator_source",
    metadata,
    sa.Column("indicator", sa.String(60), primary_key=True),
    sa.Column("dataset_id", sa.String(63), nullable=False),
    sa.Column("sql", sa.Text, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("changed_by", sa.String(200), nullable=False),
)

sent_reports = sa.Table(
    "hub_sent_report",
    metadata,
    sa.Column("report_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("agreement_id", sa.ForeignKey("hub_agreement.agreement_id"), nullable=False),
    sa.Column("period", sa.String(7), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("preliminary", sa.Boolean, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("signature", sa.String(200), nullable=False),
    sa.Column("opened", sa.Text, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("made_by", sa.String(200), nullable=False),
)

outbox = sa.Table(
    "hub_outbox",
    metadata,
    sa.Column("report_id", sa.ForeignKey("hub_sent_report.report_id"), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", UtcTime),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("receipt", sa.Text),
    sa.Column("receipt_signature", sa.String(200)),
)

received_reports = sa.Table(
    "hub_received_report",
    metadata,
    sa.Column("received_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("agreement_id", sa.ForeignKey("hub_agreement.agreement_id"), nullable=False),
    sa.Column("member", sa.String(200), nullable=False),
    sa.Column("division", sa.String(3), nullable=False),
    sa.Column("period", sa.String(7), nullable=False, index=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("preliminary", sa.Boolean, nullable=False),
    sa.Column("report_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("signature", sa.String(200), nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("receipt", sa.Text, nullable=False),
    sa.Column("receipt_signature", sa.String(200), nullable=False),
    sa.UniqueConstraint("agreement_id", "period", "revision"),
)

publications = sa.Table(
    "hub_publication",
    metadata,
    sa.Column("period", sa.String(7), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("released_at", UtcTime, nullable=False),
    sa.Column("released_by", sa.String(200), nullable=False),
    sa.Column("pack", sa.String(200), nullable=False),
    sa.Column("least_contributors", sa.Integer, nullable=False),
    sa.Column("held_back", sa.Integer, nullable=False),
    sa.Column("cells", sa.Text, nullable=False),
    sa.Column("counted", sa.Text, nullable=False),
)
