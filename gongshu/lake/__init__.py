"""Storage: a durable log, Iceberg tables, queries in a process of their own, upkeep.

It must not know what the data mean, who may see them, or where they came from: that is govern's, secure's and
gather's. Whatever leaves it is bounded by the relations that the caller names.
"""

from gongshu.lake.model import (
    READINGS_TABLE,
    CommitReport,
    LakeStatus,
    ReadingsRelation,
    Relation,
    TableRelation,
    UpkeepReport,
)
from gongshu.lake.query.result import QueryResult
from gongshu.lake.service import Lake

__all__ = [
    "READINGS_TABLE",
    "CommitReport",
    "Lake",
    "LakeStatus",
    "QueryResult",
    "ReadingsRelation",
    "Relation",
    "TableRelation",
    "UpkeepReport",
]
