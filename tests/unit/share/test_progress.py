"""How far a transfer has come is read from what the data planes write down."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from gongshu.database import Database
from gongshu.share.progress import Progress, find_progress
from gongshu.share.tables import share_deliveries, share_follows, share_processes, share_pushes, share_streams
from tests.metadata import new_database

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
MICROS = 1_700_000_000_000_000


def add_transfer(connection: sa.Connection, process_id: str) -> None:
    values = {"kind": "transfer", "side": "provider", "state": "STARTED", "counterparty": "urn:x"}
    moments = {"created_at": NOW, "updated_at": NOW, "created_by": "user:li"}
    connection.execute(sa.insert(share_processes).values(process_id=process_id, **values, **moments))


def add_delivery(connection: sa.Connection, process_id: str, rows: int, stored_as: str = "") -> None:
    values = {"direction": "in", "agreement_id": "a", "counterparty": "urn:x", "dataset_id": "d", "purpose": ""}
    figures = {"encoding": "arrow", "rows": rows, "size_bytes": rows * 10, "outcome": "complete", "started_at": NOW}
    line = {"process_id": process_id, "stored_as": stored_as, **values, **figures}
    connection.execute(sa.insert(share_deliveries).values(**line))


def database(folder: Path) -> Database:
    return new_database(folder / "metadata.db")


def test_what_has_not_flowed_stands_at_zero(tmp_path: Path) -> None:
    with database(tmp_path).begin() as connection:
        assert find_progress(connection, ["nothing"]) == {"nothing": Progress()}
        assert find_progress(connection, []) == {}


def test_the_deliveries_of_a_transfer_are_added_up_and_no_other_ones(tmp_path: Path) -> None:
    with database(tmp_path).begin() as connection:
        add_delivery(connection, "one", 3)
        add_delivery(connection, "one", 4, "kept")
        add_delivery(connection, "two", 9)
        assert find_progress(connection, ["one"]) == {"one": Progress(7, 70, stored_as="kept")}


def test_a_stream_stands_at_the_position_of_the_side_that_asks(tmp_path: Path) -> None:
    with database(tmp_path).begin() as connection:
        for process_id in ("given", "taken"):
            add_transfer(connection, process_id)
        connection.execute(sa.insert(share_streams).values(process_id="given", position=MICROS, updated_at=NOW))
        follow = {"name": "readings", "title": "", "purpose": "", "next_at": NOW, "created_by": "user:li"}
        values = {"position": MICROS + 1, "attempts": 2, "last_error": "the other side is away", **follow}
        connection.execute(sa.insert(share_follows).values(process_id="taken", **values))
        found = find_progress(connection, ["given", "taken"])
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    assert found["given"].position == begin + timedelta(microseconds=MICROS)
    assert found["taken"] == Progress(
        position=begin + timedelta(microseconds=MICROS + 1),
        stored_as="readings",
        attempts=2,
        last_error="the other side is away",
    )


def test_a_push_that_does_not_arrive_says_why(tmp_path: Path) -> None:
    with database(tmp_path).begin() as connection:
        add_transfer(connection, "push")
        values = {"push_key": "k", "next_at": NOW, "attempts": 3, "last_error": "refused"}
        connection.execute(sa.insert(share_pushes).values(process_id="push", **values))
        assert find_progress(connection, ["push"]) == {"push": Progress(attempts=3, last_error="refused")}
