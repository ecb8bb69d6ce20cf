"""`python -m bench [NAME…]`: speed and size beside a bare reference in the same run.

Prints a table; with --write also puts it into docs/benchmarks.md, with the machine's description.
Exit status 1 if an aim is missed.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.registry import BENCHES
from bench.result import Result, machine, table

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

Written by `make bench ARGS=--write`; do not edit. Each figure stands beside a bare reference taken in the same run, so
the ratio says more than the figure. The data are synthetic and seeded (`bench/data.py`): 1,000 series at one reading
a second, a quarter each of full-precision floats, walks rounded to 0.01 with clock jitter, noisy steps of 0.1, states.
"""


def main() -> int:
    """Run the benches that were named, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="benches to run, e.g. log; all by default")
    parser.add_argument("--seconds", type=int, default=10_000, help="seconds of data; 10,000 are ten million readings")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    known = {bench.__name__.removeprefix("bench_"): bench for bench in BENCHES}
    if unknown := sorted(set(options.names) - known.keys()):
        parser.error(f"no bench called {', '.join(unknown)}; there are {', '.join(known)}")
    results: list[Result] = []
    for name, bench in known.items():
        if not options.names or name in options.names:
            print(f"{name} …", file=sys.stderr, flush=True)
            results += bench(options.seconds)
    print(table(results))
    if options.write:
        when = datetime.now(UTC).date().isoformat()
        PAGE.write_text(f"{_HEAD}\n{when}, {machine()}.\n\n{table(results)}\n", encoding="utf-8")
    return 0 if all(result.holds is not False for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
