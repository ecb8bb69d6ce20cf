"""What every test may use: a fresh metadata database and a clock that the test moves."""

import gc
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from gongshu.database import Database
from gongshu.garbage import search_rarely
from tests.dealing import Dealer, is_dealt_whole, scope_of
from tests.metadata import new_database

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
"""A property is judged by what it finds, never by how busy the machine is."""


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
        self.ran_s = 0.0

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        """The seconds for which the machine has run: time that passes counts, a clock that is set does not."""
        return self.ran_s

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)
        self.ran_s += max(0.0, timedelta(**delta).total_seconds())


@pytest.fixture
def clock() -> Clock:
    return Clock()


MEMORY_DISK = Path("/dev/shm")
MEMORY_DISK_ROOM_BYTES = 4 * 2**30


def pytest_configure() -> None:
    """Keep the tests' files in memory where there is room: waiting for a disk costs a third of the time."""
    gc.disable()
    _read_authorities_once()
    if MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free > MEMORY_DISK_ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_DISK))


def _read_authorities_once() -> None:
    """Let clients that name no trust of their own share one: each reads all authorities, a fiftieth of a second."""
    transports: Any = import_module("httpx._transports.default")
    make = transports.create_ssl_context
    usual = cache(lambda trust_env: make(trust_env=trust_env))

    def share(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        return usual(trust_env) if verify is True and cert is None else make(verify, cert, trust_env)

    transports.create_ssl_context = share


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own; on a disk for a test with the mark `disk`."""
    if request.node.get_closest_marker("disk") is None:
        yield tmp_path
        return
    with TemporaryDirectory(prefix="gongshu-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite metadata database at the newest revision."""
    database = new_database(tmp_path / "metadata.db")
    yield database
    database.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules that are dealt out whole first, those with most tests at the head; the order was shuffled before."""
    tests = Counter(scope_of(item.nodeid) for item in items)
    items.sort(key=lambda item: (not is_dealt_whole(item.nodeid), -tests[scope_of(item.nodeid)]))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the search for garbage pass over all that was imported and collected: it was a sixth of the tests' work."""
    gc.freeze()
    search_rarely()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Deal tests out by our rule, unless the command line names another one."""
    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return Dealer(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where everything is installed, a skipped test is a failure: name each one."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("GONGSHU_NOTHING_SKIPPED") and skipped:
        terminalreporter.section("skipped, but nothing may be skipped here")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a run with skipped tests into a failed one where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("GONGSHU_NOTHING_SKIPPED") and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
