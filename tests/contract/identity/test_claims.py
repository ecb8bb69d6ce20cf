from pathlib import Path
from typing import ClassVar

import pytest

from gongshu.testing.contract_base import Gap
from gongshu.testing.identity_contract import IdentityContract, IdentityRig
from tests.contract.identity.claims import ClaimsRig


class TestDecentralizedClaims(IdentityContract):
    gaps: ClassVar[dict[str, Gap]] = {
        "test_a_proof_of_a_question_sends_no_message": Gap(
            "upstream", "DCP binds no body; only a peer that runs this software says which body it meant"
        )
    }

    def make_rig(self, request: pytest.FixtureRequest) -> IdentityRig:
        folder: Path = request.getfixturevalue("tmp_path")
        return ClaimsRig(folder)
