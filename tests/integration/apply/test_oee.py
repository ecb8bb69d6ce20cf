"""OEE of the synthetic plant, through the real gate, beside what truly happened."""

from datetime import timedelta

import pyarrow as pa
import pytest

from gongshu.apply.apps.oee import SPEC
from gongshu.apply.errors import FigureUnknown, InputsNotMet, NotForOthers
from gongshu.apply.model import AssetBinding, Outcome, RunReport
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SeriesId, SubjectId
from gongshu.model.reading import READING_SCHEMA, STATUS_BAD_NO_COMMUNICATION
from gongshu.secure.errors import Denied
from gongshu.secure.gate import SqlQuery
from gongshu.simulate.clockwork import Truth
from gongshu.simulate.machines import MACHINES, State
from tests.conftest import Clock
from tests.integration.apply.conftest import PARTY, SPAN_S, START, STEWARD, Stack

END = START + timedelta(seconds=SPAN_S)
PARAMS = {"bucket_s": 30}
OTHER = PartyId("urn:gongshu:party:other")
ROLES = {
    "state": "state_code",
    "planned_busy": "planned_busy",
    "part_count": "part_count",
    "reject_count": "reject_count",
    "ideal_cycle": "ideal_cycle",
    "stop_reason": "stop_reason",
    "heartbeat": "energy",
}


@pytest.fixture(scope="module")
def report(shared: Stack) -> RunReport:
    """What a run over the whole plant said."""
    return shared.apps.run("oee", shared.apps.suggest("oee"), START, END, actor=STEWARD, params=PARAMS)


def true_times(truths: list[Truth], machine: str) -> tuple[float, float]:
    """PBT and APT in seconds by the ground truth."""
    mine = [t for t in truths if t.machine == machine]
    planned = producing = 0.0
    for now, after in zip(mine, [*mine[1:], None], strict=True):
        length = ((after.time if after else END) - now.time).total_seconds()
        planned += length * now.planned
        producing += length * (now.planned and now.state is State.PRODUCING)
    return planned, producing


def test_suggestions_bind_every_machine_and_nothing_else(shared: Stack) -> None:
    bindings = shared.apps.suggest("oee")
    assert [b.asset for b in bindings] == sorted(shared.asset(m.name) for m in MACHINES)
    for binding in bindings:
        machine = binding.asset.rpartition("/")[2]
        assert {role: shared.ids[machine, name] for role, name in ROLES.items()} == dict(binding.roles)
    assert shared.apps.suggest("oee", below=shared.asset("mill-03"))[0].asset == shared.asset("mill-03")
    assert shared.apps.suggest("oee", below="elsewhere") == []


def test_oee_agrees_with_the_ground_truth(shared: Stack, report: RunReport) -> None:
    assert len(report.assets) == len(MACHINES)
    for result in report.assets:
        machine = result.asset.rpartition("/")[2]
        planned, producing = true_times(shared.truths, machine)
        terms = {t.symbol: t for figure in result.figures.values() for t in figure.terms}
        assert terms["PBT"].value == pytest.approx(planned, abs=0.5)
        assert terms["APT"].value == pytest.approx(producing, abs=0.5)
        assert result.notes["not_judged_s"] == pytest.approx(0.0, abs=0.5)
        values = {name: figure.value for name, figure in result.figures.items()}
        for name, value in values.items():
            assert value is not None
            assert 0.0 < value <= 1.0, (machine, name, result.figures[name].remark)
        product = values["availability"] * values["effectiveness"] * values["quality_ratio"]  # type: ignore[operator]
        assert values["oee_index"] == pytest.approx(product)
        last = max((t for t in shared.truths if t.machine == machine), key=lambda t: t.time)
        assert last.parts - 1 <= terms["PQ"].value <= last.parts + 15  # type: ignore[operator]


def test_the_derived_datasets_hold_the_buckets_and_the_stops_with_their_lineage(
    shared: Stack, report: RunReport
) -> None:
    assert report.outputs == ("oee_machine", "oee_stops")
    lineage = shared.catalogue.lineage(report.outputs[0])
    assert set(lineage.parents) == set(report.inputs)
    assert len(report.inputs) == len(MACHINES)
    rows = shared.gate.read(
        STEWARD,
        SqlQuery("SELECT asset, sum(pbt_s) AS pbt, sum(parts) AS parts, count(*) AS n FROM oee_machine GROUP BY asset"),
        purpose="report",
    ).read_all()
    by_asset = {r["asset"]: r for r in rows.to_pylist()}
    for result in report.assets:
        assert by_asset[result.asset]["n"] == 4
        assert by_asset[result.asset]["pbt"] == pytest.approx(result.figures["availability"].terms[1].value)
        assert by_asset[result.asset]["parts"] == result.figures["quality_ratio"].terms[1].value
    stops = shared.gate.read(STEWARD, SqlQuery("SELECT * FROM oee_stops"), purpose="report").read_all().to_pylist()
    for result in report.assets:
        mine = [row for row in stops if row["asset"] == result.asset]
        apt, pbt = result.figures["availability"].terms
        assert sum(row["duration_s"] for row in mine) == pytest.approx((pbt.value or 0) - (apt.value or 0), abs=1e-6)
    assert {"E11", "E12", "P02"} & {row["reason"] for row in stops}


def test_a_second_run_replaces_the_dataset_and_keeps_the_first_report(stack: Stack) -> None:
    bindings = stack.apps.suggest("oee")
    first = stack.apps.run("oee", bindings, START, END, actor=STEWARD, params=PARAMS)
    second = stack.apps.run("oee", bindings, START, END, actor=STEWARD, params=PARAMS)
    assert first.input_sha256 == second.input_sha256
    rows = stack.gate.read(STEWARD, SqlQuery("SELECT DISTINCT run_id FROM oee_machine"), purpose="report").read_all()
    assert rows["run_id"].to_pylist() == [second.run_id]
    assert stack.apps.run_report(first.run_id, reader=STEWARD) == first
    assert {r.run_id for r in stack.apps.runs("oee", reader=STEWARD)} == {first.run_id, second.run_id}


def test_a_figure_opens_to_the_readings_that_made_it(shared: Stack, report: RunReport) -> None:
    asset = shared.asset("mill-01")
    opened = shared.apps.explain(report.run_id, asset, "availability", reader=STEWARD)
    assert opened.figure.formula == "A = APT / PBT"
    assert "ISO 22400-2" in opened.figure.source
    apt, pbt = opened.terms
    assert apt.term.value is not None
    assert pbt.term.value is not None
    assert opened.figure.value == apt.term.value / pbt.term.value
    assert f"{asset}/state_code" in apt.names
    state = shared.ids["mill-01", "state_code"]
    assert state in apt.term.series
    rows = shared.gate.read(STEWARD, SqlQuery(apt.query), purpose="report").read_all()
    shown = [row for row in rows.to_pylist() if row["series"] in {"state_code", "planned_busy"}]
    assert len(shown) == apt.term.readings
    for name in ("effectiveness", "quality_ratio", "oee_index"):
        assert shared.apps.explain(report.run_id, asset, name, reader=STEWARD).figure.value is not None
    with pytest.raises(FigureUnknown):
        shared.apps.explain(report.run_id, asset, "colour", reader=STEWARD)


def test_lost_communication_is_not_judged_and_never_good(stack: Stack) -> None:
    state = stack.ids["mill-03", "state_code"]
    lost, back = START + timedelta(seconds=40), START + timedelta(seconds=70)
    rows = [
        {
            "series_id": state,
            "time": lost,
            "time_is_source": False,
            "arrival_time": lost,
            "value_double": None,
            "value_int": None,
            "value_text": None,
            "status": STATUS_BAD_NO_COMMUNICATION,
        },
        {
            "series_id": state,
            "time": back,
            "time_is_source": True,
            "arrival_time": back,
            "value_double": None,
            "value_int": 3,
            "value_text": None,
            "status": 0,
        },
    ]
    whole = stack.apps.run("oee", stack.apps.suggest("oee"), START, END, actor=STEWARD, params=PARAMS)
    stack.lake.append_readings(pa.Table.from_pylist(rows, schema=READING_SCHEMA))
    report = stack.apps.run("oee", stack.apps.suggest("oee"), START, END, actor=STEWARD, params=PARAMS)
    results = {r.asset: r for r in report.assets}
    before = {r.asset: r for r in whole.assets}
    asset = stack.asset("mill-03")
    lost_s = results[asset].notes["not_judged_s"]
    assert isinstance(lost_s, float)
    assert 0.0 < lost_s <= 30.0
    assert results[asset].figures["availability"].terms[0].excluded == 1
    after_parts = results[asset].figures["quality_ratio"].terms[1].value
    assert after_parts is not None
    assert after_parts < (before[asset].figures["quality_ratio"].terms[1].value or 0)
    other = stack.asset("mill-01")
    assert results[other].figures == before[other].figures


def test_data_that_do_not_hold_what_is_needed_are_refused_with_findings(stack: Stack) -> None:
    good = stack.apps.suggest("oee")[0]
    wrong_unit = AssetBinding(good.asset, {**good.roles, "ideal_cycle": stack.ids["mill-01", "spindle_temperature"]})
    wrong_kind = AssetBinding(good.asset, {**good.roles, "state": stack.ids["mill-01", "program"]})
    missing = AssetBinding(good.asset, {k: v for k, v in good.roles.items() if k != "part_count"})
    unknown = AssetBinding(good.asset, {**good.roles, "state": SeriesId(99_999)})
    for binding, need in ((wrong_unit, "unit"), (wrong_kind, "kind"), (missing, "bound"), (unknown, "bound")):
        with pytest.raises(InputsNotMet) as refused:
            stack.apps.run("oee", [binding], START, END, actor=STEWARD)
        judged = refused.value.fields["judged"]
        assert isinstance(judged, tuple)
        assert {f.need for f in judged if f.stops} == {need}
    assert stack.apps.runs(reader=STEWARD) == []
    assert not [d for d in stack.catalogue.datasets() if d.dataset_id == "oee_machine"]
    assert len(stack.audit.entries(action="app.refused")) == 4


def test_a_span_without_data_is_refused(shared: Stack) -> None:
    earlier = START - timedelta(days=3)
    findings = shared.apps.check(
        "oee", shared.apps.suggest("oee"), earlier, earlier + timedelta(hours=1), actor=STEWARD
    )
    broken = {(f.role, f.need) for f in findings if f.outcome is Outcome.BROKEN}
    assert broken == {(wanted.role, "readings") for wanted in SPEC.inputs}


def test_what_the_gate_refuses_is_not_judged(stack: Stack) -> None:
    text = stack.policies.active().replace(
        "principal.own_party &&\n  principal has app &&", "false && principal has app &&"
    )
    stack.policies.deploy(text, "user:zhao")
    findings = stack.apps.check("oee", stack.apps.suggest("oee"), START, END, actor=STEWARD)
    assert {f.outcome for f in findings if f.need == "readable"} == {Outcome.NOT_JUDGED}
    with pytest.raises(InputsNotMet):
        stack.apps.run("oee", stack.apps.suggest("oee"), START, END, actor=STEWARD)


def test_masked_readings_are_refused_rather_than_computed_with(stack: Stack) -> None:
    text = stack.policies.active().replace('@id("own-app")', '@id("own-app")\n@mask("value:round:0")')
    stack.policies.deploy(text, "user:zhao")
    with pytest.raises(InputsNotMet, match="masked"):
        stack.apps.run("oee", stack.apps.suggest("oee"), START, END, actor=STEWARD)


@pytest.mark.parametrize("demand", ['@mask("value:null")', '@row_filter("value < 1")', '@rows_max("10")'])
def test_who_sees_readings_in_part_gets_no_figure_of_the_whole(stack: Stack, demand: str) -> None:
    report = stack.apps.run("oee", stack.apps.suggest("oee"), START, END, actor=STEWARD, params=PARAMS)
    text = stack.policies.active().replace('@id("own-engineer")', f'@id("own-engineer")\n{demand}')
    stack.policies.deploy(text, "user:zhao")
    engineer = Subject(SubjectId("user:sun"), PARTY, frozenset({Role.ENGINEER}))
    with pytest.raises(Denied, match="only a part"):
        stack.apps.run("oee", stack.apps.suggest("oee"), START, END, actor=engineer, params=PARAMS)
    with pytest.raises(Denied, match="only a part"):
        stack.apps.run_report(report.run_id, reader=engineer)
    assert stack.apps.runs(reader=engineer) == []
    assert stack.audit.entries(action="read.denied", actor="user:sun")
    assert stack.audit.entries(action="aggregate.denied", actor="user:sun")


def test_nothing_is_counted_for_who_may_not_aggregate(stack: Stack) -> None:
    viewer = Subject(SubjectId("user:chen"), PARTY, frozenset({Role.VIEWER}))
    findings = stack.apps.check("oee", stack.apps.suggest("oee"), START, END, actor=viewer)
    assert {f.outcome for f in findings if f.need == "readable"} == {Outcome.NOT_JUDGED}
    assert not {f.need for f in findings} & {"readings", "good_share", "gap", "age"}
    assert not stack.audit.entries(actor="service:oee")
    assert {e.actor for e in stack.audit.entries(action="aggregate.denied")} == {"user:chen"}


def test_nothing_after_now_is_judged(stack: Stack, clock: Clock) -> None:
    clock.now = END
    later = END + timedelta(minutes=5)
    report = stack.apps.run("oee", stack.apps.suggest("oee"), START, later, actor=STEWARD, params=PARAMS)
    for result in report.assets:
        lost = result.notes["not_judged_s"]
        assert isinstance(lost, float)
        assert lost >= 300.0


def test_the_app_reads_as_itself_and_the_audit_log_says_so(shared: Stack, report: RunReport) -> None:
    assert report.audit_indexes
    entries = {e.index: e for e in shared.audit.entries(limit=500)}
    for index in report.audit_indexes:
        assert entries[index].actor == "service:oee"
        assert entries[index].details["purpose"] == "app:oee"
    assert any(e.action == "app.run" and e.actor == "user:li" for e in entries.values())


def test_an_app_is_no_way_around_the_gate(stack: Stack) -> None:
    viewer = Subject(SubjectId("user:chen"), PARTY, frozenset({Role.VIEWER}))
    stranger = Subject(SubjectId("partner:urn:gongshu:party:other"), OTHER, frozenset({Role.PARTNER}))
    bindings = stack.apps.suggest("oee")
    for subject in (viewer, stranger):
        with pytest.raises(Denied):
            stack.apps.run("oee", bindings, START, END, actor=subject, params=PARAMS)
    report = stack.apps.run("oee", bindings, START, END, actor=STEWARD, params=PARAMS)
    for subject in (viewer, stranger):
        assert stack.apps.runs(reader=subject) == []
        with pytest.raises(Denied):
            stack.apps.run_report(report.run_id, reader=subject)
        with pytest.raises(Denied):
            stack.apps.explain(report.run_id, stack.asset("mill-01"), "availability", reader=subject)
    with pytest.raises(NotForOthers):
        stack.apps.require_member(stranger)
    stack.apps.require_member(viewer)
