"""The revisions build exactly the tables that the rooms declare, on both databases, from several processes at once."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from gongshu.share.keeping.counting import STEADY
from gongshu.share.keeping.tables import counted_time, kept_keys
from gongshu.share.tables import share_high_time
from tests.processes import racing
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
    with ProcessPoolExecutor(3, mp_context=racing()) as pool:
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


def test_standing_offers_and_processes_are_bound_and_each_published_name_is_kept_for_one_dataset(
    sqlite_url: str,
) -> None:
    database = Database(sqlite_url)
    command.upgrade(database._alembic(), "0016")
    statements = [
        "INSERT INTO parties (party_id, title, public_key_pem, address, roles, identity, certificate, certificate_pin, "
        "proof, added_at) VALUES ('shop', '', '', '', '', 'gongshu', '', '', 'key sha256:1', 0)"
    ]
    for number, dataset in enumerate(("b", "a", "b")):
        statements.append(
            "INSERT INTO share_offers (offer_id, dataset_id, published_as, title, policy, policy_hash, is_open, "
            f"created_at, created_by) VALUES ('o{number}', '{dataset}', 'name', '', '', '', false, 0, '')"
        )
    for party in ("shop", "gone"):
        statements.append(f"INSERT INTO share_offer_parties (offer_id, party_id) VALUES ('o0', '{party}')")
        words = "peer_address dataset_id offer_id policy own_policy agreement_id format data_address waiting reason"
        empty = [*words.split(), "created_by"]
        statements.append(
            "INSERT INTO share_processes (process_id, kind, side, state, pending_sent, held, counterparty, created_at, "
            f"updated_at, {', '.join(empty)}) VALUES ('{party}', 'negotiation', 'provider', 'REQUESTED', false, false, "
            f"'{party}', 0, 0, {', '.join(repr('') for _ in empty)})"
        )
    with database.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    database.prepare()
    with database.connect() as connection:
        for table, column in (("share_offer_parties", "party_id"), ("share_processes", "counterparty")):
            found = connection.execute(sa.text(f"SELECT {column}, bound_to FROM {table} ORDER BY {column}")).all()
            assert [tuple(row) for row in found] == [("gone", ""), ("shop", "key sha256:1")], table
        names = connection.execute(sa.text("SELECT published_as, dataset_id FROM share_published_names")).all()
    assert [tuple(row) for row in names] == [("name", "a")]
    database.close()


def test_standing_memberships_are_bound_to_the_key_of_their_application(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    command.upgrade(database._alembic(), "0020")
    with database.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO parties (party_id, title, public_key_pem, address, roles, identity, certificate, "
                "certificate_pin, proof, added_at) VALUES ('shop', '', '', '', '', 'mtls', '', '', :proof, 0)"
            ),
            {"proof": "mtls sha256:11 sha256:99"},
        )
        connection.execute(
            sa.text(
                "INSERT INTO space_spaces (space_id, title, rules, rules_hash, state, requested_by, requested_at) "
                "VALUES ('s', '', '', '', 'active', 'op', 0), ('t', '', '', '', 'active', 'op', 0)"
            )
        )
        for space, party, key in (("s", "shop", "sha256:11"), ("t", "shop", "sha256:22"), ("s", "gone", "sha256:33")):
            connection.execute(
                sa.text(
                    "INSERT INTO space_members (space_id, party_id, roles, state, area, organisation, fingerprint, "
                    "rules_hash, signature, identity_check, applied_at) "
                    "VALUES (:space, :party, 'user', 'admitted', '', '', :key, '', '', '', 0)"
                ),
                {"space": space, "party": party, "key": key},
            )
    database.prepare()
    with database.connect() as connection:
        found = connection.execute(sa.text("SELECT bound_to FROM space_members ORDER BY fingerprint")).scalars().all()
    assert found == ["mtls sha256:11 sha256:99", "key sha256:22", "key sha256:33"]
    database.close()


@pytest.mark.parametrize(
    ("state", "seen", "counted"),
    [
        ("held", timedelta(days=-3), timedelta(days=-3)),
        ("held", timedelta(days=400), timedelta()),
        ("told", timedelta(days=-3), None),
    ],
)
def test_a_node_that_never_counted_begins_at_the_time_it_saw_and_not_beyond_its_clock(
    sqlite_url: str, state: str, seen: timedelta, counted: timedelta | None
) -> None:
    database, now = Database(sqlite_url), datetime.now(UTC)
    command.upgrade(database._alembic(), "0018")
    values = {"state": state, "fingerprint": "f", "agreement_id": "a", "counterparty": "mill", "made_at": now}
    with database.begin() as connection:
        connection.execute(sa.insert(kept_keys).values(values))
        connection.execute(sa.insert(share_high_time).values(id=1, at=now + seen))
    database.prepare()
    with database.connect() as connection:
        found = connection.execute(sa.select(counted_time.c.at, counted_time.c.basis)).all()
    if counted is None:
        assert found == []
    else:
        assert abs(found[0].at - now - counted) < timedelta(minutes=5)
        assert found[0].basis == STEADY
    database.close()
