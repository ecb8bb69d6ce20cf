import base64
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from gongshu.database import Database
from gongshu.model.audit import AuditEvent
from gongshu.secure.audit import AuditLog, merkle
from gongshu.secure.audit.leaf import encode_leaf
from gongshu.secure.errors import AuditLogDamaged
from gongshu.secure.keys import KeyStore
from gongshu.secure.tables import audit_entries, audit_state
from tests.conftest import Clock


def event(clock: Clock, person: int = 0, **details: str | int | float) -> AuditEvent:
    return AuditEvent(clock(), f"user:u{person % 3}", "read.permitted", f"ds_{person % 2}", "ok", details)


def test_records_are_numbered_from_zero_and_read_newest_first(audit: AuditLog, clock: Clock) -> None:
    assert [audit.write(event(clock, number)) for number in range(3)] == [0, 1, 2]
    assert [entry.index for entry in audit.entries()] == [2, 1, 0]
    assert audit.size() == 3


def test_entries_are_found_by_object_action_actor_and_page(audit: AuditLog, clock: Clock) -> None:
    audit.write_many([event(clock, number) for number in range(12)])
    audit.write(AuditEvent(clock(), "user:u0", "grade.confirmed", "ds_0", "ok"))
    assert [entry.index for entry in audit.entries(object="ds_0", action="read.permitted", actor="user:u0")] == [6, 0]
    assert [entry.index for entry in audit.entries(action="read.*", limit=2, before=5)] == [4, 3]
    assert [entry.action for entry in audit.entries(action="grade.*")] == ["grade.confirmed"]
    assert audit.entries(action="r%*") == []


def test_a_record_joins_the_transaction_of_the_change(audit: AuditLog, database: Database, clock: Clock) -> None:
    with suppress(ZeroDivisionError), database.begin():
        audit.write(event(clock))
        assert audit.in_transaction
        raise ZeroDivisionError
    assert audit.size() == 0
    with database.begin():
        audit.write(event(clock))
    assert not audit.in_transaction
    assert audit.size() == 1
    with database.connect() as connection:
        connection.execute(audit_state.select()).one()
        assert not audit.in_transaction


def test_two_logs_over_one_database_share_one_order(
    audit: AuditLog, database: Database, keys: KeyStore, clock: Clock
) -> None:
    other = AuditLog(Database(database.url), keys, clock)
    indexes = [log.write(event(clock)) for log in (audit, other, audit, other)]
    assert indexes == [0, 1, 2, 3]


def test_every_record_has_a_proof_and_old_checkpoints_are_prefixes(audit: AuditLog, clock: Clock) -> None:
    audit.write_many([event(clock, number) for number in range(5)])
    old = audit.checkpoint()
    audit.write_many([event(clock, number) for number in range(6)])
    new = audit.checkpoint()
    roots = [base64.b64decode(note.split("\n")[2]) for note in (old, new)]
    for index in range(11):
        leaf = merkle.leaf_hash(encode_leaf(index, event(clock, index if index < 5 else index - 5)))
        assert merkle.is_included(leaf, index, 11, audit.prove_inclusion(index), roots[1])
    assert merkle.is_consistent(5, roots[0], 11, roots[1], audit.prove_consistency(5))


def test_checkpoints_come_by_number_and_by_time(audit: AuditLog, clock: Clock) -> None:
    audit.write(event(clock))
    audit.write_many([event(clock)] * 499)
    assert [note.split("\n")[1] for note in audit.checkpoints()] == ["500"]
    clock.forward(seconds=59)
    audit.write(event(clock))
    assert len(audit.checkpoints()) == 1
    clock.forward(seconds=1)
    audit.write(event(clock))
    assert [note.split("\n")[1] for note in audit.checkpoints()] == ["502", "500"]


def test_a_log_that_did_not_grow_keeps_its_checkpoint(audit: AuditLog, clock: Clock) -> None:
    audit.write(event(clock))
    first = audit.checkpoint()
    clock.forward(hours=1)
    assert audit.checkpoint() == first


def test_odd_texts_and_numbers_are_kept_or_refused(audit: AuditLog, clock: Clock) -> None:
    audit.write(event(clock, text="\ud800 \x00 名 \u2028", number=0.1, long="x" * 5000))
    (entry,) = audit.entries()
    assert entry.details["text"] == "? \x00 名 \u2028"
    assert entry.details["number"] == 0.1
    assert len(entry.details["long"]) < 4100
    with pytest.raises(ValueError, match="JSON"):
        audit.write(event(clock, number=float("nan")))
    assert audit.size() == 1


def test_nothing_is_written_for_nothing(audit: AuditLog) -> None:
    assert audit.write_many([]) == 0
    assert audit.size() == 0


def test_a_leaf_is_one_form_of_json(clock: Clock) -> None:
    leaf = encode_leaf(7, AuditEvent(clock(), "a", "b.c", "o", "ok", {"z": 1, "a": ["x"]}))
    assert leaf == (
        b'{"action":"b.c","actor":"a","at":"2026-11-02T08:00:00.000000Z","details":{"a":["x"],"z":1},'
        b'"index":7,"object":"o","outcome":"ok","v":1}'
    )
    with pytest.raises(AssertionError):
        encode_leaf(0, AuditEvent(datetime(2026, 1, 1), "a", "b", "o", "ok"))  # noqa: DTZ001


def test_a_damaged_state_stops_the_log(audit: AuditLog, database: Database, clock: Clock) -> None:
    audit.write(event(clock))
    with database.begin() as connection:
        connection.execute(audit_state.update().values(frontier=b""))
    with pytest.raises(AuditLogDamaged):
        audit.write(event(clock))


def test_the_leaf_is_stored_as_it_was_hashed(audit: AuditLog, database: Database, clock: Clock) -> None:
    audit.write(event(clock, 1, 名="值"))
    with database.connect() as connection:
        row = connection.execute(audit_entries.select()).one()
    assert merkle.leaf_hash(row.leaf) == row.leaf_hash
    assert json.loads(row.leaf)["details"] == {"名": "值"}


def test_an_export_appears_whole(audit: AuditLog, clock: Clock, tmp_path: Path) -> None:
    audit.write(event(clock))
    assert audit.export(tmp_path / "audit.jsonl") == 1
    assert [path.name for path in tmp_path.glob("*audit.jsonl*")] == ["audit.jsonl"]
