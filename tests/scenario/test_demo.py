"""The main job from end to end, as a newcomer starts it: one command, ten steps, nothing left running."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.disk

STEPS = ["collect", "store", "catalogue", "grade", "quality", "gate", "share", "apply", "report", "audit"]


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "gongshu", "demo", "--folder", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_running(folder: Path) -> list[str]:
    """Return the command lines that still name the demo's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line and "pytest" not in line:
            found.append(line)
    return found


@pytest.mark.timeout(400)
def test_the_ten_steps_hold_and_nothing_is_left_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = start(folder, "--exit", "--format", "json", "--seconds", "8")
    out, progress = demo.communicate(timeout=380)
    steps = json.loads(out)["steps"]
    assert [step["name"] for step in steps] == STEPS
    assert [step for step in steps if not step["ok"]] == []
    assert all("refused: " in step["evidence"] and step["seconds"] >= 0 for step in steps)
    assert demo.returncode == 0, progress
    assert out.count("\n") == 1
    assert left_running(folder) == []


@pytest.mark.timeout(240)
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = start(folder, "--seconds", "60")
    deadline = time.monotonic() + 150
    while not (folder / "enterprise" / "run" / "address").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=60)
    assert left_running(folder) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("not a folder", encoding="utf-8")
    demo = start(folder / "demo", "--exit")
    out, error = demo.communicate(timeout=60)
    assert (demo.returncode, out) == (1, "")
    assert "[demo.folder_unusable]" in error
    assert "Traceback" not in error


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    (folder / "plant").mkdir(parents=True)
    (folder / "plant" / "mine.txt").write_text("keep", encoding="utf-8")
    demo = start(folder, "--exit")
    _, error = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "[demo.folder_unusable]" in error
    assert (folder / "plant" / "mine.txt").read_text(encoding="utf-8") == "keep"
