"""The revisions build exactly the tables that the rooms declare, on both databases, from several processes at once."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from gongshu.database import MIGRATIONS, Database, metadata, newest_revision
from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from tests.unit.share.world import Memory


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


@pytest.mark.parametrize("identity", ["gongshu", "mtls", "dcp"])
def test_standing_agreements_are_bound_to_the_key_that_is_known_now(
    sqlite_url: str, tmp_path: Path, identity: str
) -> None:
    database = Database(sqlite_url)
    command.upgrade(database._alembic(), "0013")
    party = Party(PartyId("shop"), "", KeyStore(tmp_path / "keys").public_key_pem(), "https://s.example", (), identity)
    party = replace(party, certificate="sha256:" + "1" * 64)
    values = {"pem": party.public_key_pem, "identity": identity, "pin": party.certificate}
    with database.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO parties (party_id, title, public_key_pem, address, roles, identity, certificate, "
                "certificate_pin, added_at) VALUES ('shop', '', :pem, '', '', :identity, :pin, :pin, 0)"
            ),
            values,
        )
        for number, counterparty in enumerate(("shop", "gone")):
            agreement = {"id": f"a{number}", "party": counterparty}
            connection.execute(
                sa.text(
                    "INSERT INTO share_agreements (agreement_id, side, counterparty, dataset_id, negotiation_id, "
                    "policy, policy_hash, status, uses, agreed_at, reason) "
                    "VALUES (:id, 'provider', :party, 'd', :id, '{}', '', 'active', 0, 0, '')"
                ),
                agreement,
            )
    database.prepare()
    with database.connect() as connection:
        found = connection.execute(sa.text("SELECT counterparty, bound_to FROM share_agreements")).all()
    assert {row.counterparty: row.bound_to for row in found} == {"shop": party.proof, "gone": ""}
    assert PartyRegistry(database, Memory(), lambda: datetime.now(UTC)).get(PartyId("shop")).proof == party.proof
    database.close()
