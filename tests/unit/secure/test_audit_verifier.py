"""The verifier finds and places every change of an export, whoever made it."""

import ast
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongshu import audit_verifier, evidence_verifier
from gongshu.audit_verifier import Unreadable, Wrong, verify
from gongshu.database import Database
from gongshu.model.audit import AuditEvent
from gongshu.secure.audit import AuditLog
from gongshu.secure.audit.log import CHECKPOINT_EVERY
from gongshu.secure.audit.merkle import leaf_hash
from gongshu.secure.keys import KeyStore
from gongshu.secure.tables import audit_checkpoints, audit_entries, audit_state
from tests.conftest import Clock
from tests.metadata import new_database

RECORDS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verifier")


@pytest.fixture(scope="module")
def made(folder: Path) -> Iterator[tuple[AuditLog, Database, KeyStore, Clock]]:
    database, clock = new_database(folder / "metadata.db"), Clock()
    keys = KeyStore(folder / "keys")
    log = AuditLog(database, keys, clock)
    for number in range(RECORDS):
        if number % 10 == 5:
            clock.forward(seconds=CHECKPOINT_EVERY.total_seconds())
        log.write(AuditEvent(clock(), "user:li", "read.permitted", f"ds_{number}", "ok", {"客户": "值", "n": number}))
    yield log, database, keys, clock
    database.close()


@pytest.fixture(scope="module")
def lines(made: tuple[AuditLog, Database, KeyStore, Clock], folder: Path) -> list[bytes]:
    made[0].export(folder / "audit.jsonl")
    return (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)


def line_of(lines: list[bytes], index: int) -> int:
    return next(n for n, line in enumerate(lines) if json.loads(line).get("index") == index)


def found(lines: list[bytes], **options: str) -> Wrong:
    with pytest.raises(Wrong) as caught:
        verify(io.BytesIO(b"".join(lines)), **options)
    return caught.value


def changed(line: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(line) | fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_an_untouched_export_is_verified(lines: list[bytes], made: tuple[AuditLog, Database, KeyStore, Clock]) -> None:
    report = verify(io.BytesIO(b"".join(lines)), fingerprint=made[2].fingerprint())
    assert (report.records, report.checkpoints, report.key_compared) == (RECORDS, 4, True)


def test_an_empty_log_is_verified(database: Database, keys: KeyStore, clock: Clock, tmp_path: Path) -> None:
    AuditLog(database, keys, clock).export(tmp_path / "empty.jsonl")
    with (tmp_path / "empty.jsonl").open("rb") as file:
        assert verify(file).records == 0


@pytest.mark.parametrize("index", [0, 7, RECORDS - 1])
def test_an_altered_record_is_named(lines: list[bytes], index: int) -> None:
    at = line_of(lines, index)
    leaf = json.loads(lines[at])["leaf"].replace("user:li", "user:wu")
    crude = [*lines[:at], changed(lines[at], leaf=leaf), *lines[at + 1 :]]
    careful = [*lines[:at], changed(lines[at], leaf=leaf, hash=leaf_hash(leaf.encode()).hex()), *lines[at + 1 :]]
    for export in (crude, careful):
        wrong = found(export)
        assert (wrong.record, wrong.line) == (index, at + 1)
        assert "altered" in wrong.reason


@pytest.mark.parametrize("index", [0, 7, RECORDS - 1])
def test_a_removed_record_is_named(lines: list[bytes], index: int) -> None:
    at = line_of(lines, index)
    wrong = found([*lines[:at], *lines[at + 1 :]])
    assert wrong.record == index
    assert "removed" in wrong.reason


def test_reordered_records_are_named(lines: list[bytes]) -> None:
    first, second = line_of(lines, 7), line_of(lines, 9)
    export = list(lines)
    export[first], export[second] = export[second], export[first]
    wrong = found(export)
    assert (wrong.record, wrong.line) == (7, first + 1)
    assert "reordered" in wrong.reason


def test_a_repeated_record_is_named(lines: list[bytes]) -> None:
    at = line_of(lines, 7)
    wrong = found([*lines[: at + 1], lines[at], *lines[at + 1 :]])
    assert (wrong.record, wrong.line) == (8, at + 2)
    assert "second time" in wrong.reason


def test_an_inserted_record_is_named(lines: list[bytes], folder: Path) -> None:
    at = line_of(lines, 7)
    forged = json.loads(lines[at])["leaf"].replace('"n":7', '"n":99')
    stranger = KeyStore(folder / "stranger")
    inserted = changed(
        lines[at], leaf=forged, hash=leaf_hash(forged.encode()).hex(), signature=stranger.sign(b"x").hex()
    )
    wrong = found([*lines[:at], inserted, *lines[at:]])
    assert (wrong.record, wrong.line) == (7, at + 1)
    assert "inserted" in wrong.reason


@pytest.mark.parametrize("kept", [1, 2, 10, -1, -2])
def test_a_cut_file_is_named(lines: list[bytes], kept: int) -> None:
    wrong = found(lines[:kept])
    assert wrong.record is not None
    assert "removed" in wrong.reason


def test_records_cut_off_behind_an_earlier_checkpoint_are_missed_by_the_header(lines: list[bytes]) -> None:
    earlier = next(n for n, line in enumerate(lines) if n > 0 and b'{"checkpoint"' in line)
    wrong = found(lines[: earlier + 1])
    assert wrong.record == earlier - 1
    assert "cut" in wrong.reason


def test_an_older_whole_export_is_found_by_a_known_checkpoint(lines: list[bytes], folder: Path) -> None:
    notes = [json.loads(line)["checkpoint"] for line in lines if set(json.loads(line)) == {"checkpoint"}]
    header = changed(lines[0], checkpoint=notes[0])
    end = next(n for n, line in enumerate(lines) if n > 0 and b'{"checkpoint"' in line)
    older = [header, *lines[1 : end + 1]]
    assert verify(io.BytesIO(b"".join(older))).records == end - 1
    assert "cut" in found(older, known_note=notes[-1]).reason
    assert verify(io.BytesIO(b"".join(lines)), known_note=notes[0]).records == RECORDS


def test_a_replaced_key_is_found(
    lines: list[bytes], made: tuple[AuditLog, Database, KeyStore, Clock], tmp_path: Path, clock: Clock
) -> None:
    database = new_database(tmp_path / "other.db")
    other = AuditLog(database, KeyStore(tmp_path / "other"), clock)
    other.write(AuditEvent(clock(), "user:li", "read.permitted", "ds", "ok"))
    other.export(tmp_path / "other.jsonl")
    export = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    assert verify(io.BytesIO(b"".join(export))).key_compared is False
    assert "key was replaced" in found(export, fingerprint=made[2].fingerprint()).reason
    key = json.loads(export[0])["public_key"]
    assert "header" in found([changed(lines[0], public_key=key), *lines[1:]]).reason
    at = line_of(lines, 0)
    foreign = [*lines[:at], export[1], *lines[at + 1 :]]
    assert found(foreign).record == 0


@pytest.mark.parametrize(
    "trick",
    [
        lambda line: line.replace(b'"index":7,', b'"index":8,"index":7,'),
        lambda line: line.replace(b'"index":7,', b'"index": 7,'),
        lambda line: line.replace(b'"index":7,', b'"index":7.0,'),
        lambda line: line.replace(b'"index":7,', b'"index":true,'),
        lambda line: line.replace(b"user:li", b"user:\\u006ci"),
        lambda line: line.replace(b"user:li", b"user:l\\ud800"),
        lambda line: line.replace(b"user:li", "user:lі".encode()),
        lambda line: line.replace(b'\\"n\\":7', b'\\"n\\":7,\\"n\\":8'),
        lambda line: line.replace(b'{"hash"', b'{"extra":1,"hash"'),
        lambda line: line.replace(b'"index":7,', b'"index":NaN,'),
        lambda line: line.rstrip(b"\n") + b"\r\n",
        lambda line: line + b"\n",
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: b"[" * 100_000 + b"\n",
    ],
)
def test_json_tricks_are_found_and_placed(lines: list[bytes], trick: Any) -> None:
    at = line_of(lines, 7)
    wrong = found([*lines[:at], trick(lines[at]), *lines[at + 1 :]])
    assert wrong.record in (7, 8)
    assert wrong.line is not None
    assert at + 1 <= wrong.line <= at + 2


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found_and_placed(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(lines)
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    damaged = whole[:place] + bytes([byte]) + whole[place + 1 :]
    line = whole.count(b"\n", 0, place) + 1
    with pytest.raises((Wrong, Unreadable)) as caught:
        verify(io.BytesIO(damaged))
    if isinstance(caught.value, Wrong):
        named = caught.value.line
        assert named in (line, line + 1) or (named is None and line == len(lines))
    else:
        assert line == 1


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_removed_repeated_or_moved_line_is_found(lines: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(lines) - 1))
    kind = data.draw(st.sampled_from(["remove", "repeat", "move"]))
    export = list(lines)
    if kind == "remove":
        del export[at]
    elif kind == "repeat":
        export.insert(data.draw(st.integers(0, len(lines))), lines[at])
    else:
        export.insert(data.draw(st.integers(0, len(lines) - 1).filter(lambda to: to != at)), export.pop(at))
    with pytest.raises((Wrong, Unreadable)):
        verify(io.BytesIO(b"".join(export)))


def test_a_record_altered_in_the_database_is_found_even_with_all_hashes_made_anew(
    database: Database, keys: KeyStore, clock: Clock, tmp_path: Path
) -> None:
    log = AuditLog(database, keys, clock)
    log.write_many([AuditEvent(clock(), "user:li", "a.b", f"o{n}", "ok") for n in range(4)])
    log.checkpoint()
    with database.begin() as connection:
        rows = connection.execute(audit_entries.select().order_by(audit_entries.c.record_index)).all()
        leaf = rows[2].leaf.replace(b"user:li", b"user:wu")
        connection.execute(
            audit_entries.update().where(audit_entries.c.record_index == 2).values(leaf=leaf, leaf_hash=leaf_hash(leaf))
        )
        hashes = [row.leaf_hash for row in rows[:2]] + [leaf_hash(leaf), rows[3].leaf_hash]
        from gongshu.secure.audit.merkle import root_of_leaves

        connection.execute(audit_state.update().values(frontier=root_of_leaves(hashes), checkpoints=0))
        connection.execute(audit_checkpoints.delete())
    log.export(tmp_path / "audit.jsonl")
    wrong = found((tmp_path / "audit.jsonl").read_bytes().splitlines(keepends=True))
    assert wrong.record == 2
    assert "not signed" in wrong.reason


def test_the_program_prints_one_clear_line_and_an_exit_status(
    lines: list[bytes],
    made: tuple[AuditLog, Database, KeyStore, Clock],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad, other = (tmp_path / name for name in ("good.jsonl", "bad.jsonl", "other.jsonl"))
    good.write_bytes(b"".join(lines))
    at = line_of(lines, 7)
    bad.write_bytes(b"".join([*lines[:at], *lines[at + 1 :]]))
    other.write_text("name,value\n")
    assert audit_verifier.main([str(good), "--fingerprint", made[2].fingerprint()]) == 0
    assert capsys.readouterr().out.startswith(f"verified: {RECORDS} records and 4 checkpoints")
    assert audit_verifier.main([str(bad)]) == 1
    assert capsys.readouterr().err.startswith(f"FAILED record 7 (line {at + 1}): record 7 was removed")
    assert audit_verifier.main([str(bad), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["record"] == 7
    for path in (other, tmp_path / "absent.jsonl", tmp_path):
        assert audit_verifier.main([str(path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_verifier_imports_nothing_of_this_package() -> None:
    tree = ast.parse(Path(audit_verifier.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {name.split(".")[0] for name in names}
    assert "gongshu" not in tops
    assert tops <= {*sys.stdlib_module_names, "cryptography"}


def test_both_verifiers_call_only_what_the_cryptography_of_debian_12_has() -> None:
    files = [Path(audit_verifier.__file__), *Path(evidence_verifier.__file__).parent.glob("*.py")]
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & {"public_bytes_raw", "private_bytes_raw"}, f"{file}: new in cryptography 40"


def test_the_verifier_runs_as_one_copied_file(lines: list[bytes], tmp_path: Path) -> None:
    copy, export = tmp_path / "check.py", tmp_path / "audit.jsonl"
    copy.write_bytes(Path(audit_verifier.__file__).read_bytes())
    export.write_bytes(b"".join(lines))
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: assert not [name for name in sys.modules if name.split('.')[0] == 'gongshu']\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(copy), str(export)], capture_output=True, text=True, cwd=tmp_path
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("verified:")
