from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.identity.claims import ClaimsRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ClaimsRig]:
    rig = ClaimsRig(tmp_path)
    yield rig
    rig.close()
