"""The order in which readings are kept, and the days they belong to."""

import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gongshu.lake.sorting import sort_order, split_days
from tests.unit.lake.made import START, readings


@given(st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 50)), max_size=60))
def test_sorting_is_by_series_then_time_and_keeps_the_order_of_equals(keys: list[tuple[int, int]]) -> None:
    times = pa.array([seconds * 1_000_000 for _, seconds in keys], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    table = readings([series_id for series_id, _ in keys]).set_column(1, "time", times)
    ordered = table.take(sort_order(table)).column("value_double").to_pylist()
    assert ordered == sorted(range(len(keys)), key=lambda position: keys[position])


def test_many_chunks_sort_like_one() -> None:
    shuffled = list(range(1, 200))
    random.Random(7).shuffle(shuffled)
    table = pa.concat_tables([readings([series_id]) for series_id in shuffled])
    assert table.take(sort_order(table)).column("series_id").to_pylist() == list(range(1, 200))


def test_readings_go_to_their_own_utc_day_also_before_1970() -> None:
    moments = [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        START,
        START + timedelta(days=1),
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ]
    table = pa.concat_tables([readings([1], start=moment) for moment in moments])
    days = {day: part.column("time").to_pylist() for day, part in split_days(table)}
    assert days == {(moment - datetime(1970, 1, 1, tzinfo=UTC)).days: [moment] for moment in moments}


def test_one_day_is_handed_through_and_nothing_gives_nothing() -> None:
    table = readings([1, 2, 3])
    assert [part is table for _, part in split_days(table)] == [True]
    assert list(split_days(table.slice(0, 0))) == []
