"""What governance tests are made of: an audit sink that remembers, sightings, a catalogue."""

from dataclasses import dataclass, field
from functools import cache

from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.model.audit import AuditEvent
from gongshu.model.ids import AssetId, SourceId, SubjectId
from gongshu.model.reading import ValueType
from gongshu.model.series import SeriesSighting
from gongshu.packs import Packs, load_packs
from tests.conftest import Clock

STEWARD = SubjectId("user:steward")


@dataclass
class Remembered:
    """An audit sink in memory."""

    events: list[AuditEvent] = field(default_factory=list)

    def write(self, event: AuditEvent) -> int:
        self.events.append(event)
        return len(self.events) - 1


@cache
def packs() -> Packs:
    return load_packs()


def make_catalogue(database: Database, clock: Clock, audit: Remembered | None = None) -> CatalogueService:
    return CatalogueService(database, packs(), audit or Remembered(), clock)


def sighting(
    name: str = "spindle_load",
    *,
    address: str = "",
    asset: str = "plant-1/line-1/mill-01",
    unit: str = "%",
    value_type: ValueType = ValueType.FLOAT64,
    title: str = "",
    writable: bool = False,
    protocol: str = "opcua",
    source: str = "opc",
) -> SeriesSighting:
    return SeriesSighting(
        SourceId(source),
        address or f"{asset}/{name}",
        AssetId(asset),
        name,
        value_type,
        unit,
        title,
        writable,
        protocol,
    )
