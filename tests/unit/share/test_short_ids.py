"""The beginning of an id stands for the whole only where nothing else begins so."""

import pytest
import sqlalchemy as sa

from gongshu.share.contract_tables import share_key_changes
from gongshu.share.errors import IdAmbiguous
from gongshu.share.short_ids import SHOWN_MAX, Named, choose_id, find_ids, is_short

IDS = ["urn:uuid:3f2a9100-1", "urn:uuid:3f2a9100-2", "3f2b0000", "of_others", "ofXothers"]


@pytest.fixture(scope="module")
def connection() -> sa.Connection:
    """A table of ids, which any table of them stands for."""
    connection = sa.create_engine("sqlite://").connect()
    share_key_changes.create(connection)
    names = [column.name for column in share_key_changes.c if not column.nullable and column.name != "change_id"]
    filled = ", ".join(["change_id", *names])
    for each in IDS:
        values = ", ".join(["?", *("'2026-01-01 00:00:00'" for _ in names)])
        connection.exec_driver_sql(f"INSERT INTO share_key_changes ({filled}) VALUES ({values})", (each,))
    return connection


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("3f2a9100-2", "urn:uuid:3f2a9100-2"),
        ("urn:uuid:3f2a9100-1", "urn:uuid:3f2a9100-1"),
        ("3f2b00", "3f2b0000"),
        ("of_oth", "of_others"),
        ("%%%%%%", "%%%%%%"),
        ("nothing", "nothing"),
        ("' OR 1=1 --", "' OR 1=1 --"),
    ],
)
def test_a_beginning_stands_for_its_only_id(connection: sa.Connection, typed: str, meant: str) -> None:
    assert choose_id(Named.KEY_CHANGE, typed, find_ids(connection, Named.KEY_CHANGE, typed)) == meant


def test_several_are_listed_and_none_is_chosen(connection: sa.Connection) -> None:
    with pytest.raises(IdAmbiguous, match="key change: urn:uuid:3f2a9100-1, urn:uuid:3f2a9100-2"):
        choose_id(Named.KEY_CHANGE, "3f2a91", find_ids(connection, Named.KEY_CHANGE, "3f2a91"))
    many = [f"orders_{number}" for number in range(SHOWN_MAX + 1)]
    with pytest.raises(IdAmbiguous, match="orders_9, …"):
        choose_id(Named.DATASET, "orders", many)


@pytest.mark.parametrize("typed", ["", "3f2a9", "urn:uuid:3f2a9", "3f2a91\0"])
def test_what_is_too_short_or_no_text_of_a_database_stands_for_itself(typed: str) -> None:
    assert not is_short(typed)
