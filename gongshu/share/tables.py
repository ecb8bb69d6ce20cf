"""The tables of sharing: processes with their messages in and out, offers, agreements, tokens and deliveries."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")

share_offers = sa.Table(
    "share_offers",
    metadata,
    sa.Column("offer_id", sa.String(200), primary_key=True),
    sa.Column("dataset_id", sa.String(200), nullable=False),
    sa.Column("published_as", sa.String(400), nullable=False, server_default=""),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("policy_hash", sa.String(64), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("until", UtcTime),
    sa.Column("rules", sa.JSON(none_as_null=True)),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("withdrawn_at", UtcTime),
    sa.Index("ix_share_offers_visible", "withdrawn_at", "published_as"),
)
"""`published_as` is the dataset's id in the eyes of partners. `policy` is the canonical ODRL text, `policy_hash` its
SHA-256. `is_open`: no party is named."""

share_offer_parties = sa.Table(
    "share_offer_parties",
    metadata,
    sa.Column("offer_id", sa.ForeignKey("share_offers.offer_id"), primary_key=True),
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("bound_to", sa.String(400), nullable=False, server_default=""),
)
"""Whom an offer names: who proves itself by what the party did when it was made (`bound_to`)."""

share_published_names = sa.Table(
    "share_published_names",
    metadata,
    sa.Column("published_as", sa.String(400), primary_key=True),
    sa.Column("dataset_id", sa.String(200), nullable=False),
)
"""What each id in the eyes of partners stands for: for one dataset, and for good, whoever offers at the same time."""

share_processes = sa.Table(
    "share_processes",
    metadata,
    sa.Column("process_id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("side", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("pending", sa.String(80)),
    sa.Column("pending_message", sa.String(200)),
    sa.Column("pending_sent", sa.Boolean, nullable=False, default=False),
    sa.Column("held", sa.Boolean, nullable=False, default=False),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("peer_pid", sa.String(400)),
    sa.Column("peer_address", sa.String(800), nullable=False, default=""),
    sa.Column("dataset_id", sa.String(400), nullable=False, default=""),
    sa.Column("offer_id", sa.String(400), nullable=False, default=""),
    sa.Column("policy", sa.Text, nullable=False, default=""),
    sa.Column("own_policy", sa.Text, nullable=False, default=""),
    sa.Column("agreement_id", sa.String(400), nullable=False, default="", index=True),
    sa.Column("format", sa.String(200), nullable=False, default=""),
    sa.Column("data_address", sa.Text, nullable=False, default=""),
    sa.Column("rules", sa.JSON(none_as_null=True)),
    sa.Column("waiting", sa.Text, nullable=False, default=""),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("deadline_at", UtcTime, index=True),
    sa.Column("ends_at", UtcTime),
    sa.Column("bound_to", sa.String(400), nullable=False, server_default=""),
    sa.UniqueConstraint("counterparty", "kind", "side", "peer_pid"),
)
"""A negotiation or a transfer. `process_id` is our own pid. `policy` is the offer on the table, `own_policy` what we
stand for: the offer we published, or the terms we asked for. `waiting` says why a person is asked, `reason` why it
ended, `ends_at` when the contract ends it."""

share_messages = sa.Table(
    "share_messages",
    metadata,
    sa.Column("sequence", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("direction", sa.String(3), nullable=False),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("message_id", sa.String(400), nullable=False),
    sa.Column("process_id", sa.String(200), nullable=False, index=True),
    sa.Column("message_type", sa.String(80), nullable=False),
    sa.Column("body_hash", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.UniqueConstraint("direction", "counterparty", "message_id"),
    sa.Index("ix_share_messages_newest", "counterparty", "message_type", "sequence"),
)
"""What was received (`in`; the uniqueness makes it the inbox) and what the other side acknowledged (`out`). The hash is
over the bytes on the wire; the stored body leaves out the data address, which holds a token."""

share_outbox = sa.Table(
    "share_outbox",
    metadata,
    sa.Column("message_id", sa.String(200), primary_key=True),
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), nullable=False, index=True),
    sa.Column("move", sa.String(80), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", UtcTime, nullable=False, index=True),
    sa.Column("lease_until", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
    sa.Column("sent_hash", sa.String(64), nullable=False, server_default=""),
)
"""`sent_hash` is over the bytes of the last attempt, where they hold an address with a token that is not stored."""

share_reactions = sa.Table(
    "share_reactions",
    metadata,
    sa.Column("sequence", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), nullable=False, index=True),
    sa.Column("action", sa.String(20), nullable=False),
    sa.Column("due_at", UtcTime, nullable=False, index=True),
    sa.Column("lease_until", UtcTime),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)
"""What is to be done next, by a rule or a person; performed only while nothing of the process is under way."""

share_agreements = sa.Table(
    "share_agreements",
    metadata,
    sa.Column("agreement_id", sa.String(400), primary_key=True),
    sa.Column("side", sa.String(20), nullable=False),
    sa.Column("counterparty", sa.String(200), nullable=False, index=True),
    sa.Column("dataset_id", sa.String(400), nullable=False, index=True),
    sa.Column("negotiation_id", sa.String(200), nullable=False, unique=True),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("policy_hash", sa.String(64), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("uses", sa.Integer, nullable=False, default=0),
    sa.Column("agreed_at", UtcTime, nullable=False),
    sa.Column("transfer_rules", sa.JSON(none_as_null=True)),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("bound_to", sa.String(400), nullable=False, server_default=""),
)
"""`policy` is the agreement in canonical form, `policy_hash` its SHA-256: both sides hold the same two. `bound_to` is
by what the counterparty proved itself when it was made."""

share_tokens = sa.Table(
    "share_tokens",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), nullable=False, index=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
)

share_deliveries = sa.Table(
    "share_deliveries",
    metadata,
    sa.Column("delivery_id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("direction", sa.String(3), nullable=False),
    sa.Column("process_id", sa.String(200), nullable=False, index=True),
    sa.Column("agreement_id", sa.String(400), nullable=False, index=True),
    sa.Column("counterparty", sa.String(200), nullable=False),
    sa.Column("dataset_id", sa.String(400), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("encoding", sa.String(20), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False, default=0),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("stored_as", sa.String(200), nullable=False, default=""),
    sa.Column("request_key", sa.String(200), nullable=False, server_default=""),
    sa.Column("sha256", sa.String(64), nullable=False, server_default=""),
    sa.Column("lined", sa.String(10), nullable=False, server_default="", index=True),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
)
"""The meter: what was served (`out`) and what was pulled (`in`). `outcome`: open, complete, stopped or failed.
`request_key`: requests with the same one are attempts at one delivery. `sha256` is over the body's bytes; `lined` is
`due` while a complete delivery waits to be told to the other side as a signed line, then `done`."""

share_data_addresses = sa.Table(
    "share_data_addresses",
    metadata,
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("address", sa.String(800), primary_key=True),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("added_by", sa.String(200), nullable=False),
)
"""Addresses beside a party's own under which its data may be fetched from or delivered to."""

share_pushes = sa.Table(
    "share_pushes",
    metadata,
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), primary_key=True),
    sa.Column("push_key", sa.String(200), nullable=False),
    sa.Column("delivery_id", sa.BigInteger),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", UtcTime, nullable=False),
    sa.Column("lease_until", UtcTime),
    sa.Column("delivered_at", UtcTime),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
)
"""Deliveries that we carry to the consumer. `push_key` is the same in every attempt; `delivery_id` is the meter's line,
written with the one use that all attempts together count."""

share_inboxes = sa.Table(
    "share_inboxes",
    metadata,
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("encoding", sa.String(20), nullable=False),
    sa.Column("lease_until", UtcTime),
    sa.Column("lease_key", sa.String(64), nullable=False, default=""),
    sa.Column("push_key", sa.String(200), nullable=False, default=""),
    sa.Column("stored_as", sa.String(200), nullable=False, default=""),
    sa.Column("received_at", UtcTime),
)
"""Where a provider may deliver to us, once. The lease is held while a delivery arrives; `received_at` ends it."""

share_streams = sa.Table(
    "share_streams",
    metadata,
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, default=0),
    sa.Column("opening", sa.Integer, nullable=False, default=0),
    sa.Column("rows", sa.BigInteger, nullable=False, default=0),
    sa.Column("updated_at", UtcTime, nullable=False),
)
"""The provider's end of a stream: the position the consumer has confirmed, how often it was opened (a newer opening
ends the older), and the rows sent in all."""

share_follows = sa.Table(
    "share_follows",
    metadata,
    sa.Column("process_id", sa.ForeignKey("share_processes.process_id"), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False, default=0),
    sa.Column("rows", sa.BigInteger, nullable=False, default=0),
    sa.Column("stored_as", sa.String(200), nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", UtcTime, nullable=False),
    sa.Column("lease_until", UtcTime),
    sa.Column("lease_key", sa.String(64), nullable=False, default=""),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
    sa.Column("created_by", sa.String(200), nullable=False),
)
"""The consumer's end of a stream: where its rows go, and up to which position they lie there."""

share_high_time = sa.Table(
    "share_high_time",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
)
"""One row: the latest moment this node has seen, so that what ended stays ended when a clock is set back."""
