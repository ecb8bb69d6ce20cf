"""A thousand negotiations that wait for a person: what they cost while nothing happens, and whether all go on."""

import time

from bench.pairs import Pair, ours
from bench.result import Result
from gongshu.share.automation import ASK_FIRST
from tests.interop.waiting import until

COUNT = 1000
REST_S = 60.0
SETTLE_S = 10.0
USUAL_SECONDS = 10_000


def bench_open_negotiations(seconds: int) -> list[Result]:
    """A thousand negotiations open at once at a provider that asks a person first, and at their consumer.

    Memory is of each connector with everything it started (PSS), right after the last one has opened and after a minute
    of rest; processor time at rest is of both together. Then a person says yes to all, and every one must become a
    contract. Fewer with a smaller --seconds.
    """
    count = max(20, min(COUNT, COUNT * seconds // USUAL_SECONDS))
    with ours(on_postgres=False, rules=ASK_FIRST) as pair:
        time.sleep(SETTLE_S)
        idle_mb, idle_ms = max(pair.memories_mb()), _rest_ms(pair, REST_S)
        begun = pair.begin_many(count)
        until(f"{count} wait", lambda: pair.waiting() == count or None, timeout_s=300.0, pause_s=0.5)
        opened_mb = max(pair.memories_mb())
        time.sleep(SETTLE_S)
        rest_ms = _rest_ms(pair, REST_S)
        rested_mb = max(pair.memories_mb())
        began = time.monotonic()
        approved = pair.approve_all()
        final, ended = pair.finish(begun)
    idle = f"with none open: {idle_mb:.0f} MB, {idle_ms:.1f} ms a second"
    took = f"{approved} approved one by one and finished in {ended - began:.0f} s"
    return [
        Result(f"{count} open: memory of a connector", opened_mb, "MB", idle, None, "≤ 500 MB", opened_mb <= 500),
        Result("the same, after a minute of rest", rested_mb, "MB", idle, None, "≤ 500 MB", rested_mb <= 500),
        Result(
            "processor time of both at rest",
            rest_ms,
            "ms/s",
            idle,
            rest_ms / idle_ms,
            "≤ 2 × with none open",
            rest_ms <= 2 * idle_ms,
        ),
        Result("became contracts once approved", final, "", took, final / count, f"all {count}", final == count),
    ]


def _rest_ms(pair: Pair, seconds: float) -> float:
    """Return the processor time in a second of rest, in milliseconds, of what lives at its end."""
    before_s = pair.times_s()
    time.sleep(seconds)
    return sum(after_s - before_s.get(pid, 0.0) for pid, after_s in pair.times_s().items()) * 1000 / seconds
