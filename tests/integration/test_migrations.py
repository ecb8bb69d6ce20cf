"""The revisions build exactly the tables that the rooms declare, on both databases, from several processes at once."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gongshu.database import Database, metadata


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


def test_several_processes_may_prepare_one_database(sqlite_url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        list(pool.map(prepare, [sqlite_url] * 3))
    database = Database(sqlite_url)
    assert differences(database) == []
    database.close()


@pytest.mark.postgres
def test_the_revisions_make_the_declared_tables_on_postgresql(postgres: Database) -> None:
    assert differences(postgres) == []
