"""Quality over a real lake: each planted fault is found by its rule, and sound data are not accused."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gongshu.database import Database
from gongshu.govern.catalogue import CatalogueService
from gongshu.govern.errors import QualityUnknown
from gongshu.govern.quality.expectations import Expectation, ExpectationKind
from gongshu.govern.quality.model import Measure, QualityReport
from gongshu.govern.quality.service import QualityService
from gongshu.govern.store import DatasetStore
from gongshu.lake import Lake
from gongshu.model.ids import DatasetId, SeriesId
from tests.conftest import Clock
from tests.integration.govern.readings import ROWS, START, later, readings, times
from tests.unit.govern.parts import STEWARD, Remembered, make_catalogue, packs, sighting

MILL = DatasetId("plant_1_line_1_mill_01")
NOISE = np.random.default_rng(5).standard_normal(ROWS)


class Plant:
    """A catalogue, a lake and a judge."""

    def __init__(self, database: Database, lake: Lake, clock: Clock) -> None:
        self.audit = Remembered()
        self.catalogue: CatalogueService = make_catalogue(database, clock, self.audit)
        self.lake = lake
        self.quality = QualityService(database, lake, self.catalogue, packs(), self.audit, clock)
        self.store = DatasetStore(lake, self.catalogue)

    def register(self, name: str, unit: str = "Cel") -> SeriesId:
        seen = sighting(name, unit=unit)
        return self.catalogue.register_series([seen])[seen.source_id, seen.address]

    def judge(self, *tables: pa.Table) -> QualityReport:
        for table in tables:
            self.lake.append_readings(table)
        return self.quality.run(MILL, START, later(60))


@pytest.fixture(scope="module")
def opened_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Lake]]:
    lakes: list[Lake] = []

    def open_lake() -> Lake:
        folder: Path = tmp_path_factory.mktemp("lake")
        lakes.append(Lake.open(log_file=folder / "log.db", warehouse=folder / "warehouse"))
        return lakes[-1]

    yield open_lake
    for lake in lakes:
        lake.close()


@pytest.fixture
def plant(database: Database, clock: Clock, opened_lake: Callable[[], Lake]) -> Plant:
    return Plant(database, opened_lake(), clock)


def rule(report: QualityReport, rule_id: str) -> Measure:
    return next(measure for measure in report.measures() if measure.rule_id == rule_id)


def test_sound_readings_are_not_accused_of_anything(plant: Plant) -> None:
    report = plant.judge(readings(plant.register("temperature"), 40 + NOISE))
    assert list(report.findings()) == []
    assert report.rows == ROWS
    assert report.score == 100.0
    assert (rule(report, "record.expected").a, rule(report, "record.expected").b) == (ROWS, ROWS)
    assert rule(report, "shape.drift").b == 0
    assert rule(report, "shape.drift").reason_en


def test_no_readings_at_all_is_told_and_not_scored(plant: Plant) -> None:
    plant.register("temperature")
    report = plant.judge()
    assert [f.rule_id for f in report.findings()] == ["access.readable", "access.usable"]
    assert rule(report, "value.present").reason_en == "There are no readings in the span"


def test_missing_readings_count_against_the_observed_interval(plant: Plant) -> None:
    kept = np.ones(ROWS, dtype=bool)
    kept[1000:1900] = False
    at = times().filter(pa.array(kept))
    report = plant.judge(readings(plant.register("temperature"), (40 + NOISE)[kept], at=at))
    measure = rule(report, "record.expected")
    assert (measure.a, measure.b) == (ROWS - 900, ROWS)
    assert measure.findings[0].count == 900


def test_a_declared_interval_counts_even_where_readings_come_on_change(plant: Plant) -> None:
    series_id = plant.register("temperature")
    at = times().take(pa.array([0, 1, 2, 400, 401, 2000, 2001, 2003, 2900, 2901, 3000, 3001]))
    table = readings(series_id, np.arange(12.0), at=at)
    assert rule(plant.judge(table), "record.expected").b == 0
    declared = Expectation("temperature", ExpectationKind.INTERVAL, {"interval_s": 60})
    plant.quality.declare(MILL, declared, actor=STEWARD)
    measure = rule(plant.judge(), "record.expected")
    assert (measure.a, measure.b) == (12, 60)


def test_values_outside_physics_or_the_declared_range_are_found(plant: Plant) -> None:
    values = 40 + NOISE
    values[10:15] = -300.0
    series_id = plant.register("temperature")
    report = plant.judge(readings(series_id, values))
    assert rule(report, "range.bounds").findings[0].count == 5
    plant.quality.declare(MILL, Expectation("temperature", ExpectationKind.BOUNDS, {"high": 41.0}), actor=STEWARD)
    assert rule(plant.judge(), "range.bounds").findings[0].count == int((values > 41.0).sum())


def test_spikes_are_found_at_their_times(plant: Plant) -> None:
    values = 40 + NOISE
    values[[500, 1500, 2500]] += 80.0
    report = plant.judge(readings(plant.register("temperature"), values))
    finding = rule(report, "shape.spike").findings[0]
    assert finding.count == 3
    assert finding.samples[0] == (START + timedelta(seconds=500)).isoformat()


def test_a_machine_that_switches_between_levels_has_no_spikes(plant: Plant) -> None:
    levels = np.where(np.arange(ROWS) // 7 % 2, 80.0, 5.0) + NOISE
    report = plant.judge(readings(plant.register("temperature"), levels))
    assert rule(report, "shape.spike").findings == ()


def test_bad_status_late_early_and_disordered_readings_are_counted(plant: Plant) -> None:
    bad = np.arange(ROWS) % 100 == 0
    delay_s = np.full(ROWS, 0.2)
    delay_s[100:110], delay_s[200:205] = 60.0, -30.0
    report = plant.judge(readings(plant.register("temperature"), 40 + NOISE, bad=bad, delay_s=delay_s))
    assert (rule(report, "status.bad").a, rule(report, "status.bad").b) == (36, ROWS)
    assert rule(report, "time.arrival").findings[0].count == 15
    assert rule(report, "time.order").findings[0].count > 0


def test_repeated_and_contradicting_readings_are_told_apart(plant: Plant) -> None:
    series_id = plant.register("temperature")
    values = 40 + NOISE
    report = plant.judge(
        readings(series_id, values),
        readings(series_id, values[:5], at=times(rows=5)),
        readings(series_id, values[10:13] + 1, at=times(later(0) + timedelta(seconds=10), rows=3)),
    )
    assert rule(report, "record.duplicate").a == 8
    assert rule(report, "record.contradiction").findings[0].count == 3


def test_a_value_of_another_type_and_an_unknown_unit_are_found(plant: Plant, clock: Clock) -> None:
    series_id = plant.register("temperature", unit="furlong")
    text = pa.array(["n/a"] * 4)
    report = plant.judge(
        readings(series_id, 40 + NOISE), readings(series_id, at=times(later(60), rows=4), others={"value_text": text})
    )
    assert rule(report, "unit.known").findings[0].where == "temperature"
    assert rule(report, "type.declared").findings == (), "the readings lie after the span"
    clock.forward(hours=1)
    assert rule(plant.quality.run(MILL), "type.declared").findings[0].count == 4


def test_a_source_that_fell_silent_is_not_fresh(plant: Plant) -> None:
    report = plant.judge(readings(plant.register("temperature"), (40 + NOISE)[:1800], at=times(rows=1800)))
    assert rule(report, "time.fresh").a == 0
    assert rule(report, "record.expected").a == 1800


def test_reports_are_kept_and_audited(plant: Plant) -> None:
    with pytest.raises(QualityUnknown):
        plant.quality.latest(MILL)
    first = plant.judge(readings(plant.register("temperature"), 40 + NOISE))
    second = plant.judge()
    assert plant.quality.latest(MILL) == second
    assert plant.quality.history(MILL) == [second, first]
    assert [e.action for e in plant.audit.events].count("quality.judged") == 2


ORDERS = pa.table(
    {
        "order_id": [f"SO-{n % 19}" for n in range(20)],
        "customer_id": [f"C-{n % 4}" for n in range(20)],
        "due": ["2026-11-05"] * 18 + ["2026-02-30", None],
        "status": ["open"] * 19 + ["lost"],
        "quantity": [float(n) for n in range(19)] + [-5.0],
    }
)


def test_a_table_is_judged_by_cells_rows_keys_and_formats(plant: Plant) -> None:
    repeated = pa.concat_tables([ORDERS, ORDERS.slice(0, 1)])
    dataset_id = plant.store.write("orders", repeated, title="Orders", origin="import:orders.csv")
    report = plant.quality.run(dataset_id)
    assert report.rows == 21
    assert (rule(report, "cell.present").a, rule(report, "cell.present").b) == (104, 105)
    assert rule(report, "row.duplicate").a == 1
    assert rule(report, "key.unique").findings[0].count == 2
    wrong = rule(report, "cell.format").findings[0]
    assert (wrong.where, wrong.count) == ("due", 1)
    assert wrong.samples[0].startswith("row ")
    assert rule(report, "access.readable").x_ratio == 1.0


def test_declared_codes_ranges_and_references_are_checked(plant: Plant) -> None:
    orders = plant.store.write("orders", ORDERS, title="Orders", origin="import:orders.csv")
    customers = pa.table({"id": ["C-0", "C-1", "C-2"]})
    plant.store.write("customers", customers, title="Customers", origin="import:customers.csv")
    for part, kind, spec in (
        ("status", ExpectationKind.CODES, {"codes": ["open", "o'clock"]}),
        ("quantity", ExpectationKind.BOUNDS, {"low": 0}),
        ("customer_id", ExpectationKind.REFERENCE, {"dataset": "customers", "column": "id"}),
    ):
        plant.quality.declare(orders, Expectation(part, kind, spec), actor=STEWARD)
    report = plant.quality.run(orders)
    assert rule(report, "declared.codes").findings[0].count == 1
    assert rule(report, "declared.bounds").findings[0].count == 1
    assert rule(report, "declared.reference").findings[0].count == 5


def test_findings_never_carry_a_value(plant: Plant) -> None:
    secret = "1380000SECRET"
    rows = pa.table({"order_id": ["7"] * 19 + [secret], "note": [secret] * 20})
    dataset_id = plant.store.write("orders", rows, title="Orders", origin="import:x")
    assert secret not in repr(plant.quality.run(dataset_id))
    assert secret not in repr(plant.catalogue.proposal(dataset_id))
    assert all(secret not in repr(event) for event in plant.audit.events)


def test_odd_column_names_are_quoted(plant: Plant) -> None:
    rows = pa.table({'a"b': [1, 2], "select": ["x", "y"], "数 量": [1.0, None]})
    report = plant.quality.run(plant.store.write("odd", rows, title="Odd", origin="import:x"))
    assert rule(report, "cell.present").a == 5
