"""The node as a whole: start, memory at rest, what set-up installs, the demo. All of them on real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from bench.folder import folder as temporary
from bench.result import Result
from gongshu.config import Home, NodeConfig, write_config
from gongshu.gather.definitions import read_definitions
from gongshu.model.access import Role
from gongshu.model.ids import SubjectId
from gongshu.node import open_node

ROUNDS = 3
IDLE_AFTER_S = 30.0
START_TIMEOUT_S = 90.0
LOOK_EVERY_S = 0.02
ROOT = Path(__file__).parent.parent
_ACTOR = SubjectId("user:bench")
_PASSWORD = "only-for-this-run"


def bench_serve(seconds: int) -> list[Result]:  # noqa: ARG001  a node at rest holds no seeded set
    """`gongshu serve` until it answers, and the memory of its processes at rest, by process."""
    with temporary() as folder, _plant(folder / "plant") as plant:
        home = Home(folder / "home")
        token = _make_node(home, plant / "sources.yaml")
        with _served(home):  # the first start compiles modules; every later one finds them
            pass
        starts, work = [], []
        for _ in range(ROUNDS):
            with _served(home) as (node, start_s):
                starts.append(start_s)
                work.append(sum(node.cpu_times()[:2]))
        with _served(home) as (node, start_s):
            began = time.monotonic()
            rows = _ask(home, token)
            assert rows, "the collector has brought nothing"
            time.sleep(max(0.0, IDLE_AFTER_S - start_s - (time.monotonic() - began)))
            memory = _memory_by_process(node)
    bare_s = min(_timed([sys.executable, "-c", "import fastapi, uvicorn"]) for _ in range(ROUNDS))
    start_s, total_mb = median(starts), sum(memory.values())
    parts = ", ".join(f"{name} {size_mb:.0f}" for name, size_mb in memory.items())
    return [
        Result(
            "`gongshu serve` until it answers, median of 3",
            start_s,
            "s",
            f"{min(work):.1f} s of one processor; Python importing FastAPI and Uvicorn: {bare_s:.2f} s",
            start_s / bare_s,
            "≤ 4 s",
            start_s <= 4.0,
        ),
        Result(
            "memory at rest (PSS), one OPC UA collector, 30 s after the start, one query made",
            total_mb,
            "MB",
            parts,
            aim="≤ 500 MB",
            holds=total_mb <= 500.0,
        ),
    ]


def bench_demo(seconds: int) -> list[Result]:  # noqa: ARG001  the demo makes its own data
    """`gongshu demo --exit` in the environment that this bench runs in, collecting for its 20 seconds."""
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-m", "gongshu", "demo", "--exit", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        check=False,
    )
    demo_s = time.monotonic() - began
    steps = json.loads(answer.stdout.decode().splitlines()[-1])["steps"] if answer.stdout else []
    held = sum(step["ok"] for step in steps)
    return [
        Result(
            "`gongshu demo --exit`",
            demo_s,
            "s",
            f"{held} of 10 steps hold; 20 s of it are collecting",
            aim="≤ 90 s",
            holds=demo_s <= 90.0 and held == 10,
        )
    ]


def bench_set_up(seconds: int) -> list[Result]:  # noqa: ARG001
    """What `make` installs before the first start, in a new folder, and how long it takes."""
    with temporary() as folder:
        venv = folder / "venv"
        took_s = _timed(["make", "--silent", f"VENV={venv}", f"{venv}/.runtime"])
        size_mb = _disk_mb(venv)
        bare = folder / "bare"
        _timed([sys.executable, "-m", "venv", str(bare)])
        bare_mb = _disk_mb(bare)
    return [
        Result(
            "what set-up installs",
            size_mb,
            "MB",
            f"an empty environment: {bare_mb:.0f} MB",
            aim="≤ 600 MB",
            holds=size_mb <= 600.0,
        ),
        Result("set-up, from the local index or the network", took_s, "s"),
    ]


@contextmanager
def _plant(folder: Path) -> Iterator[Path]:
    """Run `gongshu simulate plant` without a broker; yield its folder once it answers."""
    with _running(["simulate", "plant", str(folder), "--no-mqtt"]) as process:
        _wait(process, (folder / "plant.json").is_file)
        yield folder


def _make_node(home: Home, sources_file: Path) -> str:
    """Make a node with one source, the plant's OPC UA server; return a steward's token."""
    home.path.mkdir()
    write_config(home, NodeConfig(party_id="urn:gongshu:party:bench", title="bench (synthetic)", port=0))
    node = open_node(home)
    try:
        node.identity.redeem(node.identity.first_link(), "root", _PASSWORD)
        node.identity.create_account("steward", _PASSWORD, [Role.STEWARD], actor=SubjectId("user:root"))
        machines = next(one for one in read_definitions(sources_file) if one.connector == "opcua")
        node.sources.add(machines, actor=_ACTOR)
        return node.identity.login("steward", _PASSWORD)
    finally:
        node.close()


@contextmanager
def _served(home: Home) -> Iterator[tuple[psutil.Process, float]]:
    """Serve a node; yield its process and the seconds until it answered."""
    began = time.monotonic()
    with _running(["--home", str(home.path), "serve"]) as process:
        address = home.run / "address"
        _wait(process, lambda: address.is_file() and _answers(address.read_text(encoding="utf-8")))
        yield psutil.Process(process.pid), time.monotonic() - began


def _ask(home: Home, token: str) -> list[Any]:
    """Ask through the gate until the collector has brought something, so that a query worker exists."""
    address = (home.run / "address").read_text(encoding="utf-8")
    body = {"sql": "SELECT series, count(*) AS n, max(time) AS last FROM readings GROUP BY series", "purpose": "bench"}
    deadline = time.monotonic() + IDLE_AFTER_S / 2
    while True:
        answer = httpx.post(
            f"{address}/api/v1/sql",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60.0,
            trust_env=False,
        )
        rows = answer.json()["rows"] if answer.is_success else []
        if rows or time.monotonic() > deadline:
            return list(rows)
        time.sleep(1.0)


def _memory_by_process(node: psutil.Process) -> dict[str, float]:
    """PSS of the server and everything below it: shared pages count once, divided among those that share them."""
    sizes_mb: dict[str, float] = {}
    for process in [node, *node.children(recursive=True)]:
        words = process.cmdline()
        name = next((word.rpartition(".")[2] for word in words if word.startswith("gongshu.")), "server")
        sizes_mb[name] = sizes_mb.get(name, 0.0) + process.memory_full_info().pss / 1e6
    return sizes_mb


@contextmanager
def _running(arguments: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run `gongshu` with these arguments in a group of its own; nothing of it is left afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gongshu", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not answer; status {process.poll()}")
        time.sleep(LOOK_EVERY_S)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _disk_mb(folder: Path) -> float:
    """What the folder takes on the disk, as `du` counts it, in MB of `du -sm` (2^20 bytes)."""
    seen = {entry.stat().st_ino: entry.stat() for entry in [folder, *folder.rglob("*")] if not entry.is_symlink()}
    return sum(stat.st_blocks * 512 for stat in seen.values()) / 2**20


def _environment() -> dict[str, str]:
    """Compiled modules are kept between starts, as `make` has it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
