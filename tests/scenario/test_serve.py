"""A node as its operator meets it: it starts, says where it answers, stops with its children, and refuses clearly."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from gongshu.config import Home, NodeConfig, write_config
from gongshu.main import _listen
from gongshu.node import open_node
from gongshu.share.dsp.routes import FIRST, NEXT
from tests.metadata import new_home

pytestmark = pytest.mark.disk

CONFIG = NodeConfig(party_id="urn:gongshu:party:test", title="测试厂 (synthetic)", port=0)


def run(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gongshu", "--home", str(home), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def init(home: Path) -> str:
    made = run(home, "init", "--party", CONFIG.party_id, "--title", CONFIG.title, "--port", "0")
    assert made.returncode == 0, made.stderr
    return made.stdout.split("code=")[1].strip()


def serve(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "gongshu", "--home", str(home), "serve"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def address_of(home: Path, server: "subprocess.Popen[str]") -> str:
    file = Home(home).run / "address"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.poll() is None, server.communicate()
        if file.is_file():
            address = file.read_text(encoding="utf-8")
            try:
                httpx.get(f"{address}/healthz", timeout=5.0, trust_env=False)
            except httpx.HTTPError:
                pass
            else:
                return address
        time.sleep(0.05)
    raise AssertionError("the node does not answer")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "node"


@pytest.fixture
def made(home: Path) -> Path:
    """A node's home as `gongshu init` leaves it."""
    return new_home(home, CONFIG).path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """The address, the one-time code and the home of a node that runs."""
    home = tmp_path_factory.mktemp("running") / "node"
    code = init(home)
    server = serve(home)
    try:
        yield address_of(home, server), code, home
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)


def test_a_new_node_has_no_password_and_makes_its_first_account_once(
    running: tuple[str, str, Path],
) -> None:
    address, code, _ = running
    with httpx.Client(base_url=address, trust_env=False) as http:
        assert http.get("/api/v1/catalogue/datasets").status_code == 401
        assert http.post("/api/v1/login", json={"name": "admin", "password": "admin"}).status_code == 401
        first = {"code": code, "name": "root-admin", "password": "Seven-quiet-gears"}
        assert http.post("/api/v1/first-account", json=first).status_code == 201
        again = http.post("/api/v1/first-account", json=first | {"name": "other"})
        assert (again.status_code, again.json()["code"]) == (401, "secure.code_rejected")
        login = http.post("/api/v1/login", json={"name": "root-admin", "password": "Seven-quiet-gears"})
        token = {"Authorization": f"Bearer {login.json()['token']}"}
        assert http.get("/api/v1/me", headers=token).json()["roles"] == ["system_admin"]
        bad = http.post("/api/v1/login", json={"nom": "x"})
        assert (bad.status_code, bad.json()["code"]) == (422, "request.invalid")


def test_a_message_is_answered_as_everything_is(running: tuple[str, str, Path]) -> None:
    address = f"{running[0]}/dsp/2025-1"
    with httpx.Client(trust_env=False) as http:
        refused = http.post(f"{address}/negotiations/urn%3Auuid%3A1/events", content=b"{}")
        assert (refused.status_code, refused.json()["providerPid"]) == (404, "urn:uuid:1")
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in refused.headers["content-security-policy"]
        assert http.get(f"{address}/negotiations/urn%3Auuid%3A1/events").status_code == 405
        assert http.post(f"{address}/negotiations/urn%3Auuid%3A1/elsewhere").status_code == 404
        described = http.get(f"{running[0]}/openapi.json").json()["paths"]
        assert {f"/dsp/2025-1{path}" for path in (*FIRST, *NEXT)} <= described.keys()


def test_stopping_the_node_stops_its_children(made: Path) -> None:
    ours, given = max(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    write_config(Home(made), CONFIG.model_copy(update={"cpu_affinity": str(ours)}))
    server = serve(made)
    address = address_of(made, server)
    for nothing in ("api/v1/nothing", "dsp/nothing", "nothing"):
        answer = httpx.get(f"{address}/{nothing}", timeout=30.0, trust_env=False)
        assert (answer.status_code, "text/html" in answer.headers["content-type"]) == (404, nothing == "nothing")
    with socket.create_connection((CONFIG.host, httpx.URL(address).port or 0)) as other:
        other.sendall(b"no HTTP\r\n\r\n")
        assert other.recv(12) == b"HTTP/1.1 400"
    children = psutil.Process(server.pid).children(recursive=True)
    (writer,) = [child for child in children if "gongshu.lake.writer" in " ".join(child.cmdline())]
    assert (os.sched_getaffinity(server.pid), os.sched_getaffinity(writer.pid)) == ({ours}, given)
    server.send_signal(signal.SIGTERM)
    _, error = server.communicate(timeout=30)
    assert "Traceback" not in error
    assert not re.search("nothing|HTTP", error), "who asks for what is not there, or in no HTTP, could fill the log"
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not (Home(made).run / "address").exists()


def test_killing_the_node_ends_its_children(made: Path) -> None:
    server = serve(made)
    address_of(made, server)
    children = psutil.Process(server.pid).children(recursive=True)
    os.kill(server.pid, signal.SIGKILL)
    server.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def test_a_port_in_use_is_one_clear_line(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        new_home(home, CONFIG.model_copy(update={"port": other.getsockname()[1]}))
        refused = run(home, "serve")
    assert refused.returncode == 1
    assert "[serve.port_taken]" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_answer_waits_for_no_acknowledgement(made: Path) -> None:
    asked: list[int] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def call(listener: socket.socket) -> None:
        async with await asyncio.start_server(answer, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()

    with closing(open_node(Home(made))) as node:
        asyncio.run(call(_listen(node, Home(made))))
    assert asked
    assert all(asked)


def test_one_home_is_served_by_one_process(running: tuple[str, str, Path]) -> None:
    address, _, home = running
    second = run(home, "serve")
    assert second.returncode == 1
    assert "[serve.already_running]" in second.stderr
    assert (Home(home).run / "address").read_text(encoding="utf-8") == address


def test_a_missing_or_broken_configuration_is_one_clear_line(home: Path) -> None:
    assert "[config.missing]" in run(home, "serve").stderr
    new_home(home, CONFIG)
    (home / "gongshu.toml").write_text("port = 'x'\n", encoding="utf-8")
    broken = run(home, "status")
    assert broken.returncode == 1
    assert "[config.invalid]" in broken.stderr
    assert "port" in broken.stderr
    again = run(home, "init", "--party", "urn:gongshu:party:test", "--title", "x")
    assert "[init.node_exists]" in again.stderr


def test_the_page_of_interfaces_needs_no_other_server(running: tuple[str, str, Path]) -> None:
    address, _, _ = running
    with httpx.Client(base_url=address, trust_env=False) as http:
        page = http.get("/docs").text
        named = re.findall(r'(?:src|href|url)["\']?\s*[=:]\s*["\']([^"\']+)', page)
        assert named
        assert all(name.startswith("/") for name in named), named
        assert all(http.get(name).status_code == 200 for name in named), named
