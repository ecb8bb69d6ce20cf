"""Parts of the room, each over a fresh database."""

from pathlib import Path

import pytest

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.secure.audit import AuditLog
from gongshu.secure.identity import IdentityService
from gongshu.secure.identity.passwords import Passwords
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import PartyRegistry
from tests.conftest import Clock

CHEAP = Passwords(memory_kib=64, passes=1, lanes=1)
"""Real Argon2id, made fast: these tests ask what is done with a hash, not how dear it is."""

OWN = PartyId("urn:gongshu:party:mill")


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


@pytest.fixture
def audit(database: Database, keys: KeyStore, clock: Clock) -> AuditLog:
    return AuditLog(database, keys, clock)


@pytest.fixture
def identity(database: Database, audit: AuditLog, clock: Clock) -> IdentityService:
    return IdentityService(database, audit, clock, own_party_id=OWN, passwords=CHEAP)


@pytest.fixture
def parties(database: Database, audit: AuditLog, clock: Clock) -> PartyRegistry:
    return PartyRegistry(database, audit, clock)
