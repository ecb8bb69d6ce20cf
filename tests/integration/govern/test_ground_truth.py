"""The plant simulator's lying sensors, by its own ground truth: found, and no sound sensor accused."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from gongshu.database import Database
from gongshu.govern.quality.service import QualityService
from gongshu.lake import Lake
from gongshu.model.ids import AssetId, SourceId
from gongshu.model.reading import READING_SCHEMA, ValueType
from gongshu.model.series import SeriesSighting
from gongshu.simulate.clockwork import Change, Clockwork
from gongshu.simulate.machines import MACHINES
from gongshu.simulate.sensors import FAULTS
from gongshu.simulate.tags import ALL_TAGS, Tag, TagType
from tests.conftest import Clock
from tests.unit.govern.parts import Remembered, make_catalogue, packs

HOURS = 2
TICK_S = 2
TYPES = {
    TagType.DOUBLE: ValueType.FLOAT64,
    TagType.INT32: ValueType.INT64,
    TagType.INT64: ValueType.INT64,
    TagType.BOOLEAN: ValueType.BOOL,
    TagType.STRING: ValueType.TEXT,
}


def _sighting(tag: Tag) -> SeriesSighting:
    asset = AssetId(f"plant-1/{tag.machine.line}/{tag.machine.name}")
    unit = tag.unit.display if tag.unit else ""
    return SeriesSighting(
        SourceId("opc"), tag.path, asset, tag.name, TYPES[tag.type], unit, tag.title, tag.writable, "opcua"
    )


def _simulate(started_at: datetime, ids: dict[str, int]) -> pa.Table:
    clockwork = Clockwork(seed=67, speed=1.0, started_at=started_at)
    changes: list[Change] = []
    for step in range(1, HOURS * 3600 // TICK_S + 1):
        changes += clockwork.advance(started_at + timedelta(seconds=step * TICK_S))[0]
    kept = [change for change in changes if f"{change.machine}/{change.tag}" in ids]
    good = [change.value if change.status == 0 else None for change in kept]
    times = pa.array([change.time for change in kept], pa.timestamp("us", tz="UTC"))
    columns = {
        "series_id": [ids[f"{change.machine}/{change.tag}"] for change in kept],
        "time": times,
        "time_is_source": [True] * len(kept),
        "arrival_time": times,
        "value_double": [value if isinstance(value, float) else None for value in good],
        "value_int": [int(value) if isinstance(value, int) else None for value in good],
        "value_text": [value if isinstance(value, str) else None for value in good],
        "status": [change.status for change in kept],
    }
    return pa.table(columns, schema=READING_SCHEMA)


@pytest.mark.timeout(180)
def test_the_drifting_and_the_stuck_sensor_are_found_and_no_other(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    catalogue = make_catalogue(database, clock)
    given = catalogue.register_series([_sighting(tag) for tag in ALL_TAGS])
    row_of = {machine.name: row for row, machine in enumerate(MACHINES)}
    ids = {f"{row_of[tag.machine.name]}/{tag.name}": int(given[SourceId("opc"), tag.path]) for tag in ALL_TAGS}
    started_at = clock()
    clock.forward(hours=HOURS)
    lake = Lake.open(log_file=tmp_path / "log.db", warehouse=tmp_path / "warehouse")
    try:
        lake.append_readings(_simulate(started_at, ids))
        quality = QualityService(database, lake, catalogue, packs(), Remembered(), clock)
        found = {
            (dataset.asset.rpartition("/")[2], finding.where, finding.rule_id.removeprefix("shape."))
            for dataset in catalogue.datasets()
            if dataset.asset
            for finding in quality.run(dataset.dataset_id, started_at, clock()).findings()
            if finding.rule_id in ("shape.stuck", "shape.drift")
        }
    finally:
        lake.close()
    assert found == {(fault.machine, fault.tag, fault.kind) for fault in FAULTS if fault.kind in ("stuck", "drift")}
