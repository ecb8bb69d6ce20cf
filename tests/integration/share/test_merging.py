"""The many small files of a stream become few; no row is lost, shown twice or in clear, whatever is killed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.ids import PartyId
from gongshu.secure.gate.copies import CopyRead
from gongshu.share.keeping import store
from gongshu.share.keeping.chain import proof_fault
from gongshu.share.keeping.merging import FILES_MIN, LARGE_ROWS, choose_files
from gongshu.share.keeping.model import File
from gongshu.share.keeping.tables import kept_files
from gongshu.share.model import Agreement
from gongshu.share.ports import Reply
from gongshu.share.service import ShareSettings
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.integration.share.pantry import SECRET, Pantry
from tests.integration.share.test_kept_ending import _Killed, killed_at

NOON = Clock().now


def file(number: int, rows: int, after: timedelta = timedelta()) -> File:
    return File(f"{number:06d}", 1, True, rows, rows * 8, "", NOON + after, None, None)


@given(st.lists(st.integers(0, 2 * LARGE_ROWS), max_size=300), st.integers(1, 400))
def test_what_is_chosen_are_neighbours_of_which_there_were_many_small_ones(sizes: list[int], minutes: int) -> None:
    files = [file(i, rows, timedelta(minutes=i)) for i, rows in enumerate(sizes)]
    chosen = choose_files(files, timedelta(minutes=minutes))
    if chosen:
        first = files.index(chosen[0])
        assert chosen == files[first : first + len(chosen)]
        assert len(chosen) >= FILES_MIN
        assert all(each.rows < LARGE_ROWS for each in chosen)
        assert chosen[-1].made_at - chosen[0].made_at <= timedelta(minutes=minutes)


def test_a_day_of_appends_ends_in_few_files_and_each_row_is_written_a_few_times() -> None:
    files: list[File] = []
    written, number = 0, 0
    for _ in range(24 * 60):
        for _ in range(12):
            number += 1
            files.append(file(number, 500))
        while chosen := choose_files(files, None):
            number += 1
            first, rows = files.index(chosen[0]), sum(each.rows for each in chosen)
            files[first : first + len(chosen)] = [file(number, rows)]
            written += rows
    assert sum(each.rows for each in files) == 24 * 60 * 12 * 500
    assert len(files) < 4 * FILES_MIN
    assert written <= 5 * 24 * 60 * 12 * 500


@pytest.fixture
def pantry(tmp_path: Path) -> Iterator[Pantry]:
    pantry = Pantry(tmp_path / "shop")
    yield pantry
    pantry.close()


def append(pantry: Pantry, agreement: Agreement, count: int, first: int = 0, every: timedelta = timedelta()) -> None:
    for i in range(first, first + count):
        table = pa.table({"n": pa.array([i]), "note": pa.array([f"{SECRET}-{i}"])})
        pantry.keep(agreement, "grown", table, append=True)
        pantry.clock.forward(seconds=every.total_seconds())


def seen(pantry: Pantry) -> list[int]:
    return sorted(pantry.ask("SELECT n FROM grown")["n"].to_pylist())


def count_files(pantry: Pantry) -> tuple[int, int]:
    """Files that are read, and files on the disk."""
    with pantry.database.connect() as connection:
        version = store.current_version(connection, "grown")
    assert version is not None
    return len(version.files), len(list((pantry.folder / "lake" / "sealed").iterdir()))


def test_appends_become_one_file_that_is_read_and_deleted_like_them(pantry: Pantry) -> None:
    agreement = pantry.agree(Terms(until=pantry.clock() + timedelta(days=1)))
    append(pantry, agreement, 40)
    pantry.keeping.step()
    assert count_files(pantry) == (1, 41), "queries that began on the old ones end on them"
    assert seen(pantry) == list(range(40))
    append(pantry, agreement, 3, first=40)
    pantry.clock.forward(hours=1, seconds=1)
    pantry.keeping.step()
    assert count_files(pantry) == (4, 4)
    assert seen(pantry) == list(range(43))
    assert pantry.found_on_disk(SECRET.encode()) == []
    pantry.clock.forward(days=1)
    pantry.keeping.step()
    (line,) = pantry.keeping.deletions()
    assert (line.state, line.files) == ("proved", 4)
    assert list((pantry.folder / "lake" / "sealed").iterdir()) == []


def test_a_clock_set_forward_takes_no_file_from_a_query_that_reads_it(pantry: Pantry) -> None:
    append(pantry, pantry.agree(Terms(until=pantry.clock() + timedelta(days=1))), FILES_MIN)
    pantry.keeping.step()
    pantry.clock.now += timedelta(hours=7)
    pantry.keeping.step()
    assert count_files(pantry) == (1, FILES_MIN + 1)
    pantry.clock.now -= timedelta(hours=7)
    pantry.clock.forward(hours=1, seconds=1)
    pantry.keeping.step()
    assert count_files(pantry) == (1, 1)


def test_very_many_files_are_deleted_in_few_steps_and_their_proof_fits_into_a_message(pantry: Pantry) -> None:
    append(pantry, pantry.agree(Terms(until=pantry.clock() + timedelta(days=1))), 1)
    pantry.keeping.step()
    with pantry.database.begin() as connection:
        like = connection.execute(sa.select(kept_files)).one()._asdict()
        names = [f"{number:032x}.sealed" for number in range(7_000)]
        connection.execute(sa.insert(kept_files), [like | {"name": name, "sha256": "0" * 64} for name in names])
    pantry.clock.forward(days=1, seconds=1)
    steps: list[None] = []
    sa.event.listen(pantry.database.engine, "commit", lambda _: steps.append(None))
    sent: list[bytes] = []

    def post(party: PartyId, path: str, body: bytes) -> Reply:
        sent.append(body)
        return Reply(200, b"{}", {})

    pantry.keeping.step(post)
    assert len(steps) < 100
    proof = next(orjson.loads(body)["body"] for body in sent if b'"method"' in body)
    assert max(map(len, sent)) < ShareSettings().body_bytes_max
    assert proof_fault(proof) is None
    summed, *named = proof["files"]
    assert summed["name"].startswith("3001 more")
    assert summed["size_bytes"] + sum(each["size_bytes"] for each in named) == like["size_bytes"] * 7_001


def test_files_are_merged_only_where_no_row_stays_long_beyond_or_goes_long_before_its_day(pantry: Pantry) -> None:
    agreement = pantry.agree(Terms(delete_after_s=100 * 60))
    append(pantry, agreement, 33, every=timedelta(seconds=30))
    pantry.keeping.step()
    assert count_files(pantry)[0] == 33, "they came over a quarter of an hour"
    append(pantry, agreement, 40, first=33, every=timedelta(seconds=1))
    pantry.keeping.step()
    assert count_files(pantry)[0] == 34
    assert seen(pantry) == list(range(73))
    pantry.clock.forward(minutes=99)
    pantry.keeping.step()
    assert seen(pantry) == list(range(33, 73))
    pantry.clock.forward(minutes=1)
    pantry.keeping.step()
    (line,) = pantry.keeping.deletions()
    assert line.state == "proved"


def test_a_kill_before_any_durable_step_of_merging_loses_and_repeats_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pantry = Pantry(tmp_path / "shop")
    agreement = pantry.agree(Terms(unrestricted=True))
    append(pantry, agreement, FILES_MIN)
    pantry.keeping.step(slow=False)
    number, merged = 0, 0
    while not merged:
        with killed_at(number, pantry.database.engine, monkeypatch):
            try:
                merged = pantry.keeping._merger.run()
            except _Killed:
                pantry.close()
                pantry.open()
        assert seen(pantry) == list(range(FILES_MIN)), number
        number += 1
    assert number > 3
    assert merged == FILES_MIN
    pantry.keeping.step(slow=False)  # the last process counts from when it began
    pantry.clock.forward(hours=7)
    pantry.keeping.step()
    assert count_files(pantry) == (1, 1)
    assert seen(pantry) == list(range(FILES_MIN))
    pantry.close()


def test_a_contract_that_ends_and_another_merger_leave_nothing_half_done(
    pantry: Pantry, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement = pantry.agree(Terms(unrestricted=True))
    append(pantry, agreement, FILES_MIN)
    merger, write = pantry.keeping._merger, pantry.lake.write_sealed

    def overtaken(*given: object) -> object:
        report = write(*given)  # type: ignore[arg-type]
        monkeypatch.setattr(pantry.lake, "write_sealed", write)
        assert merger.run() == FILES_MIN, "another process is first"
        return report

    monkeypatch.setattr(pantry.lake, "write_sealed", overtaken)
    assert merger.run() == 0
    assert count_files(pantry) == (1, FILES_MIN + 1)
    assert seen(pantry) == list(range(FILES_MIN))
    append(pantry, agreement, FILES_MIN, first=FILES_MIN)

    def ended(*given: object) -> object:
        report = write(*given)  # type: ignore[arg-type]
        pantry.retire(agreement)
        pantry.keeping.step(slow=False)
        return report

    monkeypatch.setattr(pantry.lake, "write_sealed", ended)
    assert merger.run() == 0
    assert list((pantry.folder / "lake" / "sealed").iterdir()) == []
    verdict = pantry.keeping.law.judge(CopyRead("grown", pantry.li, "read", "quality"))  # type: ignore[arg-type]
    assert verdict is not None
    assert not verdict.permitted


def test_a_damaged_file_keeps_its_own_dataset_from_being_merged_and_no_other(pantry: Pantry) -> None:
    append(pantry, pantry.agree(Terms()), 40)
    sound = pantry.agree(Terms())
    for i in range(40):
        pantry.keep(sound, "sound", pa.table({"n": pa.array([i])}), append=True)
    with pantry.database.connect() as connection:
        damaged = store.current_version(connection, "grown")
    assert damaged is not None
    path = pantry.folder / "lake" / "sealed" / damaged.files[3].name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    for _ in range(2):
        pantry.keeping.step()
    with pantry.database.connect() as connection:
        merged = store.current_version(connection, "sound")
        rows = store.files_under(connection, damaged.keys[0].key_id)
    assert merged is not None
    assert len(merged.files) == 1
    assert len(rows) == 40, "what was given up leaves no row"
