"""A private PostgreSQL server for the tests that need one, gone when they end."""

from collections.abc import Iterator
from itertools import count

import pytest

from gongshu.database import Database
from tests.postgres import missing, served

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a server without its database's name."""
    if reason := missing():
        pytest.skip(reason)
    with served(is_durable=False) as server:
        yield server.url


@pytest.fixture(scope="session")
def migrated(postgres_url: str) -> str:
    """The name of a database on that server that all revisions have built; the tests use copies of it."""
    name = "gongshu"
    _create(postgres_url, name, like="template0")
    database = Database(f"{postgres_url}/{name}")
    database.prepare()
    database.close()
    return name


@pytest.fixture
def postgres(postgres_url: str, migrated: str) -> Iterator[Database]:
    """An empty metadata database of its own on that server, at the newest revision."""
    name = f"gongshu_{next(_numbers)}"
    _create(postgres_url, name, like=migrated)
    database = Database(f"{postgres_url}/{name}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def postgres_of_module(postgres_url: str, migrated: str) -> Iterator[Database]:
    """As `postgres`, one for all tests of a module."""
    name = f"gongshu_{next(_numbers)}"
    _create(postgres_url, name, like=migrated)
    database = Database(f"{postgres_url}/{name}")
    yield database
    database.close()


def _create(server: str, name: str, *, like: str) -> None:
    import psycopg

    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
