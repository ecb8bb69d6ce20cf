"""The columnar shape: every native value finds its column unrounded."""

import json
import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.gather.batch import NATIVE_SCHEMA, BatchBuilder, micros, native_batch, place_value
from gongshu.gather.connector import Tag
from gongshu.gather.intake import to_readings
from gongshu.gather.model import SourceDefinition, asset_path, decide_asset
from gongshu.model.ids import SourceId
from gongshu.model.reading import READING_SCHEMA, STATUS_BAD, ValueType


@given(st.integers(-(2**70), 2**70))
def test_integers_keep_their_value(value: int) -> None:
    double, integer, text = place_value(value)
    assert double is None
    assert (integer if text is None else int(text)) == value


@given(st.floats())
def test_doubles_keep_their_value(value: float) -> None:
    builder = BatchBuilder()
    builder.add(0, value, arrival_us=1)
    (found,) = builder.finish().column("value_double").to_pylist()
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(st.lists(st.one_of(st.integers(-(2**53), 2**53), st.text(), st.booleans(), st.none())))
def test_arrays_read_back(value: list[object]) -> None:
    text = place_value(value)[2]
    assert text is not None
    assert json.loads(text) == value


def test_a_type_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="no value column takes object"):
        place_value(object())  # type: ignore[arg-type]


def test_a_builder_starts_anew_after_finish() -> None:
    builder = BatchBuilder()
    builder.add(3, True, arrival_us=5, source_us=4, status=STATUS_BAD)
    assert len(builder) == 1
    first = builder.finish()
    assert first.schema == NATIVE_SCHEMA
    assert first.to_pylist()[0]["value_int"] == 1
    assert builder.finish().num_rows == 0


def test_readings_take_the_arrival_time_only_where_there_is_no_source_time() -> None:
    batch = native_batch([1, 0], arrival_us=[10, 20], source_us=[None, 15], value_double=[1.0, None])
    found = to_readings(batch, np.array([70, 71], np.int32))
    assert found.schema == READING_SCHEMA
    assert found.column("series_id").to_pylist() == [71, 70]
    assert found.column("time").cast(pa.int64()).to_pylist() == [10, 15]
    assert found.column("time_is_source").to_pylist() == [False, True]


def test_micros_are_exact() -> None:
    assert micros(datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)) == 1_767_323_045_678_901


def test_a_tag_goes_below_its_source_unless_a_pattern_says_otherwise() -> None:
    definition = SourceDefinition(
        SourceId("s"), "modbus", asset_path("plant-1/line-2"), {}, {"*/press_*": asset_path("plant-1/press-9")}
    )
    assert decide_asset(definition, Tag("a", "load", ValueType.INT64, "mill-03")) == "plant-1/line-2/mill-03"
    assert decide_asset(definition, Tag("a", "press_3", ValueType.INT64, "x")) == "plant-1/press-9"
    assert decide_asset(definition, Tag("a", "load", ValueType.INT64)) == "plant-1/line-2"
