"""Write one Parquet file of a table and describe it for the table's manifest."""

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    TimestampType,
    TimestamptzType,
)

from gongshu.lake.encoding import choose_encodings, writer_options
from gongshu.lake.storage import local_path, sync_file

ROW_GROUP_ROWS = 262_144
_BOUNDED = (IntegerType, LongType, FloatType, DoubleType, DateType, TimestampType, TimestamptzType)


def write_data_file(metadata: TableMetadata, data: pa.Table, *, day: int | None) -> DataFile:
    """Write `data`, which has the table's file schema, as one synced Parquet file; return its description.

    Units: `day` is days since 1970-01-01, the partition; None for a table without partitions.
    """
    folder = f"{metadata.location}/data" + ("" if day is None else f"/time_day={_iso_day(day)}")
    location = f"{folder}/{uuid.uuid4().hex}.parquet"
    path = local_path(location)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    options = writer_options(data, choose_encodings(data))
    try:
        with pq.ParquetWriter(partial, data.schema, **options) as writer:
            writer.write_table(data, row_group_size=ROW_GROUP_ROWS)
        footer = pq.read_metadata(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_file(path)
    return _describe(metadata, data, footer, location=location, size_bytes=path.stat().st_size, day=day)


def remove_data_file(data_file: DataFile) -> None:
    """Delete a file that no snapshot names; one that is gone already is fine."""
    local_path(data_file.file_path).unlink(missing_ok=True)


def data_path(location: str) -> Path:
    """Return where a data file lies on this disk."""
    return local_path(location)


def _describe(
    metadata: TableMetadata, data: pa.Table, footer: Any, *, location: str, size_bytes: int, day: int | None
) -> DataFile:
    schema: Schema = metadata.schema()
    lower, upper, nulls = {}, {}, {}
    for field in schema.fields:
        column = data.column(field.name)
        nulls[field.field_id] = column.null_count
        if (bounds := _bounds(field, column)) is not None:
            lower[field.field_id], upper[field.field_id] = bounds
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    sizes: dict[int, int] = {}
    for position, field in enumerate(schema.fields):
        if footer.num_columns == len(schema.fields):
            sizes[field.field_id] = sum(group.column(position).total_compressed_size for group in groups)
    data_file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record() if day is None else Record(day),
        record_count=data.num_rows,
        file_size_in_bytes=size_bytes,
        column_sizes=sizes,
        value_counts={field.field_id: data.num_rows for field in schema.fields},
        null_value_counts=nulls,
        nan_value_counts={},
        lower_bounds=lower,
        upper_bounds=upper,
        key_metadata=None,
        split_offsets=sorted(_start(group.column(0)) for group in groups) if groups else None,
        equality_ids=None,
        sort_order_id=metadata.default_sort_order_id or None,
    )
    data_file.spec_id = metadata.default_spec_id
    return data_file


def _bounds(field: NestedField, column: pa.ChunkedArray) -> tuple[bytes, bytes] | None:
    kind = field.field_type
    if not isinstance(kind, _BOUNDED) or column.null_count == len(column):
        return None
    if isinstance(kind, FloatType | DoubleType):
        column = column.filter(pc.invert(pc.is_nan(column)))
        if not len(column):
            return None
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if isinstance(kind, DateType) else pa.int64())
    found = pc.min_max(column)
    return to_bytes(kind, found["min"].as_py()), to_bytes(kind, found["max"].as_py())


def _start(chunk: Any) -> int:
    return int(chunk.dictionary_page_offset or chunk.data_page_offset)


def _iso_day(day: int) -> str:
    return str(pa.scalar(day, pa.date32()).as_py())
