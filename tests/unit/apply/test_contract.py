"""The app contract: units, suggestions, judgements, parameters and the door by which apps are found."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.apply.apps.oee import SPEC
from gongshu.apply.bindings import suggest_bindings
from gongshu.apply.errors import AppBroken, AppUnknown, ParameterInvalid
from gongshu.apply.judging import judge_bindings, judge_facts
from gongshu.apply.model import AssetBinding, BoundInput, Finding, Outcome, SeriesFacts
from gongshu.apply.registry import AppRegistry
from gongshu.apply.service import checked_params
from gongshu.apply.source import show_query
from gongshu.apply.spec import InputSpec, QualityNeed, ValueKind
from gongshu.apply.units import Conversion, Units
from gongshu.model.ids import AssetId, SeriesId, SourceId
from gongshu.model.reading import ValueType
from gongshu.model.series import Series, SeriesSighting
from gongshu.packs import load_packs

PACKS = load_packs()
UNITS = Units(PACKS.get("ucum"), PACKS.get("ucum-conversion"))
START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
MILL = AssetId("plant/line/mill")


def series(number: int, name: str, kind: ValueType, unit: str = "", *, title: str = "", asset: str = MILL) -> Series:
    sighting = SeriesSighting(SourceId("s"), f"a{number}", AssetId(asset), name, kind, unit, title)
    return Series(SeriesId(number), sighting, START)


@pytest.mark.parametrize(
    ("seen", "wanted", "value", "expected"),
    [
        ("ms", "s", 1500.0, 1.5),
        ("min", "s", 2.0, 120.0),
        ("kWh", "MJ", 1.0, 3.6),
        ("°C", "K", 20.0, 293.15),
        ("[degF]", "Cel", 212.0, 100.0),
        ("%", "1", 50.0, 0.5),
        ("s", "s", 7.0, 7.0),
        ("furlong", "furlong", 3.0, 3.0),
    ],
)
def test_units_of_one_dimension_convert(seen: str, wanted: str, value: float, expected: float) -> None:
    conversion = UNITS.convert(seen, wanted)
    assert conversion is not None
    assert value * conversion.factor + conversion.offset == pytest.approx(expected)


@pytest.mark.parametrize(("seen", "wanted"), [("s", "kW"), ("Cel", "%"), ("furlong", "m"), ("s", "parsec")])
def test_units_that_are_not_known_to_convert_are_refused(seen: str, wanted: str) -> None:
    assert UNITS.convert(seen, wanted) is None


@given(
    st.sampled_from(["s", "ms", "min", "h", "d"]), st.sampled_from(["s", "ms", "min", "h", "d"]), st.floats(-1e6, 1e6)
)
def test_a_conversion_there_and_back_changes_nothing(one: str, other: str, value: float) -> None:
    there, back = UNITS.convert(one, other), UNITS.convert(other, one)
    assert there is not None
    assert back is not None
    converted = value * there.factor + there.offset
    assert converted * back.factor + back.offset == pytest.approx(value, rel=1e-9, abs=1e-9)


NEEDED = [
    series(1, "设备状态", ValueType.INT64),
    series(2, "total-count", ValueType.INT64),
    series(3, "NG_Count", ValueType.INT64),
    series(4, "Ideal Cycle Time", ValueType.FLOAT64, "ms"),
]


def test_suggestions_know_chinese_english_and_other_spellings() -> None:
    (binding,) = suggest_bindings(SPEC, NEEDED, UNITS)
    assert binding == AssetBinding(
        MILL, {"state": SeriesId(1), "part_count": SeriesId(2), "reject_count": SeriesId(3), "ideal_cycle": SeriesId(4)}
    )


def test_a_series_of_the_wrong_kind_or_unit_is_no_suggestion() -> None:
    for number, wrong in ((0, ValueType.FLOAT64), (1, ValueType.TEXT)):
        changed = [*NEEDED[:number], series(9, NEEDED[number].sighting.name, wrong), *NEEDED[number + 1 :]]
        assert suggest_bindings(SPEC, changed, UNITS) == []
    assert suggest_bindings(SPEC, [*NEEDED[:3], series(4, "ideal_cycle", ValueType.FLOAT64, "kW")], UNITS) == []


def test_a_machine_that_lacks_a_role_is_not_suggested_and_others_do_not_help_out() -> None:
    elsewhere = series(4, "ideal_cycle", ValueType.FLOAT64, "s", asset="plant/line/other")
    assert suggest_bindings(SPEC, [*NEEDED[:3], elsewhere], UNITS) == []


def test_a_title_names_a_role_where_the_name_does_not() -> None:
    titled = series(1, "DB10.DBW4", ValueType.INT64, title="Machine State 设备状态")
    assert suggest_bindings(SPEC, [titled, *NEEDED[1:]], UNITS)[0].roles["state"] == 1


def judged(binding: AssetBinding) -> dict[tuple[str, str], Finding]:
    findings, _ = judge_bindings(SPEC, binding, {s.series_id: s for s in NEEDED}, UNITS)
    return {(f.role, f.need): f for f in findings}


def test_an_optional_role_may_be_missing_a_required_one_may_not() -> None:
    findings = judged(AssetBinding(MILL, {"state": SeriesId(1)}))
    assert not findings["heartbeat", "bound"].stops
    assert findings["part_count", "bound"].stops
    assert findings["state", "kind"].outcome is Outcome.HOLDS


def test_an_unknown_unit_is_not_judged_and_stops() -> None:
    unitless = series(4, "ideal_cycle", ValueType.FLOAT64)
    known = {s.series_id: s for s in [*NEEDED[:3], unitless]}
    findings, usable = judge_bindings(SPEC, AssetBinding(MILL, {"ideal_cycle": SeriesId(4)}), known, UNITS)
    unit = next(f for f in findings if f.need == "unit")
    assert (unit.outcome, unit.stops) == (Outcome.NOT_JUDGED, True)
    assert usable == {}


def test_a_conversion_is_said_and_used() -> None:
    _, usable = judge_bindings(
        SPEC, AssetBinding(MILL, {"ideal_cycle": SeriesId(4)}), {s.series_id: s for s in NEEDED}, UNITS
    )
    assert Conversion(usable["ideal_cycle"].factor, usable["ideal_cycle"].offset) == Conversion(0.001, 0.0)
    assert "converted" in judged(AssetBinding(MILL, {"ideal_cycle": SeriesId(4)}))["ideal_cycle", "unit"].seen


STRICT = InputSpec(
    "load", "负载", "load", ValueKind.NUMBER, need=QualityNeed(10, good_ratio_min=0.95, gap_max_s=5.0, age_max_s=60.0)
)
FINE = SeriesFacts(100, 99, START, END - timedelta(seconds=2), gap_s=3.0)


@pytest.mark.parametrize(
    ("facts", "need", "outcome"),
    [
        (FINE, "", Outcome.HOLDS),
        (SeriesFacts(9, 9, START, END, gap_s=3.0), "readings", Outcome.BROKEN),
        (SeriesFacts(100, 94, START, END, gap_s=3.0), "good", Outcome.BROKEN),
        (SeriesFacts(100, 100, START, END, gap_s=5.1), "gap", Outcome.BROKEN),
        (SeriesFacts(100, 100, START, END - timedelta(seconds=61), gap_s=3.0), "age", Outcome.BROKEN),
        (SeriesFacts(100, 100, START, END, gap_s=3.0, withheld="value masked"), "readable", Outcome.NOT_JUDGED),
        (None, "readable", Outcome.NOT_JUDGED),
    ],
)
def test_each_need_is_judged(facts: SeriesFacts | None, need: str, outcome: Outcome) -> None:
    load = series(5, "load", ValueType.FLOAT64)
    known = {} if facts is None else {load.series_id: facts}
    findings = judge_facts({MILL: {"load": BoundInput(STRICT, load)}}, known, seen_until=END)
    stopping = [(f.need, f.outcome) for f in findings if f.stops]
    assert stopping == ([] if outcome is Outcome.HOLDS else [(need, outcome)])
    assert all(f.remedy for f in findings if f.stops)


def test_a_value_told_on_change_may_have_been_told_before_the_span() -> None:
    state = SPEC.input("state")
    assert state is not None
    before = SeriesFacts(0, 0, None, None, before=START - timedelta(minutes=30))
    findings = judge_facts({MILL: {"state": BoundInput(state, NEEDED[0])}}, {SeriesId(1): before}, seen_until=END)
    assert [f.outcome for f in findings] == [Outcome.HOLDS]


def test_parameters_are_checked_and_completed() -> None:
    assert checked_params(SPEC, {"bucket_s": "60"})["bucket_s"] == 60
    assert checked_params(SPEC, {})["silence_max_s"] == 10.0
    for wrong in ({"colour": 1}, {"bucket_s": -1}, {"bucket_s": "soon"}, {"silence_max_s": float("nan")}):
        with pytest.raises(ParameterInvalid):
            checked_params(SPEC, wrong)


def test_apps_are_found_by_entry_point_and_a_broken_one_says_so() -> None:
    group = "gongshu.apps"
    registry = AppRegistry(
        [
            EntryPoint("oee", "gongshu.apply.apps.oee:SPEC", group),
            EntryPoint("gone", "gongshu.apply.apps.gone:SPEC", group),
            EntryPoint("other", "gongshu.apply.apps.oee:SPEC", group),
        ]
    )
    assert registry.spec("oee") is SPEC
    assert len(registry.code_sha256(SPEC)) == 64
    with pytest.raises(AppUnknown):
        registry.spec("nothing")
    for name in ("gone", "other"):
        with pytest.raises(AppBroken):
            registry.spec(name)


def test_the_platform_s_own_apps_are_installed_and_load() -> None:
    registry = AppRegistry()
    for spec in registry.specs():
        assert callable(registry.program(spec))
        assert {PACKS.get(name).name for name in spec.packs} == set(spec.packs)
        assert spec.title_zh
        assert len({wanted.role for wanted in spec.inputs}) == len(spec.inputs)


def test_the_query_that_shows_readings_names_series_and_span() -> None:
    sql = show_query([SeriesId(3), SeriesId(4)], START, END)
    assert "series_id IN (3, 4)" in sql
    assert "TIMESTAMPTZ '2026-11-02 08:00:00+00:00'" in sql
