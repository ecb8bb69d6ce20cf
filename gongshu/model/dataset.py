"""What is kept and offered: datasets and their columns."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gongshu.model.grade import GradeLabel
from gongshu.model.ids import AssetId, DatasetId, SeriesId


class DatasetKind(StrEnum):
    """Where a dataset's rows live."""

    SERIES = "series"
    """The series of one asset, in the readings table."""
    TABLE = "table"
    """A table of its own in the lake."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as readers see it, after the gate has named and typed it."""

    name: str
    type: str
    """A DuckDB type name: `DOUBLE`, `BIGINT`, `VARCHAR`, `TIMESTAMP WITH TIME ZONE`."""
    title: str = ""
    unit: str = ""
    label: GradeLabel | None = None
    """None where the column carries the dataset's own label."""


SERIES_COLUMNS = (
    Column("time", "TIMESTAMP WITH TIME ZONE"),
    Column("asset", "VARCHAR"),
    Column("series", "VARCHAR"),
    Column("value", "DOUBLE"),
    Column("value_int", "BIGINT"),
    Column("value_text", "VARCHAR"),
    Column("unit", "VARCHAR"),
    Column("status", "UINTEGER"),
    Column("arrival_time", "TIMESTAMP WITH TIME ZONE"),
    Column("time_is_source", "BOOLEAN"),
    Column("series_id", "INTEGER"),
)
"""The columns of every series dataset, and of the view `readings` over all that a subject may read. `value` is
`value_double`, or `value_int` as a double; `value_int` and `value_text` keep what a double cannot hold."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A catalogue entry."""

    dataset_id: DatasetId
    kind: DatasetKind
    title: str
    asset: AssetId | None
    table: str | None
    """The lake table that holds it; None for a series dataset."""
    columns: tuple[Column, ...]
    series: tuple[SeriesId, ...]
    label: GradeLabel
    owner: str
    """The account that answers for it; empty until a steward names one."""
    first_seen: datetime
    origin: str
    """How it came: `source:<id>`, `import:<file>`, `app:<name>`, `partner:<party>`."""
