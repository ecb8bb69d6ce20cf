"""The indicators of series datasets, from counted facts. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gongshu.govern.quality.model import Finding, Measure
from gongshu.govern.quality.scoring import is_low_better
from gongshu.govern.quality.series_facts import Bounds, Facts
from gongshu.model.ids import SeriesId
from gongshu.model.reading import ValueType
from gongshu.model.series import Series
from gongshu.packs import Pack

NUMBERS = frozenset({ValueType.FLOAT32, ValueType.FLOAT64, ValueType.INT64, ValueType.UINT64})
_COLUMN_OF = {
    ValueType.FLOAT32: "n_double",
    ValueType.FLOAT64: "n_double",
    ValueType.BOOL: "n_int",
    ValueType.INT64: "n_int",
}


@dataclass(frozen=True, slots=True)
class SeriesMatter:
    """Everything the rules may look at."""

    series: Sequence[Series]
    facts: Mapping[int, Facts]
    bounds: Mapping[int, Bounds]
    intervals_s: Mapping[SeriesId, float]
    """Declared sampling intervals."""
    units: frozenset[str]
    """Codes and aliases that the unit pack knows."""
    end: datetime
    """The end of the span that was asked for, at most now."""
    limits: Pack
    standard: Pack


@dataclass(frozen=True, slots=True)
class Count:
    """One series' share of an indicator."""

    a: int
    b: int
    broken: int = 0
    first: datetime | None = None
    samples: tuple[str, ...] = ()


def judge_series(matter: SeriesMatter) -> list[Measure]:
    """Return a measure for each rule; what could not be judged says why."""
    return [
        *_normativity(matter),
        *_completeness(matter),
        *_accuracy(matter),
        *_consistency(matter),
        *_timeliness(matter),
        *_accessibility(matter),
    ]


def _normativity(m: SeriesMatter) -> Iterable[Measure]:
    numbers = [s for s in m.series if s.sighting.value_type in (ValueType.FLOAT32, ValueType.FLOAT64)]
    yield measure(
        m,
        "0101",
        "unit.known",
        [(s.sighting.name, _whole(s.sighting.unit in m.units)) for s in numbers],
        ("单位缺失或不在 UCUM 子集中", "The unit is missing, or not in the unit pack"),
        ("没有浮点测点", "There are no floating-point series"),
    )
    yield measure(
        m,
        "0103",
        "metadata.complete",
        [
            (s.sighting.name, _whole(bool(s.sighting.name and s.sighting.address and s.sighting.asset)))
            for s in m.series
        ],
        ("元数据不全：名称、地址或所属设备缺失", "Name, address or asset is missing"),
        ("没有测点", "There are no series"),
    )


def _completeness(m: SeriesMatter) -> Iterable[Measure]:
    yield _counted(
        m,
        "0201",
        "value.present",
        lambda _, f: Count(f["n_value"], f["n"], f["n"] - f["n_value"]),
        ("读数没有值", "Readings without a value"),
    )
    yield _counted(
        m,
        "0202",
        "record.expected",
        lambda s, f: _expected(m, s, f),
        ("读数少于采样间隔应有的条数", "Fewer readings than the sampling interval asks for"),
        ("没有声明采样间隔，且读数不等间隔（变化上报）", "No interval is declared and readings come on change"),
    )


def _expected(m: SeriesMatter, s: Series, f: Facts) -> Count | None:
    declared = m.intervals_s.get(s.series_id)
    gap_us = declared * 1e6 if declared else f.get("gap_median_us")
    if not gap_us or (not declared and not _is_regular(m, f)):
        return None
    span_us = (m.end - f["first_time"]).total_seconds() * 1e6
    expected = max(int(span_us // gap_us), 1)
    arrived = min(int(f["n_times"]), expected)
    missing = expected - arrived
    return Count(arrived, expected, missing if missing > 1 else 0, f["first_time"])


def _is_regular(m: SeriesMatter, f: Facts) -> bool:
    enough = f["n_times"] >= m.limits.value("regular.readings_min")
    return bool(enough and f["gap_high_us"] <= m.limits.value("regular.ratio_max") * f["gap_median_us"])


def _accuracy(m: SeriesMatter) -> Iterable[Measure]:
    yield _counted(
        m,
        "0301",
        "range.bounds",
        lambda s, f: (
            Count(f["n_bounded"] - f["n_outside"], f["n_bounded"], f["n_outside"], f["first_outside"])
            if s.series_id in m.bounds
            else None
        ),
        ("值超出声明的或物理的范围", "Values outside the declared or physical range"),
        ("没有声明量程，单位也没有物理界限", "No range is declared, and the unit has no physical bound"),
    )
    yield _counted(
        m,
        "0301",
        "shape.spike",
        lambda s, f: _spikes(m, f) if s.sighting.value_type in NUMBERS else None,
        ("单点突变后立即返回", "A single value leaves both neighbours and the next returns"),
        ("数值读数太少，不足以得出常态范围", "Too few numeric readings to know the normal band"),
    )
    yield _counted(
        m,
        "0303",
        "record.duplicate",
        lambda _, f: Count(f["n_same_time"], f["n"], f["n_same_time"], f["first_same_time"]),
        ("同一测点同一时刻有多条读数", "More than one reading of a series at one time"),
    )
    yield _counted(
        m,
        "0305",
        "status.bad",
        lambda _, f: Count(f["n_bad"], f["n"], f["n_bad"], f["first_bad"]),
        ("设备报告状态为坏", "The device reports a bad status"),
    )


def _spikes(m: SeriesMatter, f: Facts) -> Count | None:
    if not f["n_inner"] or f["n_inner"] < m.limits.value("shape.readings_min"):
        return None
    times = tuple(time.isoformat() for time in f["spikes"] or [])
    return Count(f["n_inner"] - f["n_spike"], f["n_inner"], f["n_spike"], samples=times)


def _consistency(m: SeriesMatter) -> Iterable[Measure]:
    yield _counted(
        m,
        "0302",
        "type.declared",
        _typed,
        ("值的类型与登记的类型不同", "The type of the value is not the registered one"),
        ("没有登记可核对的类型", "No registered type that could be compared"),
    )
    yield _counted(
        m,
        "0401",
        "record.contradiction",
        lambda _, f: Count(f["n"] - f["n_contradicting"], f["n"], f["n_contradicting"], f["first_same_time"]),
        ("同一测点同一时刻的读数互相矛盾", "Readings of a series at one time contradict each other"),
    )


def _typed(s: Series, f: Facts) -> Count | None:
    column = _COLUMN_OF.get(s.sighting.value_type, "n_text")
    if s.sighting.value_type is ValueType.UINT64:
        return Count(f["n_int"] + f["n_text"], f["n_value"], f["n_double"])
    return Count(f[column], f["n_value"], f["n_value"] - f[column])


def _timeliness(m: SeriesMatter) -> Iterable[Measure]:
    yield _counted(
        m,
        "0501",
        "time.fresh",
        lambda _, f: _fresh(m, f),
        ("期末没有新读数", "No recent reading at the end of the span"),
        ("读数太少，或变化上报没有固定间隔", "Too few readings, or they come on change with no interval"),
    )
    yield _counted(
        m,
        "0502",
        "time.arrival",
        lambda _, f: (
            Count(
                f["n_source"] - f["n_late"] - f["n_ahead"], f["n_source"], f["n_late"] + f["n_ahead"], f["first_late"]
            )
            if f["n_source"]
            else None
        ),
        ("到达过晚，或源时钟超前", "Arrived late, or the source's clock is ahead"),
        ("设备没有提供源时间", "The device gives no time of its own"),
    )
    yield _counted(
        m,
        "0503",
        "time.order",
        lambda _, f: Count(f["n"] - f["n_disordered"], f["n"], f["n_disordered"], f["first_disordered"]),
        ("后到的读数时间更早", "A later arrival carries an earlier time"),
    )


def _fresh(m: SeriesMatter, f: Facts) -> Count | None:
    if not _is_regular(m, f):
        return None
    allowed_s = max(m.limits.value("fresh.s"), m.limits.value("fresh.intervals") * f["gap_high_us"] / 1e6)
    is_fresh = (m.end - f["last_time"]).total_seconds() <= allowed_s
    return Count(int(is_fresh), 1, int(not is_fresh), f["last_time"])


def _accessibility(m: SeriesMatter) -> Iterable[Measure]:
    readable = [(s.sighting.name, _whole(s.series_id in m.facts)) for s in m.series]
    yield measure(
        m,
        "0601",
        "access.readable",
        readable,
        ("登记的测点在此期间读不到任何读数", "A registered series gives no reading in the span"),
        ("没有测点", "There are no series"),
    )
    usable = [(s.sighting.name, _whole(m.facts.get(s.series_id, {}).get("n_good", 0) > 0)) for s in m.series]
    yield measure(
        m,
        "0602",
        "access.usable",
        usable,
        ("此期间没有一条状态为好的读数", "Not one reading with good status in the span"),
        ("没有测点", "There are no series"),
    )


def _counted(
    m: SeriesMatter,
    indicator: str,
    rule_id: str,
    count: Callable[[Series, Facts], Count | None],
    broken: tuple[str, str],
    silent: tuple[str, str] = ("此期间没有读数", "There are no readings in the span"),
) -> Measure:
    """Add up one rule over the series that have readings; None leaves a series out as not to be judged."""
    counts = []
    for series in m.series:
        facts = m.facts.get(series.series_id)
        counted = count(series, facts) if facts else None
        if counted is not None:
            counts.append((series.sighting.name, counted))
    return measure(m, indicator, rule_id, counts, broken, silent)


def measure(
    m: SeriesMatter,
    indicator: str,
    rule_id: str,
    counts: Sequence[tuple[str, Count]],
    broken: tuple[str, str],
    silent: tuple[str, str],
) -> Measure:
    """Return the measure that the counts of all series add up to, with a finding for each that broke the rule."""
    b = sum(count.b for _, count in counts)
    findings = tuple(
        Finding(rule_id, indicator, name, count.broken, _samples(count), *broken)
        for name, count in counts
        if count.broken
    )
    reason = silent if b == 0 else ("", "")
    return Measure(
        indicator,
        rule_id,
        sum(count.a for _, count in counts),
        b,
        is_low_better(m.standard, indicator),
        *reason,
        findings=findings,
    )


def _samples(count: Count) -> tuple[str, ...]:
    return count.samples or ((count.first.isoformat(),) if count.first else ())


def _whole(holds: bool) -> Count:
    return Count(int(holds), 1, int(not holds))
