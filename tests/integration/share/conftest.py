"""Two nodes for the tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.share.site import Site, two_sites


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    with two_sites(tmp_path) as sites:
        yield sites
