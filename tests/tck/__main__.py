"""Run the official compatibility kit against a served node: `python -m tests.tck --runs 10`.

Fetches the kit with Maven into a folder outside the repository, starts the node in its own process, runs the kit as
often as asked, prints the kit's own counts for each run, and exits with 0 only if every case held every time.
"""

import argparse
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.tck.fixtures import properties

HERE = Path(__file__).parent
CASES = 65
"""Of the 67 cases in the kit two are switched off."""
START_S = 90.0
RUN_S = 600.0
_COUNTS = re.compile(r"found=(\d+) started=(\d+) succeeded=(\d+) failed=(\d+) skipped=(\d+)")


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.tck")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", default="", help="Cases whose name begins so, for instance CN_C:02")
    parser.add_argument("--verbose", action="store_true", help="Print what the kit prints")
    given = parser.parse_args()
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            print(f"tck: {tool} is not installed; Java 17 and Maven run the kit", file=sys.stderr)
            return 2
    library = fetch()
    held = 0
    with tempfile.TemporaryDirectory(prefix="gongshu-tck-") as folder:
        ports = free_ports(3)
        authorization = f"Bearer {secrets.token_hex(16)}"
        with served(Path(folder), ports, authorization) as node:
            settings = properties(
                node=node,
                triggers=f"http://127.0.0.1:{ports[1]}",
                kit_port=ports[2],
                authorization=authorization,
            )
            file = Path(folder) / "dsp.properties"
            file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
            for number in range(1, given.runs + 1):
                held += run_once(number, library, file, given.only, verbose=given.verbose)
    is_whole = held == given.runs
    cases = f"{CASES} of {CASES} cases hold" if is_whole and not given.only else f"{held} of {given.runs} runs hold"
    print(f"tck: {cases}, {given.runs} runs")
    return 0 if is_whole else 1


def fetch() -> Path:
    """Return the folder with the kit's files, fetched where they are not there yet."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gongshu" / "dsp-tck"
    version = re.search(r"<kit\.version>([^<]+)<", (HERE / "pom.xml").read_text(encoding="utf-8"))
    assert version is not None, "the pom names the kit's version"
    library = root / version[1]
    if not (library / ".complete").is_file():
        print(f"tck: fetching the kit {version[1]} …", flush=True)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={library}"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *goal], check=True)
        (library / ".complete").touch()
    print(f"tck: kit {version[1]}", flush=True)
    return library


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def served(folder: Path, ports: list[int], authorization: str) -> Iterator[str]:
    """Yield the address of a node that runs in a process of its own."""
    names = ("--port", "--trigger-port", "--kit-port")
    numbers = [part for name, port in zip(names, ports, strict=True) for part in (name, str(port))]
    command = [sys.executable, "-m", "tests.tck.node", str(folder / "home"), *numbers]
    process = subprocess.Popen([*command, "--authorization", authorization], cwd=HERE.parent.parent)
    address = f"http://127.0.0.1:{ports[0]}"
    try:
        deadline = time.monotonic() + START_S
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("tck: the node did not start")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=1.0).is_success
    except httpx.HTTPError:
        return False


def run_once(number: int, library: Path, settings: Path, only: str, *, verbose: bool) -> bool:
    """Run the kit once, print its counts and what failed; True if all held."""
    began = time.monotonic()
    command = ["java", "-cp", f"{library}/*", str(HERE / "RunTck.java"), str(settings), only]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    counts = _COUNTS.search(done.stdout)
    if verbose or counts is None:
        print(done.stdout, done.stderr, sep="\n")
    if counts is None:
        print(f"run {number}: the kit did not finish, status {done.returncode}", flush=True)
        return False
    for line in done.stdout.splitlines():
        if line.startswith("FAILED"):
            print(f"run {number}: {line}")
    print(f"run {number}: {counts[0]} seconds={time.monotonic() - began:.1f}", flush=True)
    expected = int(counts[2]) if only else CASES
    return done.returncode == 0 and int(counts[3]) == expected and int(counts[4]) == 0


if __name__ == "__main__":
    sys.exit(main())
