"""Which table type keeps which Arrow type whole, and which engine type reads it. Pure.

Iceberg has no unsigned and no 8- or 16-bit integers: they are stored wider. `status` is a long in the readings table
and an UINTEGER for readers. See docs/decisions/0004-types-in-the-table.md.
"""

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from gongshu.lake.errors import ColumnTypeUnsupported

READINGS_FIELDS = (
    NestedField(1, "series_id", IntegerType(), required=True),
    NestedField(2, "time", TimestamptzType(), required=True),
    NestedField(3, "time_is_source", BooleanType(), required=True),
    NestedField(4, "arrival_time", TimestamptzType(), required=True),
    NestedField(5, "value_double", DoubleType(), required=False),
    NestedField(6, "value_int", LongType(), required=False),
    NestedField(7, "value_text", StringType(), required=False),
    NestedField(8, "status", LongType(), required=True),
)
"""The readings table; field ids never change, because files are read by them."""

_PLAIN: dict[pa.DataType, tuple[IcebergType, pa.DataType]] = {
    pa.bool_(): (BooleanType(), pa.bool_()),
    pa.int8(): (IntegerType(), pa.int32()),
    pa.int16(): (IntegerType(), pa.int32()),
    pa.int32(): (IntegerType(), pa.int32()),
    pa.uint8(): (IntegerType(), pa.int32()),
    pa.uint16(): (IntegerType(), pa.int32()),
    pa.uint32(): (LongType(), pa.int64()),
    pa.int64(): (LongType(), pa.int64()),
    pa.uint64(): (DecimalType(20, 0), pa.decimal128(20, 0)),
    pa.float16(): (FloatType(), pa.float32()),
    pa.float32(): (FloatType(), pa.float32()),
    pa.float64(): (DoubleType(), pa.float64()),
    pa.string(): (StringType(), pa.string()),
    pa.large_string(): (StringType(), pa.string()),
    pa.string_view(): (StringType(), pa.string()),
    pa.binary(): (BinaryType(), pa.binary()),
    pa.large_binary(): (BinaryType(), pa.binary()),
    pa.date32(): (DateType(), pa.date32()),
    pa.date64(): (DateType(), pa.date32()),
    pa.time32("s"): (TimeType(), pa.time64("us")),
    pa.time32("ms"): (TimeType(), pa.time64("us")),
    pa.time64("us"): (TimeType(), pa.time64("us")),
    pa.null(): (StringType(), pa.string()),
}

_ENGINE: dict[IcebergType, str] = {
    BooleanType(): "BOOLEAN",
    IntegerType(): "INTEGER",
    LongType(): "BIGINT",
    FloatType(): "FLOAT",
    DoubleType(): "DOUBLE",
    StringType(): "VARCHAR",
    BinaryType(): "BLOB",
    DateType(): "DATE",
    TimeType(): "TIME",
    TimestampType(): "TIMESTAMP",
    TimestamptzType(): "TIMESTAMP WITH TIME ZONE",
}

_ARROW: dict[IcebergType, pa.DataType] = {
    BooleanType(): pa.bool_(),
    IntegerType(): pa.int32(),
    LongType(): pa.int64(),
    FloatType(): pa.float32(),
    DoubleType(): pa.float64(),
    StringType(): pa.string(),
    BinaryType(): pa.binary(),
    DateType(): pa.date32(),
    TimeType(): pa.time64("us"),
    TimestampType(): pa.timestamp("us"),
    TimestamptzType(): pa.timestamp("us", tz="UTC"),
}


def stored_type(table: str, column: str, arrow: pa.DataType) -> tuple[IcebergType, pa.DataType]:
    """Return (type in the table, Arrow type to cast to before writing).

    Lists keep the field id 0 for their element until the table gives it one.
    Raises: ColumnTypeUnsupported for structs, maps, unions and durations.
    """
    if arrow in _PLAIN:
        return _PLAIN[arrow]
    if pa.types.is_timestamp(arrow):
        kept = TimestamptzType() if arrow.tz else TimestampType()
        return kept, pa.timestamp("us", tz="UTC" if arrow.tz else None)
    if pa.types.is_decimal(arrow) and arrow.precision <= 38 and 0 <= arrow.scale <= arrow.precision:
        return DecimalType(arrow.precision, arrow.scale), pa.decimal128(arrow.precision, arrow.scale)
    if pa.types.is_dictionary(arrow):
        return stored_type(table, column, arrow.value_type)
    if pa.types.is_fixed_size_binary(arrow):
        return BinaryType(), pa.binary()
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        element, kept_element = stored_type(table, column, arrow.value_type)
        if not isinstance(element, ListType):
            return ListType(0, element, element_required=False), pa.list_(kept_element)
    raise ColumnTypeUnsupported(table=table, column=column, type=arrow)


def engine_type(kept: IcebergType) -> str:
    """Return DuckDB's name of a table type.

    >>> engine_type(DecimalType(20, 0))
    'DECIMAL(20,0)'
    """
    if isinstance(kept, DecimalType):
        return f"DECIMAL({kept.precision},{kept.scale})"
    if isinstance(kept, ListType):
        return f"{engine_type(kept.element_type)}[]"
    return _ENGINE[kept]


def arrow_type(kept: IcebergType) -> pa.DataType:
    """Return the Arrow type in which a table type is read and written."""
    if isinstance(kept, DecimalType):
        return pa.decimal128(kept.precision, kept.scale)
    if isinstance(kept, ListType):
        return pa.list_(arrow_type(kept.element_type))
    return _ARROW[kept]


def file_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow schema of the table's Parquet files, with the field ids by which they are read."""
    return pa.schema([_file_field(field) for field in schema.fields])


def _file_field(field: NestedField) -> pa.Field:
    metadata = {"PARQUET:field_id": str(field.field_id)}
    kept = field.field_type
    arrow = arrow_type(kept)
    if isinstance(kept, ListType):
        element = pa.field("element", arrow.value_type, metadata={"PARQUET:field_id": str(kept.element_id)})
        arrow = pa.list_(element)
    return pa.field(field.name, arrow, nullable=not field.required, metadata=metadata)
