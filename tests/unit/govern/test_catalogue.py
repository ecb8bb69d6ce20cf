"""The catalogue on SQLite."""

from tests.unit.govern.catalogue_suite import CatalogueSuite


class TestOnSqlite(CatalogueSuite):
    """The fixtures of tests/conftest.py are SQLite."""
