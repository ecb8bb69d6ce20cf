"""Tables of the crawl: whom we follow, the pass under way, the entries, and the words they are found by."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")

share_crawls = sa.Table(
    "share_crawls",
    metadata,
    sa.Column("party_id", sa.String(200), primary_key=True),
    sa.Column("interval_s", sa.Integer, nullable=False),
    sa.Column("followed_at", UtcTime, nullable=False),
    sa.Column("followed_by", sa.String(200), nullable=False),
    sa.Column("entries", sa.Integer, nullable=False, default=0),
    sa.Column("stamp", sa.String(200), nullable=False, default=""),
    sa.Column("seen_digest", sa.String(64), nullable=False, default=""),
    sa.Column("completed_at", UtcTime),
    sa.Column("checked_at", UtcTime),
    sa.Column("next_at", UtcTime, nullable=False, index=True),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("last_error", sa.Text, nullable=False, default=""),
    sa.Column("run_id", sa.String(64), nullable=False, default=""),
    sa.Column("lease_until", UtcTime),
    sa.Column("pass_began_at", UtcTime),
    sa.Column("pass_stamp", sa.String(200), nullable=False, default=""),
    sa.Column("pass_next", sa.Text, nullable=False, default=""),
    sa.Column("pass_pages", sa.Integer, nullable=False, default=0),
    sa.Column("pass_size_bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("pass_exact", sa.Boolean, nullable=False, default=True),
)
"""`run_id` fences: whoever does not hold it writes nothing. The `pass_` columns are what a killed run goes on from.
`seen_digest` is over the ids of the last complete pass."""

share_crawl_pages = sa.Table(
    "share_crawl_pages",
    metadata,
    sa.Column("party_id", sa.ForeignKey("share_crawls.party_id"), primary_key=True),
    sa.Column("page", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("dataset_ids", sa.JSON, nullable=False),
)
"""What the pass under way has read: the address of each page, and the datasets that stood on it."""

share_crawl_entries = sa.Table(
    "share_crawl_entries",
    metadata,
    sa.Column("entry_id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("party_id", sa.String(200), nullable=False),
    sa.Column("dataset_id", sa.String(400), nullable=False),
    sa.Column("shown", sa.Boolean, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("missed", sa.Integer, nullable=False, default=0),
    sa.Column("first_seen_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.UniqueConstraint("party_id", "dataset_id", "shown"),
    sqlite_autoincrement=True,
)
"""Shown rows are the last complete state; the others are staged by a pass under way. The uniqueness forbids doubles."""

share_search_postings = sa.Table(
    "share_search_postings",
    metadata,
    sa.Column("term", sa.String(80), primary_key=True),
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("impact", sa.Float, nullable=False),
    sa.Index("ix_share_search_postings_entry", "entry_id"),
    sqlite_with_rowid=False,
)
"""How much a term says about an entry, without the term's rarity, which is counted when somebody searches."""
