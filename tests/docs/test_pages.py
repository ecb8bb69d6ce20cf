"""The pages made from the code are up to date."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_reference_pages_say_what_the_code_says() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "tools.pages", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr
