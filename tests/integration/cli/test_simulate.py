"""The synthetic plant from the command line: it ends when it is told to, also while it still connects."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil


def test_a_plant_that_is_stopped_at_once_ends_with_its_broker(tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / f"plant-{number}"
        command = [sys.executable, "-m", "gongshu", "simulate", "plant", str(folder), "--speed", "30"]
        plant = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 90
            while not (folder / "plant.json").is_file():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            children = psutil.Process(plant.pid).children(recursive=True)
            plant.send_signal(signal.SIGTERM)
            assert plant.wait(timeout=30) == 0
            _, alive = psutil.wait_procs(children, timeout=30)
            assert alive == []
        finally:
            if plant.poll() is None:
                plant.kill()
                plant.wait()
