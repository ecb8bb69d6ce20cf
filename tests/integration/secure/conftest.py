"""A plant behind the gate: the real catalogue, the real lake with its locked worker, real policies."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.store import DatasetStore
from gongshu.lake import Lake
from gongshu.model.access import Role, Subject
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import AssetId, DatasetId, PartyId, SeriesId, SourceId, SubjectId
from gongshu.model.reading import READING_SCHEMA, ValueType
from gongshu.model.series import SeriesSighting
from gongshu.packs import load_packs
from gongshu.secure.audit import AuditLog
from gongshu.secure.gate import Gate, Query, SqlQuery
from gongshu.secure.keys import KeyStore
from gongshu.secure.policy import PolicyService
from gongshu.secure.policy.text import default_text
from tests.conftest import Clock
from tests.metadata import new_database

OWN = PartyId("urn:gongshu:party:mill")
PARTNER = PartyId("urn:gongshu:party:partner")
START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTES = 120
SILENT = 80
"""Series of mill-0 without readings: with so many ids the lake joins instead of comparing, and the engine may judge
the query's own conditions on rows that the join takes away later."""

SECRETS = ("HIDDENCUSTOMER", "HIDDENNOTE", "HIDDENRECIPE", "HIDDENROW", "13800138000", "987654", "TEXTOFMILL1")
"""Marks in the data that no analyst may ever see in any form."""

ORDERS = pa.table(
    {
        "line": ["A", "A", "B"],
        "customer": ["HIDDENCUSTOMER", "Bolt", "HIDDENROW"],
        "note": ["HIDDENNOTE", "12", "HIDDENROW"],
        "recipe": ["HIDDENRECIPE", "r2", "HIDDENROW"],
        "phone": ["13800138000", "13900139000", "13700137000"],
        "amount": [987654.0, 250.0, 75.0],
        "at": pa.array([START + timedelta(minutes=m) for m in (11, 22, 33)], pa.timestamp("us", tz="UTC")),
    }
)

MASKED = (
    default_text()
    .replace(
        '@id("own-analyst")\n',
        '@id("own-analyst")\n@mask("customer:hash, note:null, phone:partial, amount:round:-4, at:hour")\n'
        '@columns("line, customer, note, phone, amount, at")\n@row_filter("line = \'A\'")\n',
    )
    .replace(
        "when { principal.own_party && resource.grade <= 2 && resource.importance < 2 };",
        'when { principal.own_party && resource.kind == "table" };',
        1,
    )
    + """
@id("analyst-mill-zero")
permit (principal in Role::"analyst", action == Action::"read", resource in Asset::"plant/mill-0")
when { principal.own_party };
"""
)
"""The shipped policies, but analysts see tables through masks, and of the machines one only."""


class Plant:
    """Everything that stands behind and around one gate."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.database = new_database(folder / "metadata.db")
        self.keys = KeyStore(folder / "keys")
        self.audit = AuditLog(self.database, self.keys, self.clock)
        self.policies = PolicyService(self.database, self.audit, self.clock)
        self.catalogue = CatalogueService(self.database, load_packs(), self.audit, self.clock)
        self.lake = Lake.open(log_file=folder / "log.db", warehouse=folder / "lake", query_memory_mb=256)
        self.store = DatasetStore(self.lake, self.catalogue)
        self.gate = Gate(
            self.catalogue, self.lake, self.policies, self.audit, self.clock, keys=self.keys, own_party_id=OWN
        )
        self.series = self._register()
        self._append()
        self.orders = self.store.write("orders", ORDERS, title="Orders", origin="import:orders.csv")

    def close(self) -> None:
        self.lake.close()
        self.database.close()

    def ask(self, subject: Subject, query: Query | str, *, purpose: str = "analysis") -> pa.Table:
        asked = SqlQuery(query) if isinstance(query, str) else query
        with self.gate.read(subject, asked, purpose=purpose) as result:
            return result.read_all()

    def confirm(self, dataset_id: DatasetId, grade: Grade = Grade.ONE) -> None:
        category = self.catalogue.dataset(dataset_id).label.category
        steward = SubjectId("user:steward")
        importance = Importance.GENERAL
        self.catalogue.confirm(
            dataset_id, grade=grade, importance=importance, category=category, actor=steward, reason="checked by hand"
        )

    def _register(self) -> list[SeriesId]:
        sightings = [
            SeriesSighting(
                SourceId("opc"), f"ns=2;s={mill}.{name}", AssetId(f"plant/mill-{mill}"), name, kind, unit=unit
            )
            for mill in range(3)
            for name, kind, unit in (
                ("spindle_load", ValueType.FLOAT64, "%"),
                ("part_count", ValueType.INT64, "1"),
                ("state", ValueType.TEXT, ""),
            )
        ]
        silent = [
            SeriesSighting(
                SourceId("opc"), f"ns=2;s=0.axis_{n}", AssetId("plant/mill-0"), f"axis_{n}", ValueType.FLOAT64
            )
            for n in range(SILENT)
        ]
        registered = self.catalogue.register_series([*sightings, *silent])
        return [registered[sighting.source_id, sighting.address] for sighting in sightings]

    def _append(self) -> None:
        for number, series_id in enumerate(self.series):
            mill, kind = divmod(number, 3)
            times = [START + timedelta(minutes=m) for m in range(MINUTES)]
            column = [None] * MINUTES
            self.lake.append_readings(
                pa.table(
                    {
                        "series_id": pa.array([series_id] * MINUTES, pa.int32()),
                        "time": pa.array(times, pa.timestamp("us", tz="UTC")),
                        "time_is_source": [True] * MINUTES,
                        "arrival_time": pa.array(times, pa.timestamp("us", tz="UTC")),
                        "value_double": pa.array([m + mill * 1000.0 for m in range(MINUTES)] if kind == 0 else column),
                        "value_int": pa.array(list(range(MINUTES)) if kind == 1 else column, pa.int64()),
                        "value_text": pa.array([f"TEXTOFMILL{mill}"] * MINUTES if kind == 2 else column, pa.string()),
                        "status": pa.array([0] * MINUTES, pa.uint32()),
                    }
                ).cast(READING_SCHEMA)
            )


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Untouched policies; data that nobody confirmed."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    yield plant
    plant.close()


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """The same plant under `MASKED`."""
    plant = Plant(tmp_path_factory.mktemp("masked"))
    plant.policies.deploy(MASKED, "user:security")
    yield plant
    plant.close()


def person(role: Role, name: str = "li") -> Subject:
    return Subject(SubjectId(f"user:{name}"), OWN, frozenset({role}))


def partner(**attributes: str) -> Subject:
    return Subject(SubjectId(f"partner:{PARTNER}"), PARTNER, frozenset({Role.PARTNER}), attributes)
