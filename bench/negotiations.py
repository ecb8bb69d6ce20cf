"""Contracts a second beside Eclipse EDC: two of our nodes, then two EDCs, on the same machine in the same run."""

import statistics
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.pairs import Pair, edcs, ours
from bench.result import Result

COUNT = 300
SINGLE = 20
WARM_SHARE = 7
"""A seventh as many run before the clock does: a Java machine compiles what it repeats."""
IDLE_AFTER_S = 20.0
USUAL_SECONDS = 10_000
TUNED_MS = 100
"""EDC looks for work once a second as it comes. With shorter pauses, and on a busy machine with
this one, some of its negotiations were seen to end TERMINATED."""


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

    def many(self, name: str) -> str:
        """Return the rate, the work and the losses in words."""
        lost = f", {self.lost} terminated" if self.lost else ""
        return f"{name} {self.rate:.1f} /s, {self.work_ms:.0f} ms of processor{lost}"


def bench_negotiations(seconds: int) -> list[Result]:
    """Complete negotiations between two connectors, all asked for at once and one at a time, and their memory.

    The same two cores run both ends, the driver and PostgreSQL where there is one; processor time is of both ends and
    of PostgreSQL. On disk is beside on disk: each commit of either connector waits for it. Ours prove each message with
    a signed token, the EDCs (0.14.1) use the mock of identity. EDC waits a second between two looks for work as it
    comes, so it is also measured with a tenth of that, and with its state in memory alone, which no restart survives.
    Fewer negotiations with a smaller --seconds.
    """
    count = max(20, min(COUNT, COUNT * seconds // USUAL_SECONDS))
    sqlite, postgres = _measure(ours(on_postgres=False), count), _measure(ours(on_postgres=True), count)
    plain, tuned = (_measure(edcs(pause, on_postgres=True), count) for pause in (0, TUNED_MS))
    light, quick = (_measure(edcs(pause, on_postgres=False), count) for pause in (0, TUNED_MS))
    come, often = "EDC as it comes", f"EDC looking every {TUNED_MS} ms"
    best = max((plain, tuned), key=lambda figures: figures.rate)
    ratio = min(sqlite.rate, postgres.rate) / best.rate
    all_held = not (sqlite.lost or postgres.lost)
    what = f"{count} negotiations at once"
    durable = f"on PostgreSQL: {plain.many(come)}; {tuned.many(often)}"
    results = [
        Result(
            f"{what}, the slower of SQLite and PostgreSQL, beside the faster EDC on PostgreSQL",
            min(sqlite.rate, postgres.rate),
            "/s",
            durable,
            ratio,
            "≥ 50 /s, ≥ 3 × EDC",
            min(sqlite.rate, postgres.rate) >= 50 and ratio >= 3 and all_held,
        ),
        Result(sqlite.many(f"{what}: ours on SQLite"), sqlite.rate, "/s", durable, sqlite.rate / best.rate),
        Result(postgres.many(f"{what}: ours on PostgreSQL"), postgres.rate, "/s", durable, postgres.rate / best.rate),
        Result(
            f"{what}: ours on SQLite beside EDC in memory alone",
            sqlite.rate,
            "/s",
            f"in memory: {light.many(come)}; {quick.many(often)}",
            sqlite.rate / quick.rate,
        ),
    ]
    for percentile in (50, 100):
        results += [_single(percentile, name, mine, tuned, quick) for name, mine in _kinds(sqlite, postgres)]
    for name, mine in _kinds(sqlite, postgres):
        results.append(_memory(f"memory of a connector, idle, {name}", mine.idle_mb, tuned.idle_mb, limit_mb=300))
        results.append(_memory(f"after {count} negotiations, {name}", mine.after_mb, tuned.after_mb))
    return results


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
        rate, lost = pair.rate(count)
        work_ms = (pair.work_s() - before_s) * 1000 / count
        return Figures(rate, lost, single_ms, work_ms, idle_mb, statistics.mean(pair.memories_mb()))
