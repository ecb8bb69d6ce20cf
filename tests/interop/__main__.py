"""Exchange data with a real Eclipse EDC in both directions: `python -m tests.interop`.

Ends with one line that says what was exchanged, and with status 0 only if all of it held.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.interop import from_edc, late, stops, to_edc
from tests.interop.world import opened

PARTS = {"from-edc": from_edc.run, "to-edc": to_edc.run, "stops": stops.run}


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop")
    parser.add_argument("--only", choices=PARTS, action="append", help="Run this part alone; may be repeated")
    parser.add_argument("--keep", action="store_true", help="Keep the folder with both logs")
    parser.add_argument(
        "--late", action="store_true", help="Run with late answers to an EDC on PostgreSQL, nothing else"
    )
    given = parser.parse_args()
    if given.late:
        return late.main()
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="gongshu-interop-"))
    try:
        with opened(folder) as world:
            for name in given.only or PARTS:
                print(f"{name} ({time.monotonic() - began:.0f} s)", flush=True)
                PARTS[name](world)
            seen, shown = ", ".join(world.seen), ", ".join(world.shown)
    except AssertionError as fault:
        print(f"interop: does not hold: {fault}\n  logs: {folder}", file=sys.stderr)
        return 1
    if not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"interop: EDC 0.14.1 → Gongshu: {seen}; Gongshu → EDC: {shown} ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
