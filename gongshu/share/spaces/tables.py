"""Tables of the spaces: those we operate, with members, entries, contract facts and news; and those we belong to."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")

space_spaces = sa.Table(
    "space_spaces",
    metadata,
    sa.Column("space_id", sa.String(200), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("rules_hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("number", sa.String(60), unique=True),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("decided_at", UtcTime),
)
"""Spaces that this node operates. `space_id` names the request at once; `number` is given when it was audited."""

space_members = sa.Table(
    "space_members",
    metadata,
    sa.Column("space_id", sa.ForeignKey("space_spaces.space_id"), primary_key=True),
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("roles", sa.String(100), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("area", sa.String(6), nullable=False),
    sa.Column("organisation", sa.String(18), nullable=False),
    sa.Column("fingerprint", sa.String(100), nullable=False),
    sa.Column("bound_to", sa.String(400), nullable=False, server_default=""),
    sa.Column("rules_hash", sa.String(64), nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("identity_check", sa.Text, nullable=False, default=""),
    sa.Column("applied_at", UtcTime, nullable=False),
    sa.Column("decided_at", UtcTime),
)
"""`fingerprint` is of the key that signed the rules, `bound_to` by what the party proved itself then (decision 0090),
`identity_check` what the operator's person compared."""

space_entries = sa.Table(
    "space_entries",
    metadata,
    sa.Column("entry_id", sa.String(60), primary_key=True),
    sa.Column("space_id", sa.ForeignKey("space_spaces.space_id"), nullable=False),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("identifier", sa.String(60), unique=True),
    sa.Column("submitted_at", UtcTime, nullable=False),
    sa.Column("decided_at", UtcTime),
    sa.Index("ix_space_entries_space_state", "space_id", "state"),
)
"""`document` holds what the owner says: description, and of a product its resources, delivery form and terms."""

space_contracts = sa.Table(
    "space_contracts",
    metadata,
    sa.Column("space_id", sa.ForeignKey("space_spaces.space_id"), primary_key=True),
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("reporter", sa.String(200), primary_key=True),
    sa.Column("provider", sa.String(200), nullable=False),
    sa.Column("consumer", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("policy_hash", sa.String(64), nullable=False),
    sa.Column("agreed_at", UtcTime, nullable=False),
    sa.Column("reported_at", UtcTime, nullable=False),
)
"""Facts that members report, each for itself; where both report, the hashes can be compared. No terms and no data."""

space_history = sa.Table(
    "space_history",
    metadata,
    sa.Column("sequence", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("space_id", sa.String(200), nullable=False, index=True),
    sa.Column("life", sa.String(20), nullable=False),
    sa.Column("name", sa.String(400), nullable=False),
    sa.Column("step", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

space_notices = sa.Table(
    "space_notices",
    metadata,
    sa.Column("sequence", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("notice_id", sa.String(60), nullable=False, unique=True),
    sa.Column("space_id", sa.String(200), nullable=False, index=True),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", UtcTime, index=True),
    sa.Column("delivered_at", UtcTime),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
)
"""News to members, written with the change that caused it; `next_at` is empty once it was delivered."""

space_standings = sa.Table(
    "space_standings",
    metadata,
    sa.Column("space_id", sa.String(200), primary_key=True),
    sa.Column("operator", sa.String(200), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("roles", sa.String(100), nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("title", sa.String(400), nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
)
"""Where this node stands in the spaces of others, as far as it was told: the title, and why it stands so, if known."""

space_links = sa.Table(
    "space_links",
    metadata,
    sa.Column("space_id", sa.String(200), primary_key=True),
    sa.Column("operator", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(400), primary_key=True),
)
"""Our offers and agreements that belong to a space of others: they end with the access that it gave."""

space_received = sa.Table(
    "space_received",
    metadata,
    sa.Column("operator", sa.String(200), primary_key=True),
    sa.Column("notice_id", sa.String(60), primary_key=True),
    sa.Column("space_id", sa.String(200), nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("done_at", UtcTime),
)
"""News from operators; kept before it is acted on, so that a kill in between loses nothing."""
