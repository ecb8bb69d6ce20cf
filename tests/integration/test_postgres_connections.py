"""Connections to PostgreSQL cost few journeys, and those that the server has ended are replaced unnoticed."""

from contextlib import suppress

import pytest
import sqlalchemy as sa

from gongshu.database import Database

pytestmark = pytest.mark.postgres

BACKEND = sa.text("SELECT pg_backend_pid()")
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_a_connection_that_the_server_has_ended_is_replaced_when_it_is_taken(postgres: Database) -> None:
    with postgres.connect() as one, postgres.connect() as other:
        ended = {one.execute(BACKEND).scalar(), other.execute(BACKEND).scalar()}
    with postgres.begin() as connection:
        ended.discard(connection.execute(BACKEND).scalar())
        assert connection.execute(sa.text(f"SELECT count(pg_terminate_backend(pid)) {OTHERS}")).scalar() == len(ended)
    with postgres.connect() as one, postgres.begin() as other:
        assert not ended & {one.execute(BACKEND).scalar(), other.execute(BACKEND).scalar()}


def test_reading_leaves_no_transaction_open_and_writing_stays_whole(postgres: Database) -> None:
    with postgres.begin() as connection:
        connection.execute(sa.text("CREATE TABLE seen (number INT)"))
    try:
        with postgres.connect() as reading:
            count = sa.text("SELECT count(*) FROM seen")
            assert reading.execute(count).scalar() == 0
            with suppress(RuntimeError), postgres.begin() as lost:
                lost.execute(sa.text("INSERT INTO seen VALUES (1)"))
                raise RuntimeError
            with postgres.begin() as kept:
                kept.execute(sa.text("INSERT INTO seen VALUES (2)"))
                assert reading.execute(count).scalar() == 0
            assert reading.execute(count).scalar() == 1
            with postgres.connect() as other:
                idle = other.execute(sa.text(f"SELECT array_agg(state) {OTHERS}")).scalar()
            assert set(idle or ()) == {"idle"}
    finally:
        with postgres.begin() as connection:
            connection.execute(sa.text("DROP TABLE seen"))


def test_a_connection_that_was_given_back_in_the_middle_of_something_writes_as_a_whole(postgres: Database) -> None:
    with suppress(sa.exc.DBAPIError), postgres.connect() as reading:
        reading.execute(sa.text("BEGIN"))
        reading.execute(sa.text("SELECT 1 / 0"))
    with postgres.begin() as writing:
        driver = writing.connection.driver_connection
        assert driver is not None
        assert not driver.autocommit


def test_many_rows_are_read_in_parts(postgres: Database) -> None:
    with postgres.stream() as connection:
        rows = connection.execution_options(yield_per=10).execute(sa.text("SELECT generate_series(1, 25)"))
        assert [len(part) for part in rows.scalars().partitions(10)] == [10, 10, 5]
