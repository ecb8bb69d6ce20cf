"""The revisions build exactly the tables that the rooms declare, on both databases, from several processes at once."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from gongshu.database import MIGRATIONS, Database, metadata, newest_revision


def prepare(url: str) -> None:
    database = Database(url)
    database.prepare()
    database.close()


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), metadata)
    return found


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'metadata.db'}"


def test_the_revisions_make_the_declared_tables(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.prepare()
    assert differences(database) == []
    database.prepare()
    database.close()


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    assert newest_revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_a_database_at_the_newest_revision_is_left_alone_and_an_older_one_is_not(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.prepare()
    with database.begin() as connection:
        connection.execute(sa.text("DROP TABLE apply_run"))
    database.prepare()
    assert differences(database) != []
    with database.begin() as connection:
        for name in (*sa.inspect(connection).get_table_names(),):
            if name != "alembic_version":
                connection.execute(sa.text(f'DROP TABLE "{name}"'))
        connection.execute(sa.text("DELETE FROM alembic_version"))
    database.prepare()
    assert differences(database) == []
    database.close()


def test_several_processes_may_prepare_one_database(sqlite_url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        list(pool.map(prepare, [sqlite_url] * 3))
    database = Database(sqlite_url)
    assert differences(database) == []
    database.close()


@pytest.mark.postgres
def test_the_revisions_make_the_declared_tables_on_postgresql(postgres: Database) -> None:
    assert differences(postgres) == []
