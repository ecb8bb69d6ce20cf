"""Several processes write one log, some are killed, and it stays one unbroken log; on SQLite and PostgreSQL."""

import io
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gongshu.audit_verifier import verify
from gongshu.database import Database
from gongshu.model.access import Role
from gongshu.model.audit import AuditEvent
from gongshu.model.ids import PartyId
from gongshu.secure.audit import AuditLog
from gongshu.secure.errors import LoginFailed, PartyUnknown, PeerTokenRejected
from gongshu.secure.identity import IdentityService, Party, PartyRegistry, PeerTokens
from gongshu.secure.identity.passwords import Passwords
from gongshu.secure.keys import KeyStore
from gongshu.secure.policy import PolicyService
from tests.conftest import Clock
from tests.integration.secure.conftest import OWN
from tests.processes import racing

pytestmark = pytest.mark.disk


def write(url: str, keys: Path, name: str, count: int, says: "Connection[tuple[int, str], None]") -> None:
    """Say of each record, once it is on disk, which one it is."""
    log = AuditLog(Database(url), KeyStore(keys), _now)
    for number in range(count):
        index = log.write(AuditEvent(_now(), f"system:{name}", "test.written", f"{name}-{number}", "ok"))
        says.send((index, f"{name}-{number}"))


def _now() -> datetime:
    return datetime.now(UTC)


class Writer:
    """A process that writes."""

    def __init__(self, database: Database, keys: Path, name: str, count: int) -> None:
        url = database.engine.url.render_as_string(hide_password=False)
        self.said, says = racing().Pipe(duplex=False)
        self._process = racing().Process(target=write, args=(url, keys, name, count, says))
        self._process.start()
        says.close()

    def kill(self) -> None:
        self._process.kill()

    def acknowledged(self) -> dict[int, str]:
        """What it said was on disk, until it ended."""
        found: dict[int, str] = {}
        with self.said, suppress(EOFError):
            while True:
                index, name = self.said.recv()
                found[index] = name
        self._process.join(60)
        assert self._process.exitcode is not None
        return found


def require_whole(database: Database, folder: Path, expected: dict[int, str]) -> None:
    log = AuditLog(database, KeyStore(folder / "keys"), Clock())
    log.export(folder / "audit.jsonl")
    report = verify(io.BytesIO((folder / "audit.jsonl").read_bytes()))
    stored = {entry.index: entry.object for entry in log.entries(limit=100_000)}
    assert report.records == len(stored)
    assert sorted(stored) == list(range(len(stored)))
    assert expected.items() <= stored.items()
    assert len(set(stored.values())) == len(stored)


def run_together(database: Database, folder: Path) -> None:
    KeyStore(folder / "keys")
    writers = [Writer(database, folder / "keys", f"w{number}", 60) for number in range(4)]
    said = [writer.acknowledged() for writer in writers]
    assert [len(indexes) for indexes in said] == [60] * 4
    merged = {index: name for indexes in said for index, name in indexes.items()}
    assert len(merged) == 240
    require_whole(database, folder, merged)


def run_killed(database: Database, folder: Path) -> None:
    KeyStore(folder / "keys")
    said: dict[int, str] = {}
    for turn in range(3):
        writers = [Writer(database, folder / "keys", f"t{turn}w{number}", 100_000) for number in range(2)]
        said |= dict(writer.said.recv() for writer in writers)
        time.sleep(0.3)
        for writer in writers:
            writer.kill()
        for writer in writers:
            said |= writer.acknowledged()
    assert len(said) >= 6, "each writer of each turn said at least one"
    require_whole(database, folder, said)


def test_four_processes_write_one_log(database: Database, tmp_path: Path) -> None:
    run_together(database, tmp_path)


def test_killed_writers_lose_nothing_that_was_acknowledged(database: Database, tmp_path: Path) -> None:
    run_killed(database, tmp_path)


@pytest.mark.postgres
def test_four_processes_write_one_log_on_postgres(postgres: Database, tmp_path: Path) -> None:
    run_together(postgres, tmp_path)


@pytest.mark.postgres
def test_killed_writers_lose_nothing_on_postgres(postgres: Database, tmp_path: Path) -> None:
    run_killed(postgres, tmp_path)


@pytest.mark.postgres
def test_the_room_works_on_postgres(postgres: Database, tmp_path: Path, clock: Clock) -> None:
    keys = KeyStore(tmp_path / "keys")
    audit = AuditLog(postgres, keys, clock)
    cheap = Passwords(memory_kib=64, passes=1, lanes=1)
    identity = IdentityService(postgres, audit, clock, own_party_id=OWN, passwords=cheap)
    identity.redeem(identity.first_link(), "root", "correct horse battery")
    assert identity.subject_of(identity.login("root", "correct horse battery")).roles == {Role.SYSTEM_ADMIN}
    with pytest.raises(LoginFailed):
        identity.login("root\x00", "wrong\x00wrong wrong")
    policies = PolicyService(postgres, audit, clock)
    assert policies.deploy(policies.active(), "user:sec").version == 1
    parties = PartyRegistry(postgres, audit, clock)
    shop, shop_keys = PartyId("urn:gongshu:party:shop"), KeyStore(tmp_path / "shop")
    parties.add(Party(shop, "Shop", shop_keys.public_key_pem()))
    peers = PeerTokens(keys, parties, OWN, clock, database=postgres)
    header = PeerTokens(shop_keys, parties, shop, clock, database=postgres).issue(OWN)
    peers.subject_of(header)
    with pytest.raises(PeerTokenRejected, match="used before"):
        peers.subject_of(header)
    with pytest.raises(PartyUnknown):
        parties.get(PartyId("urn:\x00"))
    assert audit.entries(object="\x00") == []
    audit.export(tmp_path / "audit.jsonl")
    assert verify(io.BytesIO((tmp_path / "audit.jsonl").read_bytes())).records == audit.size()
