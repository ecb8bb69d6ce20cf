"""One node with data, served as a process of its own for the whole folder, and a browser to look at it."""

import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from gongshu.config import NodeConfig
from gongshu.gather.model import Desired, SourceDefinition
from gongshu.model.access import Role
from gongshu.model.grade import Grade, Importance
from gongshu.model.ids import AssetId, DatasetId, SourceId, SubjectId
from gongshu.model.reading import READING_SCHEMA, ValueType
from gongshu.model.series import SeriesSighting
from gongshu.node import Node, open_node
from tests.integration.console.partnership import live
from tests.metadata import new_home

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
PASSWORD = "Wolframit-2026"
PEOPLE = {
    "li": [Role.STEWARD, Role.ENGINEER, Role.PRODUCT_OWNER, Role.ANALYST],
    "root": [Role.SYSTEM_ADMIN],
    "zhao": [Role.SECURITY_ADMIN],
    "wang": [Role.AUDIT_ADMIN],
    "chen": [Role.VIEWER],
}
MACHINES = ("plant-1/line-1/mill-01", "plant-1/line-1/mill-02")
SERIES = {
    "state": (ValueType.INT64, "", "设备状态"),
    "part_count": (ValueType.INT64, "{piece}", "加工件数"),
    "reject_count": (ValueType.INT64, "{piece}", "不合格件数"),
    "ideal_cycle": (ValueType.FLOAT64, "s", "理想节拍"),
    "spindle_load": (ValueType.FLOAT64, "%", "主轴负载"),
}


@pytest.fixture(scope="package")
def node_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node with two machines, a table, an unreachable partner and five accounts."""
    config = NodeConfig(party_id="urn:gongshu:party:mill", title="测试机加工厂 (synthetic)", port=0)
    home = new_home(tmp_path_factory.mktemp("console") / "node", config)
    node = open_node(home)
    _fill(node, tmp_path_factory.mktemp("partner") / "node")
    node.close()
    command = [sys.executable, "-m", "gongshu", "--home", str(home.path), "serve"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _wait_for_address(server, home.run / "address")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window; gone with its module, for Playwright keeps an event loop running in this thread."""
    if not CHROMIUM:
        pytest.skip("needs Chromium, for instance the Debian package `chromium`")
    playwright = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@cache
def _token(address: str, name: str) -> str:
    """Sign in once a person: each sign-in costs the time that slows a guesser down."""
    form = {"name": name, "password": PASSWORD}
    answer = httpx.post(address + "/session", data=form, trust_env=False, follow_redirects=False, timeout=60)
    return answer.cookies["gongshu_session"]


class Visit:
    """A person's browser window, which remembers what went wrong in it."""

    def __init__(self, context: Any, address: str, name: str) -> None:
        self.address = address
        self.name = name
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._require_own)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        self.page.goto(self.address + "/sign-in")
        self.page.fill("input[name=name]", name)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda url: "sign-in" not in url or "error=" in url)

    def open(self, path: str) -> Any:
        self.page.goto(self.address + path)
        self.page.wait_for_selector("h1, .gs-notice")
        self.page.wait_for_function("window.did_handshake !== false")
        return self.page

    def alert(self) -> str:
        """The text of the notice that the page shows."""
        return str(self.page.locator(".gs-notice").first.inner_text())

    def coming_alert(self) -> str:
        """The text of the notice that the page will show; if it shows none, the failure says what it shows instead."""
        try:
            self.page.wait_for_selector(".gs-notice", timeout=30_000)
        except Exception as late:
            says = self.page.locator("body").inner_text()
            raise AssertionError(f"no notice at {self.page.url}, with {self.faults}; it says:\n{says}") from late
        return self.alert()

    def leave(self) -> None:
        """Go to an empty page, forget what went wrong and, if nobody was signed in at first, who is now."""
        self.page.goto("about:blank")
        if not self.name:
            self.page.context.clear_cookies(name="gongshu_session")
        self.faults.clear()

    def close(self) -> None:
        self.page.context.close()

    def _require_own(self, request: Any) -> None:
        if not request.url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.faults.append(f"asked another origin: {request.url}")


@pytest.fixture(scope="module")
def new_window(browser: Any, node_address: str) -> Callable[..., Visit]:
    """Open a window as a person (none: nobody is signed in)."""

    def make(name: str, language: str, width: int) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, timezone_id="Asia/Shanghai")
        context.add_cookies([{"name": "gongshu_language", "value": language, "url": node_address}])
        if name:
            cookie = {"name": "gongshu_session", "value": _token(node_address, name), "url": node_address}
            context.add_cookies([cookie | {"httpOnly": True, "sameSite": "Strict"}])
        return Visit(context, node_address, name)

    return make


@pytest.fixture(scope="module")
def kept_window(new_window: Callable[..., Visit]) -> Callable[..., Visit]:
    """Return a person's window; the same one for each test, for a new one loads and compiles every script anew."""
    return cache(new_window)


@pytest.fixture
def visit(new_window: Callable[..., Visit], kept_window: Callable[..., Visit]) -> Iterator[Callable[..., Visit]]:
    """Open a window as a person (none: nobody is signed in); if it is `own`, one that no other test sees."""
    own_windows: list[Visit] = []
    kept_windows: list[Visit] = []

    def make(name: str = "li", language: str = "zh", width: int = 1440, *, own: bool = False) -> Visit:
        windows, opening = (own_windows, new_window) if own else (kept_windows, kept_window)
        windows.append(opening(name, language, width))
        return windows[-1]

    yield make
    for window in own_windows:
        window.close()
    for window in kept_windows:
        window.leave()


def _wait_for_address(server: subprocess.Popen[bytes], file: Path) -> str:
    deadline = time.monotonic() + 60
    while not file.is_file():
        assert server.poll() is None, "the node ended"
        assert time.monotonic() < deadline, "the node does not answer"
        time.sleep(0.1)
    return file.read_text(encoding="utf-8").strip()


def _fill(node: Node, partner: Path) -> None:
    for name, roles in PEOPLE.items():
        node.identity.create_account(name, PASSWORD, roles, "system:test")
    node.sources.add(
        SourceDefinition(
            SourceId("line-1"),
            "opcua",
            AssetId("plant-1/line-1"),
            {"url": "opc.tcp://127.0.0.1:9", "anonymous": True, "security": "none"},
            title="一号线",
            desired=Desired.STOPPED,
        )
    )
    _write_readings(node)
    orders = {"order_no": ["A-1", "A-2"], "customer": ["客户甲", "客户乙"], "unit_price_cny": [120.5, 99.0]}
    node.store.write("orders", pa.table(orders), title="销售订单", origin="import:orders.xlsx")
    node.catalogue.confirm(
        DatasetId("plant_1_line_1_mill_01"),
        grade=Grade.TWO,
        importance=Importance.GENERAL,
        category="production.working_condition",
        actor=SubjectId("user:li"),
        reason="test",
    )
    live(node, partner)


def _write_readings(node: Node) -> None:
    sightings = [
        SeriesSighting(
            SourceId("line-1"), f"{machine}/{name}", AssetId(machine), name, kind, unit, title, protocol="opcua"
        )
        for machine in MACHINES
        for name, (kind, unit, title) in SERIES.items()
    ]
    ids = node.catalogue.register_series(sightings)
    start = datetime.now(UTC) - timedelta(minutes=20)
    rows = []
    for sighting in sightings:
        series_id = ids[sighting.source_id, sighting.address]
        for step in range(0, 1200, 5):
            at, double, integer = start + timedelta(seconds=step), None, None
            if sighting.name == "spindle_load":
                double = 50 + 30 * math.sin(step / 60)
            elif sighting.name == "ideal_cycle":
                double = 40.0
            elif sighting.name == "state":
                integer = 3 if step % 300 < 240 else 5
            else:
                integer = step // 60 if sighting.name == "part_count" else step // 600
            rows.append((series_id, at, True, at, double, integer, None, 0))
    columns = [
        pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), READING_SCHEMA, strict=True)
    ]
    node.lake.append_readings(pa.table(columns, schema=READING_SCHEMA), producer="test", sequence=1)
