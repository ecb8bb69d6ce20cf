"""A real lake, catalogue and gate, filled with the synthetic plant's readings without any wire."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from gongshu.apply.service import AppService
from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.store import DatasetStore
from gongshu.lake import Lake
from gongshu.model.access import Role, Subject
from gongshu.model.ids import AssetId, PartyId, SeriesId, SourceId, SubjectId
from gongshu.model.reading import READING_SCHEMA, ValueType
from gongshu.model.series import SeriesSighting
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.gate import Gate
from gongshu.secure.keys import KeyStore
from gongshu.secure.policy import PolicyService
from gongshu.simulate.clockwork import Change, Clockwork, Truth
from gongshu.simulate.machines import MACHINES, PLANT
from gongshu.simulate.tags import ALL_TAGS, TagType
from tests.conftest import Clock
from tests.metadata import new_database

PARTY = PartyId("urn:gongshu:party:mill")
START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
SPAN_S = 120.0
STEWARD = Subject(SubjectId("user:li"), PARTY, frozenset({Role.STEWARD, Role.ANALYST}))
TYPES = {
    TagType.DOUBLE: ValueType.FLOAT64,
    TagType.INT32: ValueType.INT64,
    TagType.INT64: ValueType.INT64,
    TagType.BOOLEAN: ValueType.BOOL,
    TagType.STRING: ValueType.TEXT,
}
UNITS = {"%": "%", "s": "s", "kWh": "kW.h", "kW": "kW", "°C": "Cel"}


@dataclass
class Stack:
    """The services that apps stand on."""

    lake: Lake
    catalogue: CatalogueService
    policies: PolicyService
    audit: AuditLog
    gate: Gate
    store: DatasetStore
    apps: AppService
    ids: dict[tuple[str, str], SeriesId] = field(default_factory=dict)
    truths: list[Truth] = field(default_factory=list)

    def asset(self, machine: str) -> AssetId:
        line = next(m.line for m in MACHINES if m.name == machine)
        return AssetId(f"{PLANT}/{line}/{machine}")

    def register(self) -> None:
        sightings = [
            SeriesSighting(
                source_id=SourceId("plant-opcua"),
                address=f"ns=urn;s={tag.path}",
                asset=AssetId(f"{PLANT}/{tag.machine.line}/{tag.machine.name}"),
                name=tag.name,
                value_type=TYPES[tag.type],
                unit=UNITS.get(tag.unit.display, tag.unit.display) if tag.unit else "",
                title=tag.title,
                writable=tag.writable,
                protocol="opcua",
            )
            for tag in ALL_TAGS
        ]
        made = self.catalogue.register_series(sightings)
        by_address = {address: series_id for (_, address), series_id in made.items()}
        for tag in ALL_TAGS:
            self.ids[tag.machine.name, tag.name] = by_address[f"ns=urn;s={tag.path}"]

    def append(self, changes: list[Change]) -> None:
        rows = [_row(self.ids[MACHINES[c.machine].name, c.tag], c) for c in changes]
        self.lake.append_readings(pa.Table.from_pylist(rows, schema=READING_SCHEMA))


def _row(series_id: SeriesId, change: Change) -> dict[str, object]:
    bad = change.status != 0
    value = None if bad else change.value
    return {
        "series_id": series_id,
        "time": change.time,
        "time_is_source": True,
        "arrival_time": change.time + timedelta(milliseconds=30),
        "value_double": value if isinstance(value, float) else None,
        "value_int": int(value) if isinstance(value, bool | int) else None,
        "value_text": value if isinstance(value, str) else None,
        "status": change.status,
    }


@cache
def run_plant(seconds: float = SPAN_S, *, seed: int = 67, speed: float = 30.0) -> tuple[list[Change], list[Truth]]:
    """What the plant shows and what truly happens, tick by tick."""
    plant = Clockwork(seed=seed, speed=speed, started_at=START)
    changes, truths = plant.advance(START)
    for tick in range(1, round(seconds / 0.2) + 1):
        more, happened = plant.advance(START + timedelta(seconds=tick * 0.2))
        changes += more
        truths += happened
    return changes, truths


def open_stack(folder: Path, database: Database, clock: Clock) -> Stack:
    """Two minutes of the plant at speed 30, in the log and in the catalogue, seen ten minutes after its start."""
    clock.now = START + timedelta(minutes=10)
    packs = load_packs()
    keys = KeyStore(folder / "keys")
    audit = AuditLog(database, keys, clock)
    catalogue = CatalogueService(database, packs, audit, clock)
    lake = Lake.open(log_file=folder / "log.db", warehouse=folder / "lake", query_memory_mb=512)
    policies = PolicyService(database, audit, clock)
    gate = Gate(catalogue, lake, policies, audit, clock, keys=keys, own_party_id=PARTY)
    store = DatasetStore(lake, catalogue)
    apps = AppService(database, gate, store, catalogue, audit, clock, PARTY, packs=packs)
    stack = Stack(lake, catalogue, policies, audit, gate, store, apps)
    stack.register()
    changes, stack.truths = run_plant()
    stack.append(changes)
    return stack


@pytest.fixture
def stack(tmp_path: Path, database: Database, clock: Clock) -> Iterator[Stack]:
    """Two minutes of the plant, for a test that changes something."""
    stack = open_stack(tmp_path, database, clock)
    yield stack
    stack.lake.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The same for all tests of a module that only look."""
    folder = tmp_path_factory.mktemp("shared")
    database = new_database(folder / "metadata.db")
    stack = open_stack(folder, database, Clock())
    yield stack
    stack.lake.close()
    database.close()
