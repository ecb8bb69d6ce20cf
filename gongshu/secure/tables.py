"""Database tables of this room."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("record_index", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("signature", sa.LargeBinary(64), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False, index=True),
    sa.Column("action", sa.String(100), nullable=False, index=True),
    sa.Column("object", sa.String(400), nullable=False, index=True),
    sa.Column("outcome", sa.String(20), nullable=False),
)
"""`leaf` is what is hashed; the columns after `signature` repeat parts of it for searching and prove nothing."""

audit_state = sa.Table(
    "audit_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.String(200), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
    sa.Column("checkpoints", sa.BigInteger, nullable=False),
    sa.Column("checkpoint_size", sa.BigInteger, nullable=False),
    sa.Column("checkpoint_at", UtcTime, nullable=False),
)
"""One row. `frontier` holds the roots of the perfect subtrees, largest first, 32 bytes each."""

audit_checkpoints = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("title", sa.String(200), nullable=False, default=""),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("roles", sa.String(400), nullable=False),
    sa.Column("attributes", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("disabled_at", UtcTime),
)

account_tokens = sa.Table(
    "account_tokens",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("account", sa.ForeignKey("accounts.name"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("issued_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("revoked_at", UtcTime),
)

one_time_codes = sa.Table(
    "one_time_codes",
    metadata,
    sa.Column("code_hash", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(40), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),
)

login_failures = sa.Table(
    "login_failures",
    metadata,
    sa.Column("scope", sa.String(200), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcTime, nullable=False),
    sa.Column("blocked_until", UtcTime),
)
"""`scope` is `account:<name>` or `address:<ip>`."""

parties = sa.Table(
    "parties",
    metadata,
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("public_key_pem", sa.Text, nullable=False),
    sa.Column("address", sa.String(400), nullable=False),
    sa.Column("roles", sa.String(400), nullable=False),
    sa.Column("identity", sa.String(60), nullable=False, server_default="gongshu"),
    sa.Column("certificate", sa.Text, nullable=False, server_default=""),
    sa.Column("certificate_pin", sa.String(80), nullable=False, server_default="", index=True),
    sa.Column("space", sa.String(200), nullable=False, server_default="", index=True),
    sa.Column("valid_until", UtcTime),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("proof", sa.String(400), nullable=False, server_default=""),
)
"""`space` is the space whose trust list brought the party in, empty for those that our people registered. `proof` is by
what the party proves itself, as `Party.proof` writes it: contracts are bound to that."""

trust_lists = sa.Table(
    "trust_lists",
    metadata,
    sa.Column("space_id", sa.String(200), primary_key=True),
    sa.Column("source", sa.String(800), nullable=False),
    sa.Column("fingerprint", sa.String(80), nullable=False),
    sa.Column("serial", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("valid_until", UtcTime, nullable=False),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("read_at", UtcTime, nullable=False),
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
)
"""The lists of other spaces that this node believes, each with the newest document. `fingerprint` is that of the
space's operator, compared by our people."""

peer_token_ids = sa.Table(
    "peer_token_ids",
    metadata,
    sa.Column("issuer", sa.String(200), primary_key=True),
    sa.Column("jti", sa.String(100), primary_key=True),
    sa.Column("expires_at", UtcTime, nullable=False, index=True),
)
"""Token ids already seen, kept until they expire: a second use is a replay."""

dcp_credentials = sa.Table(
    "dcp_credentials",
    metadata,
    sa.Column("issuer", sa.String(200), primary_key=True),
    sa.Column("credential_id", sa.String(200), primary_key=True),
    sa.Column("form", sa.String(10), nullable=False),
    sa.Column("types", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False, index=True),
    sa.Column("received_at", UtcTime, nullable=False),
)
"""Credentials about ourselves, as their issuers signed them. `form` is the data model, `vc11` or `vc20`; `types` are
separated by spaces."""

policy_versions = sa.Table(
    "policy_versions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("text_hash", sa.String(64), nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("deployed_at", UtcTime, nullable=False),
)
