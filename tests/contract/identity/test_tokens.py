from pathlib import Path

import pytest

from gongshu.testing.identity_contract import IdentityContract, IdentityRig
from tests.contract.identity.rigs import TokenRig


class TestSignedTokens(IdentityContract):
    def make_rig(self, request: pytest.FixtureRequest) -> IdentityRig:
        folder: Path = request.getfixturevalue("tmp_path")
        return TokenRig(folder)
