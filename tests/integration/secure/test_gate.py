"""The gate over the real lake: what it lets through, what it writes down, and that it fails closed."""

import threading
from datetime import timedelta
from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from gongshu.lake.errors import QueryTimeout
from gongshu.model.access import Request, Role, Subject
from gongshu.model.dataset import SERIES_COLUMNS
from gongshu.model.grade import Grade
from gongshu.model.ids import DatasetId, PartyId, SubjectId
from gongshu.secure.errors import Denied, QueryFailed, SqlInvalid, SqlRefused
from gongshu.secure.gate import DatasetQuery, Gate, IbisQuery, RowBound, SqlQuery
from gongshu.secure.policy.text import default_text
from tests.integration.secure.conftest import MINUTES, ORDERS, OWN, START, Plant, partner, person

ENGINEER = person(Role.ENGINEER)
ANALYST = person(Role.ANALYST)
MILL = DatasetId("plant_mill_0")


def test_an_engineer_reads_what_the_plant_holds(plant: Plant) -> None:
    table = plant.ask(
        ENGINEER, "SELECT asset, series, count(*) AS n, max(value) AS v FROM readings GROUP BY ALL ORDER BY 1, 2"
    )
    assert table.num_rows == 9
    assert table.slice(0, 3).to_pylist() == [
        {"asset": "plant/mill-0", "series": "part_count", "n": MINUTES, "v": MINUTES - 1.0},
        {"asset": "plant/mill-0", "series": "spindle_load", "n": MINUTES, "v": MINUTES - 1.0},
        {"asset": "plant/mill-0", "series": "state", "n": MINUTES, "v": None},
    ]


def test_a_series_dataset_has_the_promised_columns(plant: Plant) -> None:
    table = plant.ask(ENGINEER, f"SELECT * FROM {MILL}")
    assert table.column_names == [column.name for column in SERIES_COLUMNS]
    assert table.num_rows == 3 * MINUTES
    assert table.schema.field("status").type == pa.uint32()
    assert table.schema.field("time").type == pa.timestamp("us", tz="UTC")


def test_a_table_comes_as_it_was_written(plant: Plant) -> None:
    assert plant.ask(ENGINEER, "SELECT * FROM orders").to_pylist() == ORDERS.to_pylist()


def test_a_dataset_query_chooses_columns_span_and_conditions(plant: Plant) -> None:
    query = DatasetQuery(
        MILL,
        ("time", "value"),
        START + timedelta(minutes=10),
        START + timedelta(minutes=20),
        ("series = 'spindle_load'", "value <> 15"),
    )
    table = plant.ask(ENGINEER, query)
    assert table.column_names == ["time", "value"]
    assert sorted(table["value"].to_pylist()) == [10, 11, 12, 13, 14, 16, 17, 18, 19]


def test_rows_outside_of_a_bound_do_not_exist_for_the_query(plant: Plant) -> None:
    hostile = "A' OR '1'='1"
    only = (RowBound("line", "IN", ("A", hostile)), RowBound("amount", ">=", ("100",)))
    table = plant.ask(ENGINEER, DatasetQuery(DatasetId("orders"), ("line", "amount"), only=only))
    assert table.to_pylist() == [{"line": "A", "amount": 987654.0}, {"line": "A", "amount": 250.0}]
    only = (RowBound("series", "=", ("spindle_load",)), RowBound("time", "<", ("2026-11-01T00:10:00+00:00",)))
    counted = plant.ask(ENGINEER, SqlQuery(f"SELECT count(*) AS n FROM {MILL}", only=only))
    assert counted.to_pylist() == [{"n": 10}]


@pytest.mark.parametrize(
    "bound",
    [
        RowBound("nothing", "=", ("1",)),
        RowBound("amount", "LIKE", ("1",)),
        RowBound("amount", "=", ("1", "2")),
        RowBound("amount", "IN", ()),
    ],
)
def test_a_bound_that_cannot_be_met_denies(plant: Plant, bound: RowBound) -> None:
    with pytest.raises(Denied, match="bound"):
        plant.ask(ENGINEER, DatasetQuery(DatasetId("orders"), only=(bound,)))


def test_a_bound_whose_value_does_not_fit_gives_nothing(plant: Plant) -> None:
    with pytest.raises(QueryFailed):
        plant.ask(ENGINEER, DatasetQuery(DatasetId("orders"), only=(RowBound("amount", "=", ("x",)),)))


def test_small_groups_stay_away_and_rows_do_not_pass_for_groups(plant: Plant) -> None:
    table = plant.ask(ENGINEER, SqlQuery("SELECT line, sum(amount) AS s FROM orders GROUP BY line", group_min=2))
    assert table.to_pylist() == [{"line": "A", "s": 987904.0}]
    with pytest.raises(SqlRefused, match="figures"):
        plant.ask(ENGINEER, SqlQuery("SELECT line FROM orders", group_min=2))


def test_an_ibis_expression_goes_the_same_way(plant: Plant) -> None:
    readings = ibis.table({"time": "timestamp('UTC')", "series": "string", "value": "float64"}, name=MILL)
    chosen = readings.filter(readings.series == "spindle_load")
    expr = (
        chosen.group_by(hour=chosen.time.truncate("h")).agg(mean=chosen.value.mean(), n=chosen.count()).order_by("hour")
    )
    assert plant.ask(ENGINEER, IbisQuery(expr)).select(["mean", "n"]).to_pylist() == [
        {"mean": 29.5, "n": 60},
        {"mean": 89.5, "n": 60},
    ]


def test_the_record_is_stored_before_the_first_row_and_the_count_after_the_last(plant: Plant) -> None:
    result = plant.gate.read(ENGINEER, SqlQuery("SELECT * FROM orders -- all"), purpose="monthly")
    (entry,) = plant.audit.entries(limit=1)
    assert (entry.index, entry.action, entry.object, entry.actor) == (
        result.audit_index,
        "read.permitted",
        "orders",
        "user:li",
    )
    assert entry.details["because"] == ["own-engineer"]
    assert entry.details["purpose"] == "monthly"
    assert entry.details["sql"] == 'SELECT * FROM "orders"'
    table = result.read_all()
    (finished,) = plant.audit.entries(limit=1)
    assert (finished.action, finished.outcome) == ("read.finished", "ok")
    assert finished.details["rows"] == 3
    assert finished.details["bytes"] == table.nbytes
    assert finished.details["permitted_by_record"] == entry.index
    result.close()
    assert plant.audit.entries(limit=1)[0].index == finished.index


def test_a_read_that_is_given_up_is_counted_too(plant: Plant) -> None:
    with plant.gate.read(ENGINEER, SqlQuery("SELECT * FROM orders"), purpose="x"):
        pass
    (finished,) = plant.audit.entries(limit=1)
    assert (finished.action, finished.details["rows"]) == ("read.finished", 0)


def test_every_dataset_of_a_query_has_its_own_record(plant: Plant) -> None:
    before = plant.audit.size()
    plant.ask(ENGINEER, f"SELECT count(*) FROM orders, {MILL}, readings LIMIT 1")
    actions = [(entry.action, entry.object) for entry in plant.audit.entries(limit=plant.audit.size() - before)]
    assert actions[::-1] == [("read.permitted", name) for name in ("orders", MILL, "readings")] + [
        ("read.finished", f"orders,{MILL},readings")
    ]


def test_one_refused_dataset_refuses_the_query(masked: Plant) -> None:
    before = masked.audit.size()
    with pytest.raises(Denied, match=r"plant_mill_1.*no-policy-permits"):
        masked.ask(ANALYST, "SELECT count(*) FROM orders, plant_mill_1")
    (entry,) = masked.audit.entries(limit=masked.audit.size() - before)
    assert (entry.action, entry.object, entry.outcome) == ("read.denied", "plant_mill_1", "denied")


def test_readings_are_those_of_the_machines_that_may_be_read(masked: Plant) -> None:
    seen = masked.ask(ANALYST, "SELECT DISTINCT asset, series_id FROM readings")
    assert set(seen["asset"].to_pylist()) == {"plant/mill-0"}
    assert masked.ask(ANALYST, "SELECT count(*) AS n FROM readings").to_pylist() == [{"n": 3 * MINUTES}]


def test_readings_of_nobody_are_refused(masked: Plant) -> None:
    with pytest.raises(Denied, match="no-readable-series"):
        masked.ask(person(Role.SYSTEM_ADMIN), "SELECT count(*) FROM readings")


def test_masks_differ_from_party_to_party_and_stay_the_same_for_one(masked: Plant) -> None:
    text = default_text().replace(
        '@id("partner-under-agreement")\n', '@id("partner-under-agreement")\n@mask("customer:hash")\n'
    )
    one = masked.ask(ANALYST, "SELECT customer FROM orders")
    assert one.equals(masked.ask(ANALYST, "SELECT customer FROM orders"))
    joined = "SELECT count(*) AS n FROM orders a JOIN orders b USING (customer)"
    assert masked.ask(ANALYST, joined).to_pylist() == [{"n": 2}]
    key, other = (masked.keys.derived_secret(f"mask:{party}") for party in (OWN, "urn:gongshu:party:other"))
    assert key != other
    assert masked.policies.check(text) == []


def test_the_subject_sees_the_masks_in_the_decision(masked: Plant) -> None:
    result = masked.gate.read(ANALYST, SqlQuery("SELECT * FROM orders"), purpose="x")
    assert {mask.column for mask in result.decision.obligations.masks} == {"customer", "note", "phone", "amount", "at"}
    assert result.read_all().column_names == ["line", "customer", "note", "phone", "amount", "at"]


def test_row_bounds_cut_and_say_so(plant: Plant) -> None:
    with plant.gate.read(ENGINEER, SqlQuery(f"SELECT * FROM {MILL}", rows_max=7), purpose="x") as result:
        assert result.read_all().num_rows == 7
        assert result.truncated


@pytest.fixture
def fresh(tmp_path: Path) -> "Plant":
    return Plant(tmp_path)


def test_the_lowest_row_bound_wins(fresh: Plant) -> None:
    text = default_text().replace('@id("own-engineer")\n', '@id("own-engineer")\n@rows_max("5")\n')
    fresh.policies.deploy(text, "user:sec")
    assert fresh.ask(ENGINEER, SqlQuery("SELECT * FROM readings", rows_max=100)).num_rows == 5
    assert fresh.ask(ENGINEER, SqlQuery(f"SELECT * FROM {MILL}", rows_max=3)).num_rows == 3
    fresh.close()


def test_machines_with_different_demands_stand_in_one_table(fresh: Plant) -> None:
    text = (
        default_text()
        + """
@id("coarse") @mask("value:round:-1") @columns("time, value, asset") @row_filter("series = 'spindle_load'")
permit (principal in Role::"engineer", action, resource in Asset::"plant/mill-1");
"""
    )
    fresh.policies.deploy(text, "user:sec")
    asked = fresh.ask(
        ENGINEER, "SELECT asset, count(*) AS n, count(series_id) AS ids FROM readings GROUP BY 1 ORDER BY 1"
    )
    assert asked.to_pylist() == [
        {"asset": "plant/mill-0", "n": 3 * MINUTES, "ids": 3 * MINUTES},
        {"asset": "plant/mill-1", "n": MINUTES, "ids": 0},
        {"asset": "plant/mill-2", "n": 3 * MINUTES, "ids": 3 * MINUTES},
    ]
    exact = "SELECT count(*) AS n FROM readings WHERE asset = 'plant/mill-1' AND value % 10 <> 0"
    assert fresh.ask(ENGINEER, exact).to_pylist() == [{"n": 0}]
    fresh.close()


def test_a_partner_reads_under_an_agreement_once_a_steward_has_confirmed(fresh: Plant) -> None:
    bound = partner(agreement="urn:uuid:1")
    with pytest.raises(Denied, match="partner-never-unconfirmed"):
        fresh.ask(bound, "SELECT * FROM orders")
    fresh.confirm(fresh.orders)
    assert fresh.ask(bound, "SELECT * FROM orders").num_rows == 3
    for stranger in (partner(), partner(agreement=""), partner(**{"claim.agreement": "urn:uuid:1"})):
        with pytest.raises(Denied):
            fresh.ask(stranger, "SELECT * FROM orders")
    fresh.clock.forward(days=366)
    with pytest.raises(Denied, match="partner-never-unconfirmed"):
        fresh.ask(bound, "SELECT * FROM orders")
    assert fresh.ask(ENGINEER, "SELECT * FROM orders").num_rows == 3
    fresh.close()


def test_an_expired_grade_closes_readings_without_a_change_of_the_catalogue(fresh: Plant) -> None:
    bound = partner(agreement="urn:uuid:1")
    fresh.confirm(MILL)
    assert fresh.ask(bound, "SELECT count(*) AS n FROM readings").to_pylist() == [{"n": 3 * MINUTES}]
    fresh.clock.forward(days=366)
    with pytest.raises(Denied):
        fresh.ask(bound, "SELECT count(*) AS n FROM readings")
    fresh.close()


def test_grade_three_is_shared_with_nobody(fresh: Plant) -> None:
    fresh.confirm(fresh.orders, Grade.THREE)
    owner = person(Role.PRODUCT_OWNER)
    decision = fresh.gate.decide(Request(owner, "share", "offer", fresh.orders))
    assert (decision.permitted, "grade-three-is-not-shared" in decision.because) == (False, True)
    with pytest.raises(Denied, match="partner-never-grade-three"):
        fresh.ask(partner(agreement="urn:uuid:1"), "SELECT * FROM orders")
    assert fresh.audit.entries(action="share.denied")[0].object == fresh.orders
    fresh.close()


def test_a_stranger_cannot_tell_a_hidden_dataset_from_none(plant: Plant) -> None:
    def told(name: str) -> str:
        with pytest.raises(Denied) as caught:
            plant.ask(partner(), f"SELECT * FROM {name}")
        return str(caught.value).replace(name, "it")

    assert told("orders") == told("nothing_here")


@pytest.mark.parametrize(
    ("action", "purpose", "reason"),
    [("steal", "x", "unknown-action"), ("read", "", "no-purpose"), ("read", "  ", "no-purpose")],
)
def test_an_odd_request_is_denied(plant: Plant, action: str, purpose: str, reason: str) -> None:
    decision = plant.gate.decide(Request(ENGINEER, action, purpose, plant.orders))
    assert (decision.permitted, decision.because) == (False, (reason,))
    for name in ("orders", "readings"):
        with pytest.raises(Denied, match=reason):
            plant.gate.read(ENGINEER, SqlQuery(f"SELECT * FROM {name}"), purpose=purpose, action=action)


def test_what_is_not_in_the_catalogue_has_no_grade_and_no_exit(plant: Plant) -> None:
    plant.lake.write_table("uncatalogued", pa.table({"a": [1]}))
    with pytest.raises(Denied, match="no-such-dataset"):
        plant.ask(ENGINEER, "SELECT * FROM uncatalogued")
    decision = plant.gate.decide(Request(ENGINEER, "read", "x", DatasetId("uncatalogued")))
    assert not decision.permitted


def test_a_policy_that_fails_closes_the_gate(fresh: Plant) -> None:
    text = (
        default_text()
        + """
@id("failing") forbid (principal, action, resource) when { resource.grade + 9223372036854775807 > 0 };
"""
    )
    fresh.policies.deploy(text, "user:sec")
    for sql in ("SELECT * FROM orders", f"SELECT * FROM {MILL}"):
        with pytest.raises(Denied, match="policy-error: failing"):
            fresh.ask(person(Role.STEWARD), sql)
    with pytest.raises(Denied, match="no-readable-series"):
        fresh.ask(person(Role.STEWARD), "SELECT * FROM readings")
    fresh.close()


def test_a_row_filter_that_does_not_fit_a_dataset_denies(fresh: Plant) -> None:
    text = default_text().replace('@id("own-engineer")\n', '@id("own-engineer")\n@row_filter("plant = 1")\n')
    fresh.policies.deploy(text, "user:sec")
    for name in ("orders", MILL, "readings"):
        with pytest.raises(Denied, match="row filter"):
            fresh.ask(ENGINEER, f"SELECT count(*) FROM {name}")
    fresh.close()


def test_no_record_no_rows(fresh: Plant) -> None:
    class Broken(type(fresh.audit)):  # type: ignore[misc]
        def write_many(self, events: object) -> int:
            raise OSError("no space left")

    audit = Broken(fresh.database, fresh.keys, fresh.clock)
    asked: list[str] = []
    lake = fresh.lake

    class Watched:
        def query(self, sql: str, *_: object, **__: object) -> None:
            asked.append(sql)

    gate = Gate(
        fresh.catalogue,
        Watched(),  # type: ignore[arg-type]
        fresh.policies,
        audit,
        fresh.clock,
        keys=fresh.keys,
        own_party_id=OWN,
    )
    with pytest.raises(OSError, match="space"):
        gate.read(ENGINEER, SqlQuery("SELECT * FROM orders"), purpose="x")
    with pytest.raises(OSError, match="space"):
        gate.decide(Request(ENGINEER, "read", "x", fresh.orders))
    assert asked == []
    lake.close()
    fresh.database.close()


def test_a_query_that_fails_or_runs_too_long_is_recorded_as_failed(plant: Plant) -> None:
    with pytest.raises(QueryFailed, match="nothing_like_this"):
        plant.ask(ENGINEER, "SELECT nothing_like_this FROM orders")
    assert plant.audit.entries(limit=1)[0].outcome == "failed"
    endless = " CROSS JOIN ".join(f"{MILL} AS t{n}" for n in range(8))
    plant.lake._query_timeout_s = 0.5
    try:
        with pytest.raises(QueryTimeout):
            plant.ask(ENGINEER, f"SELECT count(t0.value * t7.value) FROM {endless}")
    finally:
        plant.lake._query_timeout_s = 60.0
    assert plant.audit.entries(limit=1)[0].outcome == "failed"


def test_the_gate_is_not_asked_within_a_transaction(plant: Plant) -> None:
    with plant.database.begin(), pytest.raises(RuntimeError, match="rollback"):
        plant.gate.decide(Request(ENGINEER, "read", "x", plant.orders))


def test_statements_without_a_dataset_are_refused(plant: Plant) -> None:
    for sql in ("SELECT 1", "SELECT now()"):
        with pytest.raises(SqlInvalid):
            plant.ask(ENGINEER, sql)
    with pytest.raises(SqlRefused):
        plant.ask(ENGINEER, DatasetQuery(plant.orders, ()))


def test_facts_in_a_subject_cannot_confuse_the_policies(plant: Plant) -> None:
    odd = 'x"}, {"uid": {"type": "Role"'
    hostile = Subject(
        SubjectId(odd), PartyId(odd), frozenset({Role.PARTNER}), {odd: odd, "party": OWN, "own_party": "true"}
    )
    with pytest.raises(Denied):
        plant.ask(hostile, "SELECT * FROM orders")
    surrogate = Subject(SubjectId("user:\ud800"), OWN, frozenset({Role.ENGINEER}))
    with pytest.raises(Denied, match="policy-error"):
        plant.ask(surrogate, "SELECT * FROM orders")


def test_explaining_reads_nothing_and_is_recorded(plant: Plant) -> None:
    verdict = plant.gate.explain(Request(partner(), "read", "x", plant.orders), actor="user:sec")
    assert not verdict.permitted
    assert "partner-needs-agreement" in verdict.because
    assert plant.audit.entries(limit=1)[0].action == "policy.explained"


def test_many_readers_at_once_each_get_their_own(plant: Plant) -> None:
    found: list[int] = []

    def read(mill: int) -> None:
        rows = plant.ask(ENGINEER, f"SELECT count(*) AS n FROM plant_mill_{mill} WHERE value >= 0").to_pylist()
        found.append(rows[0]["n"])

    threads = [threading.Thread(target=read, args=(number % 3,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2 * MINUTES] * 6


def test_a_series_that_is_new_is_seen_at_once_and_not_before_its_decision(fresh: Plant) -> None:
    fresh.policies.deploy(default_text(), "user:sec")
    assert fresh.ask(ENGINEER, "SELECT count(DISTINCT series_id) AS n FROM readings").to_pylist() == [{"n": 9}]
    stray = pa.table(
        {
            "series_id": pa.array([5000], pa.int32()),
            "time": pa.array([START], pa.timestamp("us", tz="UTC")),
            "time_is_source": [True],
            "arrival_time": pa.array([START], pa.timestamp("us", tz="UTC")),
            "value_double": [1.0],
            "status": pa.array([0], pa.uint32()),
        }
    )
    fresh.lake.append_readings(stray)
    assert fresh.ask(ENGINEER, "SELECT count(DISTINCT series_id) AS n FROM readings").to_pylist() == [{"n": 9}]
    fresh.close()
