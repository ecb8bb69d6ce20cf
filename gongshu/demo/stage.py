"""The processes of the demo: the plant and three nodes, each in a group of its own, all gone when the demo ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gongshu.config import Home, NodeConfig, NodeRole, write_config
from gongshu.demo.errors import DemoFolderUnusable, ProcessFailed

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.05
FREE_SPACE_MIN_BYTES = 300_000_000


@dataclass(slots=True)
class NodeProcess:
    """One node of the demo."""

    name: str
    home: Home
    config: NodeConfig
    first_code: str
    process: "subprocess.Popen[bytes] | None" = None
    address: str = ""


@dataclass(slots=True)
class Stage:
    """Everything the demo starts; `stop` ends it all, also after an error."""

    folder: Path
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    plant: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, NodeProcess] = field(default_factory=dict)

    def require_room(self) -> None:
        """Make the folder and see that it can hold the demo.

        Raises: DemoFolderUnusable.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / ".probe"
            probe.write_bytes(b"x")
            probe.unlink()
            stats = os.statvfs(self.folder)
        except OSError as cause:
            raise DemoFolderUnusable(folder=self.folder, reason=cause.strerror or str(cause)) from cause
        free_bytes = stats.f_bavail * stats.f_frsize
        if any(self.folder.iterdir()):
            raise DemoFolderUnusable(folder=self.folder, reason="it is not empty")
        if free_bytes < FREE_SPACE_MIN_BYTES:
            reason = f"{free_bytes // 1_000_000} MB are free and {FREE_SPACE_MIN_BYTES // 1_000_000} MB are needed"
            raise DemoFolderUnusable(folder=self.folder, reason=reason)

    def start_plant(self, *, seed: int, speed: float) -> None:
        """Start the synthetic plant; `plant_ready` waits for it."""
        folder = self.folder / "plant"
        folder.mkdir()
        command = [sys.executable, "-m", "gongshu.simulate.plant", "--folder", str(folder)]
        self._start("plant", [*command, "--seed", str(seed), "--speed", str(speed)])

    def plant_ready(self) -> None:
        """Wait for the plant and read where it answers.

        Raises: ProcessFailed.
        """
        file = self.folder / "plant" / "plant.json"
        self._wait("plant", file.is_file)
        self.plant = json.loads(file.read_text(encoding="utf-8"))

    def make_node(self, name: str, role: NodeRole, *, title: str, division: str = "C34") -> NodeProcess:
        """Make the home folder, the databases and the one-time code of a node, as `gongshu init` does."""
        from gongshu.node import open_node

        home = Home(self.folder / name)
        home.path.mkdir()
        party_id = f"urn:gongshu:party:demo-{name}"
        config = NodeConfig(party_id=party_id, title=title, role=role, division=division, port=0, commit_every_s=5.0)
        write_config(home, config)
        opened = open_node(home)
        try:
            code = opened.identity.first_link()
        finally:
            opened.close()
        self.nodes[name] = NodeProcess(name, home, config, code)
        return self.nodes[name]

    def start_node(self, node: NodeProcess) -> None:
        """Start the node's server; `node_ready` waits for it."""
        command = [sys.executable, "-m", "gongshu", "--home", str(node.home.path), "serve"]
        node.process = self._start(node.name, command)

    def node_ready(self, node: NodeProcess) -> None:
        """Wait until the node answers.

        Raises: ProcessFailed.
        """
        address = node.home.run / "address"
        self._wait(node.name, lambda: address.is_file() and _answers(address.read_text(encoding="utf-8")))
        node.address = address.read_text(encoding="utf-8")

    def stop(self) -> None:
        """End every process and its children; none is left when this returns."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        log.close()
        self.processes[name] = process
        return process

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        process = self.processes[name]
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not is_ready():
            ended = process.poll()
            if ended is not None or time.monotonic() > deadline:
                log = self.folder / f"{name}.log"
                seen = f"it ended with status {ended}" if ended is not None else "it does not answer"
                raise ProcessFailed(name=name, timeout_s=READY_TIMEOUT_S, seen=f"{seen}: {_last_line(log)}", log=log)
            time.sleep(LOOK_EVERY_S)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
