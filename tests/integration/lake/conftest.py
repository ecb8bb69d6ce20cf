"""A lake in a fresh folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gongshu.lake import Lake


@pytest.fixture
def open_lake(tmp_path: Path) -> Iterator[Callable[..., Lake]]:
    """Open the same lake as often as the test likes, as several processes would."""
    opened: list[Lake] = []

    def open_one(**settings: float) -> Lake:
        lake = Lake.open(log_file=tmp_path / "log.db", warehouse=tmp_path / "lake", **settings)  # type: ignore[arg-type]
        opened.append(lake)
        return lake

    yield open_one
    for lake in opened:
        lake.close()


@pytest.fixture
def lake(open_lake: Callable[..., Lake]) -> Lake:
    return open_lake()
