"""Write the tables of datasets: create, append, replace, take added columns."""

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import IcebergType, ListType, NestedField

from gongshu.lake.columns import arrow_type, file_schema, stored_type
from gongshu.lake.errors import TableNameInvalid, TableSchemaMismatch
from gongshu.lake.model import READINGS_TABLE
from gongshu.lake.parquet import write_data_file
from gongshu.lake.warehouse import Warehouse, require_table_name, stage_files

Mode = Literal["append", "replace"]


def write_table(warehouse: Warehouse, name: str, data: pa.Table, *, mode: Mode, properties: Mapping[str, str]) -> int:
    """Write `data` in one snapshot and return its id; see `Lake.write_table`."""
    require_table_name(name)
    if name == READINGS_TABLE:
        raise TableNameInvalid(table=name)
    wanted = {field.name: stored_type(name, field.name, field.type) for field in data.schema}
    kept = _cast(name, data, {column: arrow for column, (_, arrow) in wanted.items()})
    kinds = {column: kind for column, (kind, _) in wanted.items()}
    with warehouse.locked(f"table-{name}"):
        table = warehouse.table(name)
        if table is None:
            table = warehouse.create(name, _fresh_schema(kinds))
        # Columns and rows change in one step: whoever dies in between leaves the table as it was.
        with table.transaction() as transaction:
            _evolve(transaction, name, kinds, mode=mode)
            added = _write(transaction.table_metadata, kept)
            removed = [file.data_file for file in warehouse.files(table)] if mode == "replace" else []
            return stage_files(transaction, added=added, removed=removed, properties=properties)


def table_arrow_schema(table: Table) -> pa.Schema:
    """Return the table's columns as Arrow types, without the file format's metadata."""
    return pa.schema(
        [
            pa.field(field.name, arrow_type(field.field_type), nullable=not field.required)
            for field in table.schema().fields
        ]
    )


def _write(metadata: TableMetadata, data: pa.Table) -> list[DataFile]:
    if not data.num_rows:
        return []
    schema = file_schema(metadata.schema())
    columns = [
        data.column(field.name).cast(field.type)
        if field.name in data.column_names
        else pa.chunked_array([pa.nulls(data.num_rows, field.type)])
        for field in schema
    ]
    return [write_data_file(metadata, pa.Table.from_arrays(columns, schema=schema), day=None)]


def _cast(name: str, data: pa.Table, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    columns = []
    for column, kind in kinds.items():
        try:
            columns.append(data.column(column).cast(kind))
        except pa.ArrowException as cause:
            # Nanoseconds that microseconds cannot hold, invalid UTF-8: refused, never rounded.
            seen = f"{data.schema.field(column).type} ({cause})"
            raise TableSchemaMismatch(table=name, column=column, expected=kind, seen=seen) from cause
    return pa.table(dict(zip(kinds, columns, strict=True)))


def _fresh_schema(kinds: Mapping[str, IcebergType]) -> Schema:
    fields = []
    next_id = len(kinds)
    for position, (column, kind) in enumerate(kinds.items(), start=1):
        if isinstance(kind, ListType):
            next_id += 1
            kind = ListType(next_id, kind.element_type, element_required=False)
        fields.append(NestedField(position, column, kind, required=False))
    return assign_fresh_schema_ids(Schema(*fields))


def _evolve(transaction: Transaction, name: str, kinds: Mapping[str, IcebergType], *, mode: Mode) -> None:
    """Add columns; on replace also drop the missing ones and make those anew whose type changed."""
    present = {field.name: field.field_type for field in transaction.table_metadata.schema().fields}
    changed = [
        column for column, kind in kinds.items() if column in present and _shape(present[column]) != _shape(kind)
    ]
    if changed and mode == "append":
        column = changed[0]
        raise TableSchemaMismatch(table=name, column=column, expected=present[column], seen=kinds[column])
    gone = [column for column in present if column not in kinds] if mode == "replace" else []
    fresh = [column for column in kinds if column not in present]
    if not (changed or gone or fresh):
        return
    with transaction.update_schema(allow_incompatible_changes=True) as update:
        for column in (*changed, *gone):
            update.delete_column((column,))
        for column in (*changed, *fresh):
            update.add_column((column,), kinds[column])


def _shape(kind: IcebergType) -> str:
    # A list's element id differs from table to table and says nothing about its type.
    return f"list<{kind.element_type}>" if isinstance(kind, ListType) else str(kind)
