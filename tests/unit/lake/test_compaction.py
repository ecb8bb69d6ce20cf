"""Which days are worth merging."""

from dataclasses import dataclass

from gongshu.lake.compaction import FILES_PER_DAY, GROUP_ROWS, SMALL_ROWS, plan_compaction


@dataclass
class File:
    day: int | None
    rows: int


def test_a_past_day_with_late_files_is_merged_and_one_in_order_is_left() -> None:
    in_order = [File(10, 1000), File(10, 1000)]
    late = [File(11, 1000), File(11, 1000), File(11, 5)]
    assert plan_compaction([*in_order, *late], today=12, is_idle=True) == [sorted(late, key=lambda f: f.rows)]


def test_today_is_merged_only_when_it_has_many_files() -> None:
    few, many = [File(12, 9)] * FILES_PER_DAY, [File(12, 9)] * (FILES_PER_DAY + 1)
    assert plan_compaction(few, today=12, is_idle=True) == []
    assert len(plan_compaction(many, today=12, is_idle=True)) == 1
    assert plan_compaction(many, today=12, is_idle=False) == []
    assert len(plan_compaction([File(12, 9)] * 4 * FILES_PER_DAY, today=12, is_idle=False)) == 1


def test_large_files_are_left_alone_and_no_group_exceeds_the_memory_bound() -> None:
    large = [File(10, SMALL_ROWS)] * 9
    assert plan_compaction(large, today=12, is_idle=True) == []
    middle = [File(10, SMALL_ROWS - 1)] * 9
    groups = plan_compaction(middle, today=12, is_idle=True)
    assert len(groups) > 1
    assert all(sum(file.rows for file in group) <= GROUP_ROWS for group in groups)


def test_days_are_never_mixed_and_the_oldest_comes_first() -> None:
    files = [File(day, 10) for day in (12, 3, 7) for _ in range(9)]
    groups = plan_compaction(files, today=12, is_idle=True)
    assert [{file.day for file in group} for group in groups] == [{3}, {7}, {12}]
