"""Types that the table keeps whole, and those that it refuses."""

import pyarrow as pa
import pytest

from gongshu.lake.columns import READINGS_FIELDS, arrow_type, engine_type, stored_type
from gongshu.lake.errors import ColumnTypeUnsupported
from gongshu.lake.query.plan import READING_COLUMNS


@pytest.mark.parametrize(
    ("arrow", "engine"),
    [
        (pa.int8(), "INTEGER"),
        (pa.uint32(), "BIGINT"),
        (pa.uint64(), "DECIMAL(20,0)"),
        (pa.float32(), "FLOAT"),
        (pa.timestamp("ns", tz="Asia/Shanghai"), "TIMESTAMP WITH TIME ZONE"),
        (pa.timestamp("s"), "TIMESTAMP"),
        (pa.dictionary(pa.int8(), pa.string()), "VARCHAR"),
        (pa.list_(pa.int64()), "BIGINT[]"),
        (pa.decimal128(38, 9), "DECIMAL(38,9)"),
        (pa.binary(4), "BLOB"),
        (pa.null(), "VARCHAR"),
    ],
)
def test_each_type_is_kept_in_one_at_least_as_wide(arrow: pa.DataType, engine: str) -> None:
    kept, cast_to = stored_type("t", "c", arrow)
    assert engine_type(kept) == engine
    assert arrow_type(kept) == cast_to


@pytest.mark.parametrize("arrow", [pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()), pa.duration("s")])
def test_a_type_without_a_place_is_refused_by_name(arrow: pa.DataType) -> None:
    with pytest.raises(ColumnTypeUnsupported, match="'c'"):
        stored_type("t", "c", arrow)


def test_the_plan_reads_the_columns_that_the_table_has() -> None:
    table = tuple((field.field_id, field.name, engine_type(field.field_type)) for field in READINGS_FIELDS)
    assert table == READING_COLUMNS
