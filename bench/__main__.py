"""`python -m bench [NAME…]`: speed, size and memory beside a bare reference in the same run.

Prints a table for each bench; with --write also puts it into docs/benchmarks.md, where benches that were not run keep
what they last said. Exit status 1 if an aim is missed.
"""

import argparse
import sys
from pathlib import Path

from bench.page import Section, page, sections
from bench.registry import BENCHES, ON_REQUEST

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    """Run the benches that were named, or all but the slow ones; return the exit status."""
    known = {bench.__name__.removeprefix("bench_"): bench for bench in [*BENCHES, *ON_REQUEST]}
    usual = [bench.__name__.removeprefix("bench_") for bench in BENCHES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}; if none is named: {', '.join(usual)}")
    parser.add_argument("--seconds", type=int, default=10_000, help="seconds of data; 10,000 are ten million readings")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - known.keys()):
        parser.error(f"no bench called {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = options.names or usual
    missed = False
    done: dict[str, Section] = {}
    for name in [name for name in known if name in wanted]:
        print(f"{name} …", file=sys.stderr, flush=True)
        results = known[name](options.seconds)
        missed |= any(result.holds is False for result in results)
        done[name] = Section.of(name, known[name].__doc__ or "", results)
        print(done[name].text, flush=True)
    if options.write:
        kept = sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
        order = [name for name in known if name in done or name in kept]
        PAGE.write_text(page([done.get(name) or kept[name] for name in order]), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
