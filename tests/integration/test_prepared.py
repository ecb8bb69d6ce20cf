"""A prepared statement behaves as the same statement does through SQLAlchemy, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gongshu.database import Database, UtcTime
from gongshu.prepared import Prepared

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
THINGS = sa.Table(
    "prepared_things",
    sa.MetaData(),
    sa.Column("thing_id", sa.String(20), primary_key=True),
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, default=7),
    sa.Column("is_good", sa.Boolean, nullable=False, default=False),
    sa.Column("details", sa.JSON(none_as_null=True)),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("at", UtcTime),
)
_T = THINGS.c
INSERT = Prepared(sa.insert(THINGS))
FIND = Prepared(sa.select(THINGS).where(_T.thing_id == sa.bindparam("asked_id")))
FIRST_OF_SEVERAL = Prepared(sa.select(_T.thing_id).where(_T.number == 7).order_by(_T.thing_id.desc()).limit(1))
UPDATE = Prepared(sa.update(THINGS).where(_T.thing_id == sa.bindparam("asked_id")))
RAISE = Prepared(
    sa.update(THINGS)
    .where(_T.thing_id == sa.bindparam("asked_id"))
    .values(number=_T.number + sa.bindparam("step", type_=sa.Integer))
    .returning(_T.number)
)
DELETE = Prepared(sa.delete(THINGS).where(_T.thing_id == sa.bindparam("asked_id")))
WHOLE: dict[str, Any] = {
    "thing_id": "液压-1",
    "number": 2**40,
    "is_good": True,
    "details": {"列": [1, None, "x"]},
    "raw": b"\0\xff",
    "at": NOW,
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        found = Database(f"sqlite:///{tmp_path / 'things.db'}")
    else:
        found = request.getfixturevalue("postgres")
    THINGS.create(found.engine)
    yield found
    THINGS.drop(found.engine)
    if request.param == "sqlite":
        found.close()


def test_values_of_every_kind_come_back_as_sqlalchemy_reads_them(database: Database) -> None:
    with database.begin() as connection:
        assert INSERT.run(connection, WHOLE) == 1
        assert INSERT.run(connection, {"thing_id": "b"}) == 1
    with database.connect() as connection:
        for thing_id in ("液压-1", "b"):
            through = connection.execute(sa.select(THINGS).where(_T.thing_id == thing_id)).one()
            assert FIND.first(connection, {"asked_id": thing_id})._asdict() == through._asdict()
        assert FIND.first(connection, {"asked_id": "液压-1"})._asdict() == WHOLE
        assert FIND.all(connection, {"asked_id": "none"}) == []
        assert FIND.first(connection, {"asked_id": "none"}) is None
        assert FIND.scalar(connection, {"asked_id": "none"}) is None
        assert FIRST_OF_SEVERAL.scalar(connection) == "b"


def test_changes_set_what_is_named_and_say_how_many_rows(database: Database) -> None:
    with database.begin() as connection:
        INSERT.run(connection, {"thing_id": "a"})
        assert UPDATE.run(connection, {"asked_id": "a", "is_good": True}) == 1
        assert UPDATE.run(connection, {"asked_id": "a", "at": NOW, "details": None}) == 1
        assert UPDATE.run(connection, {"asked_id": "none", "is_good": True}) == 0
        assert RAISE.scalar(connection, {"asked_id": "a", "step": 3}) == 10
        row = FIND.first(connection, {"asked_id": "a"})
        assert (row.number, row.is_good, row.at, row.details) == (10, True, NOW, None)
        assert DELETE.run(connection, {"asked_id": "a"}) == 1


@pytest.mark.parametrize("giving", [RAISE, FIND, Prepared(sa.insert(THINGS).returning(_T.number))])
def test_what_gives_rows_is_read_and_not_counted(giving: Prepared) -> None:
    with sa.create_engine("sqlite://").connect() as connection, pytest.raises(AssertionError, match="read them"):
        giving.run(connection)


def test_it_is_kept_or_lost_with_the_transaction(database: Database) -> None:
    def insert_and_fail() -> None:
        with database.begin() as connection:
            INSERT.run(connection, {"thing_id": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    with database.connect() as connection:
        assert FIND.first(connection, {"asked_id": "a"}) is None


def test_two_reads_of_one_connection_see_one_state_on_sqlite(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'things.db'}")
    THINGS.create(database.engine)
    with database.connect() as reading:
        assert FIND.first(reading, {"asked_id": "a"}) is None
        with database.begin() as writing:
            INSERT.run(writing, {"thing_id": "a"})
        assert FIND.first(reading, {"asked_id": "a"}) is None
    with database.connect() as reading:
        assert FIND.first(reading, {"asked_id": "a"}) is not None
    database.close()


def test_errors_are_those_of_sqlalchemy_and_hold_no_values(database: Database) -> None:
    with database.begin() as connection:
        INSERT.run(connection, {"thing_id": "a", "raw": b"secret-one"})
    with pytest.raises(sa.exc.IntegrityError) as caught, database.begin() as connection:
        INSERT.run(connection, {"thing_id": "a", "raw": b"secret-two"})
    assert "secret" not in str(caught.value)


def test_a_list_and_a_computed_default_are_refused_at_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'things.db'}")
    several = Prepared(sa.select(THINGS).where(_T.thing_id.in_(sa.bindparam("ids", expanding=True))))
    computed = sa.Table("computed", sa.MetaData(), sa.Column("made", sa.String(9), default=lambda: "now"))
    with database.connect() as connection:
        with pytest.raises(AssertionError, match="a list cannot be bound"):
            several.all(connection, {"ids": ["a"]})
        with pytest.raises(AssertionError, match="a default is computed"):
            Prepared(sa.insert(computed)).run(connection, {})
    database.close()


def test_a_value_that_is_missing_is_no_null(database: Database) -> None:
    with database.begin() as connection, pytest.raises(KeyError, match="asked_id"):
        FIND.first(connection)
    with database.begin() as connection, pytest.raises(KeyError, match="step"):
        RAISE.scalar(connection, {"asked_id": "a"})
