"""The writer as a process: pace, SIGTERM, one at a time, one word when something is lost and one when it is back."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from gongshu.config import Home, NodeConfig, write_config
from gongshu.lake import Lake
from gongshu.lake.writer import Pace, Writer, main
from tests.unit.lake.made import readings

pytestmark = pytest.mark.disk

COMMIT_ROWS = 1000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    config = NodeConfig(party_id="urn:gongshu:party:a", title="a", commit_every_s=3600.0, commit_rows=COMMIT_ROWS)
    write_config(home, config)
    return home


@pytest.fixture
def lake(home: Home) -> Iterator[Lake]:
    lake = Lake.open(log_file=home.log_file, warehouse=home.path / "lake")
    yield lake
    lake.close()


def _start(home: Home) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gongshu.lake.writer", "--home", str(home.path)], stderr=subprocess.PIPE, text=True
    )


def _wait(condition: object, *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_enough_rows_are_committed_at_once_and_fewer_when_it_is_told_to_stop(home: Home, lake: Lake) -> None:
    writer = _start(home)
    try:
        lake.append_readings(readings([1] * COMMIT_ROWS))
        _wait(lambda: lake.status().pending_rows == 0)
        lake.append_readings(readings([1] * 10))
        time.sleep(1.0)
        assert lake.status().pending_rows == 10
        writer.send_signal(signal.SIGTERM)
        assert writer.wait(60) == 0
    finally:
        writer.kill()
        _, told = writer.communicate()
    status = lake.status()
    assert (status.pending_rows, status.rows_total, status.files) == (0, COMMIT_ROWS + 10, 2)
    assert told == "", "normal work logs nothing"


def test_a_second_writer_ends_with_one_clear_line(home: Home, lake: Lake) -> None:
    lake.append_readings(readings([1] * COMMIT_ROWS))
    lake.commit()
    lake.append_readings(readings([1] * COMMIT_ROWS))
    second = _start(home)
    try:
        assert second.stderr is not None
        told = second.stderr.readline()
    finally:
        second.terminate()
        second.communicate()
    assert "already has a writer" in told
    assert lake.status().pending_rows == COMMIT_ROWS


def test_no_node_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gongshu.lake.writer", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search("gongshu .*init", done.stderr)


def test_an_idle_writer_is_small(home: Home, lake: Lake) -> None:
    lake.append_readings(readings([1]))
    writer = _start(home)
    try:
        time.sleep(3.0)
        before_mb = psutil.Process(writer.pid).memory_full_info().pss / 1e6
        assert before_mb < 90
    finally:
        writer.terminate()
        writer.communicate()


class Failing:
    """A lake whose commit fails until it is mended; only what the writer calls."""

    def __init__(self) -> None:
        self.broken = True
        self.attempts = 0
        self.commits = 0

    def pending(self) -> int:
        return 0 if self.commits else 1

    def has_readings(self) -> bool:
        return False

    def commit(self, *, rows_max: int) -> None:
        self.attempts += 1
        if self.broken:
            raise OSError(28, "No space left on device")
        self.commits += 1


def test_trouble_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    lake, stop = Failing(), threading.Event()
    pace = Pace(commit_rows=1, commit_every_s=0.01)
    writer = Writer(lake, pace, clock=lambda: datetime.now(UTC), stop=stop, pause_s=0.01)  # type: ignore[arg-type]
    thread = threading.Thread(target=writer.run)
    thread.start()
    _wait(lambda: lake.attempts >= 3)
    lake.broken = False
    _wait(lambda: lake.commits > 0)
    stop.set()
    thread.join()
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "cannot move readings" in text and "No space left" in text]) == 1
    assert len([text for text in told if "works again" in text]) == 1


def test_help_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--home" in capsys.readouterr().out
