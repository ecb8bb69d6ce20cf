"""A home folder with a real lake, catalogue and audit log, opened as a node would."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gongshu.config import Home, NodeConfig
from gongshu.database import Database
from gongshu.gather.service import SourceService
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.store import DatasetStore
from gongshu.lake import Lake
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.keys import KeyStore
from tests.metadata import new_home


@dataclass
class Rooms:
    """What this room stands on, and its service."""

    home: Home
    database: Database
    lake: Lake
    catalogue: CatalogueService
    store: DatasetStore
    sources: SourceService

    def values(self, query: str = "SELECT count(*) AS n FROM r") -> list[dict[str, object]]:
        """Run SQL over all readings, hot and cold, as `r`."""
        from gongshu.lake import ReadingsRelation

        with self.lake.query(query, {"r": ReadingsRelation(None)}) as result:
            rows: list[dict[str, object]] = result.read_all().to_pylist()
        return rows


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    config = NodeConfig(party_id="urn:gongshu:party:test", title="Test (synthetic)")
    home = new_home(tmp_path / "home", config)
    database = Database(home.database_url(config))

    def clock() -> datetime:
        return datetime.now(UTC)

    audit = AuditLog(database, KeyStore(home.keys), clock)
    catalogue = CatalogueService(database, load_packs(), audit, clock)
    lake = Lake.open(log_file=home.log_file, warehouse=home.warehouse(config))
    sources = SourceService(database, catalogue, audit, clock, home)
    yield Rooms(home, database, lake, catalogue, DatasetStore(lake, catalogue), sources)
    lake.close()
    database.close()
