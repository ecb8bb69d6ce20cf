"""Plans leave out files that cannot matter, and never one that can."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.lake.query.frames import HEADER, Kind, header, parse_header
from gongshu.lake.query.plan import READING_COLUMNS, RelationPlan, holds_any, view_sql


@dataclass
class File:
    series_range: tuple[int, int] | None
    time_range_us: tuple[int, int] | None


_reading = st.tuples(st.integers(1, 20), st.integers(0, 50))


@given(
    st.lists(_reading, min_size=1, max_size=6),
    st.none() | st.lists(st.integers(1, 20), max_size=4),
    st.none() | st.integers(0, 50),
    st.none() | st.integers(0, 50),
)
def test_a_file_with_a_wanted_reading_is_never_left_out(
    rows: list[tuple[int, int]], wanted: list[int] | None, start: int | None, end: int | None
) -> None:
    series, times = [s for s, _ in rows], [t for _, t in rows]
    file = File((min(series), max(series)), (min(times), max(times)))
    matches = any(
        (wanted is None or s in wanted) and (start is None or t >= start) and (end is None or t < end) for s, t in rows
    )
    kept = holds_any(file, series_ids=wanted, start_us=start, end_us=end)
    assert kept or not matches


def test_a_file_without_bounds_is_kept_and_one_outside_them_is_not() -> None:
    assert holds_any(File(None, None), series_ids=[1], start_us=5, end_us=6)
    assert not holds_any(File((1, 9), (0, 4)), series_ids=None, start_us=5, end_us=None)
    assert not holds_any(File((1, 9), (6, 7)), series_ids=None, start_us=None, end_us=6)
    assert not holds_any(File((1, 9), (0, 9)), series_ids=[10, 11], start_us=None, end_us=None)


def test_names_and_paths_cannot_leave_their_quotes() -> None:
    plan = RelationPlan(name='x"y', files=("/it's/a.parquet",), columns=((1, "a'\"b", "BIGINT"),))
    sql = view_sql(plan, tail_name="t", ids_name="i")
    assert "'/it''s/a.parquet'" in sql
    assert '"a\'""b"' in sql


def test_no_series_gives_no_rows_and_many_are_joined() -> None:
    none = RelationPlan("r", ("/a",), READING_COLUMNS, is_readings=True, series_ids=())
    many = RelationPlan("r", ("/a",), READING_COLUMNS, is_readings=True, series_ids=tuple(range(1000)))
    assert "WHERE false" in view_sql(none, tail_name="t", ids_name="i")
    assert "IN (SELECT series_id FROM i)" in view_sql(many, tail_name="t", ids_name="i")


@given(st.sampled_from(Kind), st.integers(0, 2**32))
def test_frame_headers_come_back(kind: Kind, length: int) -> None:
    assert parse_header(header(kind, length)) == (kind, length)


def test_a_header_out_of_step_is_noticed() -> None:
    with pytest.raises(ValueError, match="bytes"):
        parse_header(HEADER.pack(Kind.BATCH, 2**33))
    with pytest.raises(ValueError, match="99"):
        parse_header(HEADER.pack(99, 1))
