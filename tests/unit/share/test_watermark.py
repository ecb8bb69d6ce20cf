"""The watermark: who received a copy is named after it was cut, sorted, merged or written anew; nobody else is."""

import csv
import io
import json
import random
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gongshu.share.clearances.errors import MarkedFileUnreadable
from gongshu.share.clearances.leaked import read_values
from gongshu.share.clearances.watermark import CHANCE_MAX, Marking, Suspect, choose, hidden, judge

SECRET = b"k" * 32
DECIMALS = 3
PARTIES = [f"urn:gongshu:party:{name}" for name in ("shop", "spy", "mine", "port", "yard")]
SHOP, SPY = PARTIES[:2]


def drawn(seed: int, count: int, *, mean: float = 70.0) -> list[float]:
    source = random.Random(seed)
    return [round(source.gauss(mean, 9), 4) for _ in range(count)]


VALUES = drawn(7, 4000)


def copy_of(party: str, delivery: str = "1", values: list[float] = VALUES) -> list[float]:
    marking = Marking(SECRET, party, delivery)
    return [marking.mark(value, DECIMALS) for value in values]


def trace(values: "list[float] | set[float]") -> dict[str, Suspect]:
    of_party, _ = choose(SECRET, values, DECIMALS)
    return {suspect.name: suspect for suspect in judge(SECRET, of_party, PARTIES)}


def named(values: "list[float] | set[float]") -> set[str]:
    return {name for name, suspect in trace(values).items() if suspect.is_named}


@given(st.floats(), st.integers(1, 9))
@example(284181925.47739613, 6)
def test_no_value_moves_by_more_than_one_step_and_form_and_sign_stay(value: float, decimals: int) -> None:
    marked = Marking(SECRET, SHOP, "1").mark(value, decimals)
    if marked == value or value != value:
        assert repr(marked) == repr(value)
        return
    before, after = repr(value), repr(marked)
    at = before.index(".") + decimals
    assert len(before) == len(after)
    assert abs(int(before[at]) - int(after[at])) == 1
    assert before[:at] + before[at + 1 :] == after[:at] + after[at + 1 :]
    assert Marking(SECRET, SHOP, "1").mark(marked, decimals) == marked


def test_one_value_in_sixteen_is_changed_and_the_same_copy_comes_again() -> None:
    marked = copy_of(SHOP)
    changed = sum(a != b for a, b in zip(VALUES, marked, strict=True))
    assert 0.04 < changed / len(VALUES) < 0.085
    assert marked == copy_of(SHOP)
    assert marked != copy_of(SPY)


def test_a_copy_names_its_party_and_its_delivery_and_nobody_else() -> None:
    marked = copy_of(SHOP, "17")
    assert named(marked) == {SHOP}
    _, of_delivery = choose(SECRET, marked, DECIMALS)
    found = {s.name: s.is_named for s in judge(SECRET, of_delivery, map(str, range(10, 30)))}
    assert [name for name, is_named in found.items() if is_named] == ["17"]


def test_originals_and_copies_of_other_data_name_nobody() -> None:
    for seed in range(20):
        assert named(drawn(seed, 2000)) == set()
    assert named(VALUES) == set()
    assert trace([])[SHOP].chance == 1.0


def test_a_cut_copy_still_names_its_party_and_a_short_one_says_nothing() -> None:
    marked = copy_of(SHOP)
    assert named(marked[1000:2000]) == {SHOP}
    assert named(random.Random(1).sample(marked, 1000)) == {SHOP}
    assert named(marked[:50]) == set()


def test_a_sorted_or_shuffled_copy_names_its_party() -> None:
    assert named(sorted(copy_of(SHOP))) == {SHOP}
    assert named(random.Random(2).sample(copy_of(SHOP), len(VALUES))) == {SHOP}


def test_two_merged_copies_name_both_parties() -> None:
    shop, spy = copy_of(SHOP), copy_of(SPY)
    assert named(shop[:2000] + spy[2000:]) == {SHOP, SPY}
    assert named(shop + spy) == {SHOP, SPY}
    assert named(shop + drawn(5, 2000, mean=300.0)) == {SHOP}


def test_what_the_mark_does_not_survive_names_nobody_rather_than_somebody() -> None:
    marked = copy_of(SHOP)
    assert named([round(value, 2) for value in marked]) == set()
    assert named([value * 1.8 + 32 for value in marked]) == set()
    noise = random.Random(3)
    assert named([round(value + noise.uniform(-0.01, 0.01), 4) for value in marked]) == set()


def test_another_dataset_s_key_finds_nothing() -> None:
    of_party, _ = choose(b"x" * 32, copy_of(SHOP), DECIMALS)
    assert not any(suspect.is_named for suspect in judge(b"x" * 32, of_party, PARTIES))


def test_more_suspects_need_more_evidence() -> None:
    of_party, _ = choose(SECRET, copy_of(SHOP)[:420], DECIMALS)
    alone = next(judge(SECRET, of_party, [SHOP]))
    crowd = next(judge(SECRET, of_party, [SHOP, *map(str, range(999))]))
    assert crowd.chance == pytest.approx(min(1.0, alone.chance * 1000))
    assert alone.chance < CHANCE_MAX


@pytest.mark.parametrize("value", [0.0, 5.0, 1e300, 1e-9, float("nan"), float("inf"), 12.5, -0.25])
def test_values_without_such_a_decimal_are_left_alone(value: float) -> None:
    assert hidden(value, DECIMALS) is None
    assert repr(Marking(SECRET, SHOP, "1").mark(value, DECIMALS)) == repr(value)


def table_of(values: list[float]) -> pa.Table:
    times = [f"2026-11-02T08:{i % 60:02}:01.{i:06}+08:00" for i in range(len(values))]
    return pa.table({"time": times, "load": values, "version": ["1.234.5"] * len(values)})


@pytest.mark.parametrize("form", ["arrow-csv", "csv", "json", "text", "parquet", "arrow", "stream"])
def test_a_file_of_any_form_gives_back_its_values(tmp_path: Path, form: str) -> None:
    marked = copy_of(SHOP, values=VALUES[:1500])
    table, file = table_of(marked), tmp_path / "leaked"
    if form == "arrow-csv":
        pa_csv.write_csv(table, file)
    elif form == "csv":
        out = io.StringIO()
        csv.writer(out, delimiter=";").writerows([[f"{v:.6f}", "x"] for v in marked])
        file.write_text(out.getvalue())
    elif form == "json":
        file.write_text(json.dumps(table.to_pylist()))
    elif form == "text":
        file.write_text(" ".join(f"load={v!r}" for v in marked))
    elif form == "parquet":
        pa_parquet.write_table(table, file)
    else:
        opened = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
        with opened(file, table.schema) as writer:
            writer.write_table(table)
    values, digest = read_values(file)
    assert {value for value in values if value % 1} == {value for value in marked if value % 1}
    assert named(values) == {SHOP}
    assert len(digest) == 64


@given(st.binary(max_size=200))
def test_any_bytes_give_values_or_one_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes"
    for head in (b"", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"):
        file.write_bytes(head + content)
        with suppress(MarkedFileUnreadable):
            assert all(isinstance(value, float) for value in read_values(file)[0])
