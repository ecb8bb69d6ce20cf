"""The table of runs: what is kept so that a figure can be opened to its sources for good. Rows are never changed."""

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

runs = sa.Table(
    "apply_run",
    metadata,
    sa.Column("run_id", sa.String(40), primary_key=True),
    sa.Column("app", sa.String(60), nullable=False, index=True),
    sa.Column("app_version", sa.String(40), nullable=False),
    sa.Column("code_sha256", sa.String(64), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime, nullable=False, index=True),
    sa.Column("span_start", UtcTime, nullable=False),
    sa.Column("span_end", UtcTime, nullable=False),
    sa.Column("input_readings", sa.BigInteger, nullable=False),
    sa.Column("input_sha256", sa.String(64), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
)
"""`record` is JSON: parameters, bindings, datasets, audit records, packs, findings and figures with their terms."""
