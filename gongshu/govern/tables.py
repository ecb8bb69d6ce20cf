"""The catalogue's tables. Labels are kept beside what they label; history only grows."""

from typing import Any

import sqlalchemy as sa

from gongshu.database import UtcTime, metadata

NAME = sa.String(255)


def _label_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("grade", sa.SmallInteger, nullable=False),
        sa.Column("importance", sa.String(16), nullable=False),
        sa.Column("category", sa.String(64), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("valid_until", UtcTime),
        sa.Column("proposal", sa.JSON, nullable=False),
    ]


counters = sa.Table(
    "govern_counters",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""`version` grows with every change; `series` is the last series id given, so that none is ever given twice."""

assets = sa.Table(
    "govern_assets",
    metadata,
    sa.Column("asset_id", sa.String(1024), primary_key=True),
    sa.Column("parent", sa.String(1024), index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("first_seen", UtcTime, nullable=False),
)

datasets = sa.Table(
    "govern_datasets",
    metadata,
    sa.Column("dataset_id", sa.String(63), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("asset", sa.String(1024), index=True),
    sa.Column("lake_table", sa.String(255), unique=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("owner", NAME, nullable=False),
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("state_secret", sa.Boolean, nullable=False, default=False),
    sa.Column("search_text", sa.Text, nullable=False),
    *_label_columns(),
)


def _part_columns() -> list[sa.Column[Any]]:
    alone = sa.Column("graded_alone", sa.Boolean, nullable=False, default=False)
    return [*_label_columns(), alone]


series = sa.Table(
    "govern_series",
    metadata,
    sa.Column("series_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("source_id", NAME, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("dataset_id", sa.String(63), sa.ForeignKey(datasets.c.dataset_id), nullable=False, index=True),
    sa.Column("asset", sa.String(1024), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value_type", sa.String(16), nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("writable", sa.Boolean, nullable=False),
    sa.Column("protocol", sa.Text, nullable=False),
    sa.Column("first_seen", UtcTime, nullable=False),
    *_part_columns(),
    sa.UniqueConstraint("source_id", "address"),
)

columns = sa.Table(
    "govern_columns",
    metadata,
    sa.Column("dataset_id", sa.String(63), sa.ForeignKey(datasets.c.dataset_id), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    *_part_columns(),
)

lineage = sa.Table(
    "govern_lineage",
    metadata,
    sa.Column("child", sa.String(63), sa.ForeignKey(datasets.c.dataset_id), primary_key=True),
    sa.Column("parent", sa.String(63), sa.ForeignKey(datasets.c.dataset_id), primary_key=True, index=True),
    sa.Column("since", UtcTime, nullable=False),
)

changes = sa.Table(
    "govern_changes",
    metadata,
    sa.Column("change_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("dataset_id", sa.String(63), nullable=False, index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", NAME, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("before", sa.JSON, nullable=False),
    sa.Column("after", sa.JSON, nullable=False),
    sa.Column("audit_index", sa.BigInteger, index=True),
    sqlite_autoincrement=True,
)

quality_runs = sa.Table(
    "govern_quality_runs",
    metadata,
    sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("dataset_id", sa.String(63), sa.ForeignKey(datasets.c.dataset_id), nullable=False, index=True),
    sa.Column("run_at", UtcTime, nullable=False),
    sa.Column("start", UtcTime),
    sa.Column("end", UtcTime),
    sa.Column("report", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

expectations = sa.Table(
    "govern_expectations",
    metadata,
    sa.Column("dataset_id", sa.String(63), sa.ForeignKey(datasets.c.dataset_id), primary_key=True),
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("spec", sa.JSON, nullable=False),
)
