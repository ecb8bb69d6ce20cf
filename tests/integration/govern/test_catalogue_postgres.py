"""The catalogue on PostgreSQL: the same clauses as on SQLite."""

import pytest

from gongshu.database import Database
from tests.unit.govern.catalogue_suite import CatalogueSuite


@pytest.mark.postgres
class TestOnPostgres(CatalogueSuite):
    @pytest.fixture
    def database(self, postgres: Database) -> Database:
        return postgres
