"""What OEE must hold for any readings: times add up, factors stay in range or say why, nothing unknown is good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongshu.apply.apps.oee import SPEC
from gongshu.apply.apps.oee.program import compute, parse_state_map
from gongshu.apply.errors import ParameterInvalid
from gongshu.apply.model import AppCall, AppResult, BoundInput
from gongshu.apply.source import GAP_SCHEMA, READ_SCHEMA
from gongshu.apply.spec import ParamValue
from gongshu.model.ids import AssetId, SeriesId, SourceId
from gongshu.model.reading import STATUS_BAD
from gongshu.model.series import Series, SeriesSighting
from gongshu.packs import load_packs

EPOCH = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
PACK = load_packs().get("iso-22400-2")
ROLES = {wanted.role: SeriesId(number) for number, wanted in enumerate(SPEC.inputs, start=1)}
MACHINE = AssetId("p/l/m")
TYPES = {"integer": "int64", "boolean": "bool", "number": "float64", "text": "text"}
Row = tuple[str, float, float | None, str | None, int]
"""Role, seconds after EPOCH, number, text, status."""


@dataclass
class Told:
    """Readings given by a test, behind the same two questions that the gate answers."""

    rows: Sequence[Row]

    def table(self) -> pa.Table:
        rows = [
            {"series_id": ROLES[r], "time": EPOCH + timedelta(seconds=s), "value": v, "value_text": t, "status": q}
            for r, s, v, t, q in self.rows
        ]
        table = pa.Table.from_pylist(rows, schema=READ_SCHEMA)
        return table.sort_by([("series_id", "ascending"), ("time", "ascending")])

    def read(self, series: Sequence[SeriesId], start: datetime, end: datetime) -> pa.Table:
        table = self.table()
        mine = pc.is_in(table["series_id"], value_set=pa.array(list(series), pa.int32()))
        inside = pc.and_(pc.greater_equal(table["time"], start), pc.less(table["time"], end))
        return table.filter(pc.and_(mine, inside))

    def gaps(self, series: Sequence[SeriesId], start: datetime, end: datetime, *, gap_min_s: float) -> pa.Table:
        found = []
        for series_id in series:
            table = self.read([series_id], start, end)
            times = [start, *table.filter(pc.less(table["status"], STATUS_BAD))["time"].to_pylist(), end]
            found += [
                {"series_id": series_id, "gap_start": one, "gap_end": other}
                for one, other in pairwise(times)
                if (other - one).total_seconds() > gap_min_s
            ]
        return pa.Table.from_pylist(found, schema=GAP_SCHEMA)


def run(
    rows: Sequence[Row],
    start_s: float,
    end_s: float,
    *,
    roles: Sequence[str] = tuple(ROLES),
    now_s: float = 1e6,
    **params: ParamValue,
) -> AppResult:
    inputs = {}
    for role in roles:
        spec = SPEC.input(role)
        assert spec is not None
        sighting = SeriesSighting(SourceId("s"), role, MACHINE, role, TYPES[spec.kind])  # type: ignore[arg-type]
        inputs[role] = BoundInput(spec, Series(ROLES[role], sighting, EPOCH))
    defaults = {param.name: param.default for param in SPEC.params}
    return compute(
        AppCall(
            run_id="r",
            spec=SPEC,
            inputs={MACHINE: inputs},
            params={**defaults, **params},
            start=EPOCH + timedelta(seconds=start_s),
            end=EPOCH + timedelta(seconds=end_s),
            now=EPOCH + timedelta(seconds=now_s),
            packs={"iso-22400-2": PACK},
            source=Told(rows),
        )
    )


def simple(
    *, state: float = 3, parts: Sequence[tuple[float, int]] = (), rejects: Sequence[tuple[float, int]] = ()
) -> list[Row]:
    """A machine in one state from -10 s on, planned, ideal cycle 10 s, with a heartbeat each second."""
    rows: list[Row] = [
        ("state", -10, state, None, 0),
        ("planned_busy", -10, 1, None, 0),
        ("ideal_cycle", -10, 10.0, None, 0),
        ("stop_reason", -10, None, "", 0),
        ("part_count", -10, 100, None, 0),
        ("reject_count", -10, 7, None, 0),
    ]
    rows += [("part_count", s, 100 + n, None, 0) for s, n in parts]
    rows += [("reject_count", s, 7 + n, None, 0) for s, n in rejects]
    rows += [("heartbeat", float(s), s + 1.0, None, 0) for s in range(-20, 130)]
    return rows


def value(result: AppResult, name: str) -> float | None:
    return result.assets[0].figures[name].value


def term(result: AppResult, symbol: str) -> float | None:
    return {t.symbol: t.value for f in result.assets[0].figures.values() for t in f.terms}[symbol]


def test_a_worked_example() -> None:
    rows = simple(parts=[(20, 1), (40, 2), (60, 3), (90, 4)], rejects=[(60, 1)])
    rows += [("state", 70, 5, None, 0), ("stop_reason", 70, None, "E11", 0), ("state", 80, 3, None, 0)]
    rows += [("stop_reason", 80, None, "", 0)]
    result = run(rows, 0, 100)
    assert value(result, "availability") == pytest.approx(90 / 100)
    assert value(result, "effectiveness") == pytest.approx(4 * 10 / 90)
    assert value(result, "quality_ratio") == pytest.approx(3 / 4)
    assert value(result, "oee_index") == pytest.approx(0.9 * 40 / 90 * 0.75)
    stops = result.outputs["oee_stops"].to_pylist()
    assert [(s["reason"], s["element"], s["duration_s"], s["stops"]) for s in stops] == [("E11", "ADOT", 10.0, 1)]
    assert result.outputs["oee_machine"].num_rows == 1


def test_no_plan_and_no_parts_are_not_judged_and_say_why() -> None:
    off = run([*simple(), ("planned_busy", -5, 0, None, 0)], 0, 50)
    assert value(off, "availability") is None
    assert off.assets[0].figures["availability"].remark.startswith("not judged: PBT is 0")
    assert value(off, "oee_index") is None
    idle = run(simple(state=5), 0, 50)
    assert value(idle, "availability") == 0.0
    assert value(idle, "effectiveness") is None
    assert value(idle, "quality_ratio") is None


def test_parts_faster_than_planned_are_flagged_not_hidden() -> None:
    result = run(simple(parts=[(s, s) for s in range(1, 50)]), 0, 50)
    seen = value(result, "effectiveness")
    assert seen is not None
    assert seen > 1
    assert "above 1" in result.assets[0].figures["effectiveness"].remark


def test_more_rejects_than_parts_are_flagged() -> None:
    result = run(simple(parts=[(20, 1)], rejects=[(20, 3)]), 0, 50)
    assert value(result, "quality_ratio") == pytest.approx(-2)
    assert "below 0" in result.assets[0].figures["quality_ratio"].remark


def test_a_bad_state_makes_its_time_not_judged() -> None:
    rows = [*simple(), ("state", 10.0, None, None, STATUS_BAD), ("state", 30.0, 3, None, 0)]
    result = run(rows, 0, 50)
    assert result.assets[0].notes["not_judged_s"] == 20.0
    assert term(result, "PBT") == 30.0
    assert value(result, "availability") == 1.0


def test_silence_of_the_heartbeat_makes_time_not_judged() -> None:
    rows = [row for row in simple() if row[0] != "heartbeat" or not 20 < row[1] < 45]
    result = run(rows, 0, 60)
    assert result.assets[0].notes["not_judged_s"] == 25.0
    assert term(result, "APT") == 35.0


def test_a_state_the_map_does_not_know_is_not_judged_and_named() -> None:
    result = run([*simple(), ("state", 10.0, 42, None, 0), ("state", 30.0, 3, None, 0)], 0, 50)
    assert result.assets[0].notes["not_judged_s"] == 20.0
    assert result.assets[0].notes["unknown_states"] == "42"


def test_a_state_is_not_believed_for_ever() -> None:
    roles = [role for role in ROLES if role != "heartbeat"]
    result = run(simple(), 0, 100, roles=roles, hold_max_s=60)
    assert result.assets[0].notes["not_judged_s"] == pytest.approx(50.0)


def test_nothing_after_now_is_judged() -> None:
    roles = [role for role in ROLES if role != "heartbeat"]
    result = run(simple(), 0, 100, roles=roles, now_s=30)
    assert term(result, "PBT") == 30.0
    assert result.assets[0].notes["not_judged_s"] == 70.0


def test_parts_made_across_time_that_is_not_judged_do_not_count() -> None:
    rows = simple(parts=[(5, 1), (40, 5), (45, 6)])
    rows += [("state", 10.0, None, None, STATUS_BAD), ("state", 30.0, 3, None, 0)]
    result = run(rows, 0, 50)
    assert term(result, "PQ") == 2.0
    assert result.assets[0].notes["parts_not_judged"] == 4


def test_parts_made_outside_of_the_plan_are_shown_apart() -> None:
    rows = [*simple(parts=[(5, 1), (40, 3)]), ("planned_busy", 20.0, 0, None, 0)]
    result = run(rows, 0, 50)
    assert term(result, "PQ") == 1.0
    assert result.assets[0].notes["parts_unplanned"] == 2
    assert result.assets[0].notes["produced_unplanned_s"] == 30.0


def test_a_counter_that_begins_again_is_noticed() -> None:
    result = run(simple(parts=[(5, 1), (10, -98), (15, -97)]), 0, 50)
    assert term(result, "PQ") == 1 + 2 + 1
    assert result.assets[0].notes["counter_resets"] == 1


def test_the_last_part_of_a_programme_counts_by_that_programme_s_cycle() -> None:
    result = run([*simple(parts=[(20, 1)]), ("ideal_cycle", 20.0, 99.0, None, 0)], 0, 50)
    assert term(result, "PRI × PQ") == 10.0


def test_an_unknown_planned_run_time_leaves_effectiveness_not_judged() -> None:
    rows = [*simple(parts=[(20, 1)]), ("ideal_cycle", 5.0, None, None, STATUS_BAD)]
    result = run(rows, 0, 50)
    assert value(result, "effectiveness") is None
    assert "PRI × PQ is not known" in result.assets[0].figures["effectiveness"].remark
    assert value(result, "quality_ratio") == 1.0


def test_without_a_plan_series_the_state_decides() -> None:
    roles = [role for role in ROLES if role != "planned_busy"]
    result = run([*simple(), ("state", 10.0, 2, None, 0), ("state", 30.0, 3, None, 0)], 0, 50, roles=roles)
    assert term(result, "PBT") == 30.0


STATUSES = st.sampled_from([0, 0, 0, 0, 0x40000000, STATUS_BAD])
SECONDS = st.integers(-400, 700).map(lambda tenths: tenths / 10.0)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for s in draw(st.lists(SECONDS, max_size=14, unique=True)):
        rows.append(("state", s, float(draw(st.sampled_from([1, 2, 3, 3, 3, 4, 5, 6, 7, 42]))), None, draw(STATUSES)))
    for s in draw(st.lists(SECONDS, max_size=6, unique=True)):
        rows.append(("planned_busy", s, float(draw(st.booleans())), None, draw(STATUSES)))
    for s in draw(st.lists(SECONDS, max_size=4, unique=True)):
        rows.append(("ideal_cycle", s, draw(st.floats(0.1, 30.0)), None, draw(STATUSES)))
    for s in draw(st.lists(SECONDS, max_size=6, unique=True)):
        rows.append(("stop_reason", s, None, draw(st.sampled_from(["", "E11", "P02"])), draw(STATUSES)))
    for role, most in (("part_count", 12), ("reject_count", 6)):
        count = 0
        for s in sorted(draw(st.lists(SECONDS, max_size=most, unique=True))):
            count = max(count + draw(st.sampled_from([0, 1, 1, 2, -5])), 0)
            rows.append((role, s, float(count), None, draw(STATUSES)))
    for s in draw(st.lists(SECONDS, max_size=40, unique=True)):
        rows.append(("heartbeat", s, s, None, draw(STATUSES)))
    return rows


@settings(max_examples=120, deadline=None)
@given(histories(), st.sampled_from([0, 7, 20]))
def test_times_add_up_to_the_period_exactly(rows: list[Row], bucket_s: int) -> None:
    result = run(rows, 0, 60, bucket_s=bucket_s, silence_max_s=8)
    notes = result.assets[0].notes
    pbt = term(result, "PBT")
    assert pbt is not None
    parts_us = [round(float(x) * 1e6) for x in (pbt, notes["not_planned_s"], notes["not_judged_s"])]  # type: ignore[arg-type]
    assert sum(parts_us) == 60_000_000
    table = result.outputs["oee_machine"].to_pylist()
    for row in table:
        length = (row["bucket_end"] - row["bucket_start"]) / timedelta(microseconds=1)
        assert sum(round(row[k] * 1e6) for k in ("pbt_s", "not_planned_s", "not_judged_s")) == length
    stops = result.outputs["oee_stops"].to_pylist()
    apt = term(result, "APT")
    assert apt is not None
    assert sum(round(s["duration_s"] * 1e6) for s in stops) == round(pbt * 1e6) - round(apt * 1e6)


@settings(max_examples=120, deadline=None)
@given(histories())
def test_factors_lie_in_range_or_say_why(rows: list[Row]) -> None:
    for figure in run(rows, 0, 60, silence_max_s=8).assets[0].figures.values():
        if figure.value is None:
            assert figure.remark.startswith("not judged")
        elif not 0.0 <= figure.value <= 1.0:
            assert "above 1" in figure.remark or "below 0" in figure.remark
        else:
            assert figure.remark == ""


@settings(max_examples=120, deadline=None)
@given(histories(), st.integers(1, 599))
def test_a_period_split_in_two_adds_up(rows: list[Row], cut_tenths: int) -> None:
    cut = cut_tenths / 10.0

    def of(start_s: float, end_s: float) -> AppResult:
        return run(rows, start_s, end_s, silence_max_s=8, hold_max_s=25, bucket_s=0)

    whole, one, other = of(0, 60), of(0, cut), of(cut, 60)
    for symbol in ("PBT", "APT", "PQ"):
        a, b, c = term(whole, symbol), term(one, symbol), term(other, symbol)
        assert a is not None
        assert b is not None
        assert c is not None
        assert a == pytest.approx(b + c, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 20))
def test_one_more_bad_reading_never_makes_more_time_good(rows: list[Row], place: int) -> None:
    states = [i for i, row in enumerate(rows) if row[0] == "state" and row[4] == 0]
    if not states:
        return
    spoiled = list(rows)
    index = states[place % len(states)]
    spoiled[index] = (*rows[index][:4], STATUS_BAD)
    before, after = term(run(rows, 0, 60, silence_max_s=8), "APT"), term(run(spoiled, 0, 60, silence_max_s=8), "APT")
    assert before is not None
    assert after is not None
    assert after <= before


def test_ten_thousand_buckets_and_many_readings_stay_fast() -> None:
    rng = np.random.default_rng(1)
    rows = simple()
    rows += [("state", float(s), float(rng.integers(1, 8)), None, 0) for s in range(0, 9000, 3)]
    result = run(rows, 0, 9000, bucket_s=1, silence_max_s=86_400)
    assert result.outputs["oee_machine"].num_rows == 9000


@pytest.mark.parametrize("text", ["", "3", "3=XYZ", "3=APT,3=AUST", "x=APT", "3=PBT"])
def test_a_state_map_that_says_nothing_sensible_is_refused(text: str) -> None:
    with pytest.raises(ParameterInvalid):
        parse_state_map(text, PACK)


def test_too_many_buckets_are_refused() -> None:
    with pytest.raises(ParameterInvalid):
        run(simple(), 0, 90_000_000, bucket_s=1)
