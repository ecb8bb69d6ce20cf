"""Contracts a second beside Eclipse EDC: two of our nodes, then two EDCs, on the same machine in the same run."""

import statistics
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.pairs import Pair, edcs, ours
from bench.result import Result

COUNT = 300
SINGLE = 20
TIMES = 3
"""How often so many are asked for; the rate is the median. One time differs from the next by a fifth, of ours by more:
it depends on which processor the system wakes a thread (decision 0102)."""
WARM_SHARE = 7
"""A seventh as many run before the clock does: a Java machine compiles what it repeats."""
IDLE_AFTER_S = 20.0
USUAL_SECONDS = 10_000
TUNED_MS = 100
"""EDC looks for work once a second as it comes. With shorter pauses, and on a busy machine with
this one, some of its negotiations were seen to end TERMINATED."""

_PAUSES = ("as it comes", f"looking every {TUNED_MS} ms")


@dataclass(frozen=True)
class Figures:
    """What is measured of a pair."""

    rate: float
    lost: int
    """Negotiations that ended without a contract, although nobody wanted that."""
    single_ms: list[float]
    work_ms: float
    """Processor time of both ends for one negotiation of many; other work on the machine does not change it."""
    idle_mb: float
    after_mb: float


def bench_negotiations(seconds: int) -> list[Result]:
    """Complete negotiations between two connectors, all asked for at once and one at a time, and their memory.

    All at once is the median of three times, one after the other.
    The same two cores run both ends, the driver and PostgreSQL where there is one; processor time is of both ends and
    of PostgreSQL. On disk is beside on disk: each commit of either connector waits for it. Ours prove each message with
    a signed token, the EDCs (0.14.1) use the mock of identity. EDC waits a second between two looks for work as it
    comes, so it is also measured with a tenth of that, and with its state in memory alone, which no restart survives.
    The last pairs are kept on a processor each (`cpu_affinity` in `gongshu.toml`; for EDC all its threads).
    Five modules of its stores are of 0.13.0, the nearest release that is published everywhere; not the negotiation's.
    Fewer negotiations with a smaller --seconds.
    """
    count = max(20, min(COUNT, COUNT * seconds // USUAL_SECONDS))
    sqlite, postgres = _measure(ours(on_postgres=False), count), _measure(ours(on_postgres=True), count)
    plain, tuned = (_measure(edcs(pause, on_postgres=True), count) for pause in (0, TUNED_MS))
    light, quick = (_measure(edcs(pause, on_postgres=False), count) for pause in (0, TUNED_MS))
    apart = _measure(ours(on_postgres=False, apart=True), count)
    edcs_apart = [_measure(edcs(pause, on_postgres=True, apart=True), count) for pause in (0, TUNED_MS)]
    theirs = {"on PostgreSQL": (plain, tuned), "in memory": (light, quick)}
    results = []
    for name, mine in _kinds(sqlite, postgres):
        results.append(_rate(f"{count} negotiations at once, ours {name}", mine, "on PostgreSQL", (plain, tuned)))
    results.append(_rate(f"{count} at once, ours on SQLite", sqlite, "in memory alone", (light, quick), has_aim=False))
    what = f"{count} at once, each on a processor of its own, ours on SQLite"
    results.append(_rate(what, apart, "on PostgreSQL", (edcs_apart[0], edcs_apart[1])))
    for name, mine in [*_kinds(sqlite, postgres), ("on SQLite, each on a processor of its own", apart)]:
        work = "; ".join(f"EDC {where}: {_pair(pair, 'work_ms')} ms" for where, pair in theirs.items())
        ratio = mine.work_ms / min(plain.work_ms, tuned.work_ms)
        results.append(Result(f"processor time a negotiation, ours {name}", mine.work_ms, "ms", work, ratio))
    for percentile in (50, 100):
        results += [_single(percentile, name, mine, tuned, quick) for name, mine in _kinds(sqlite, postgres)]
    for name, mine in _kinds(sqlite, postgres):
        results.append(_memory(f"memory of a connector, idle, {name}", mine.idle_mb, tuned.idle_mb, limit_mb=300))
        results.append(_memory(f"after {TIMES} times {count} negotiations, {name}", mine.after_mb, tuned.after_mb))
    return results


def _rate(what: str, mine: Figures, where: str, theirs: tuple[Figures, Figures], *, has_aim: bool = True) -> Result:
    """Return the row that compares with the quicker of two EDCs that keep their state there."""
    ratio = mine.rate / max(figures.rate for figures in theirs)
    ended = zip(("ours", *_PAUSES), (mine, *theirs), strict=True)
    losses = "".join(f"; {whose}: {figures.lost} terminated" for whose, figures in ended if figures.lost)
    aim = "≥ 50 /s, ≥ 3 × EDC" if has_aim else ""
    holds = mine.rate >= 50 and ratio >= 3 and not mine.lost if has_aim else None
    return Result(what, mine.rate, "/s", f"EDC {where}: {_pair(theirs, 'rate')} /s{losses}", ratio, aim, holds)


def _pair(figures: tuple[Figures, Figures], name: str) -> str:
    """Return one figure of an EDC as it comes and of one that looks more often."""
    return ", ".join(f"{pause} {getattr(each, name):.1f}" for pause, each in zip(_PAUSES, figures, strict=True))


def _kinds(sqlite: Figures, postgres: Figures) -> list[tuple[str, Figures]]:
    return [("on SQLite", sqlite), ("on PostgreSQL", postgres)]


def _single(percentile: int, name: str, mine: Figures, tuned: Figures, quick: Figures) -> Result:
    what = "median" if percentile == 50 else f"slowest of {SINGLE}"
    ms, durable, light = (_at(percentile, figures.single_ms) for figures in (mine, tuned, quick))
    reference = f"EDC looking every {TUNED_MS} ms: {durable:.0f} ms on PostgreSQL, {light:.0f} ms in memory"
    limit = 150 if percentile == 50 else 400
    return Result(f"one negotiation, {what}, {name}", ms, "ms", reference, ms / durable, f"≤ {limit} ms", ms <= limit)


def _memory(what: str, mine: float, theirs: float, *, limit_mb: int | None = None) -> Result:
    aim, holds = (f"≤ {limit_mb} MB", mine <= limit_mb) if limit_mb else ("", None)
    return Result(what, mine, "MB", f"EDC {theirs:.0f} MB", mine / theirs, aim, holds)


def _at(percentile: int, values: list[float]) -> float:
    return statistics.median(values) if percentile == 50 else values[-1]


def _measure(opened: AbstractContextManager[Pair], count: int) -> Figures:
    with opened as pair:
        time.sleep(IDLE_AFTER_S)
        idle_mb = statistics.mean(pair.memories_mb())
        pair.rate(max(1, count // WARM_SHARE))
        single_ms = pair.single_ms(SINGLE)
        before_s = pair.work_s()
        rates, losses = zip(*(pair.rate(count) for _ in range(TIMES)), strict=True)
        work_ms = (pair.work_s() - before_s) * 1000 / (TIMES * count)
        after_mb = statistics.mean(pair.memories_mb())
        return Figures(statistics.median(rates), sum(losses), single_ms, work_ms, idle_mb, after_mb)
