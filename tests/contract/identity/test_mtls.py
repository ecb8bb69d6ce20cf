from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from gongshu.secure.peer_identity import Proof
from gongshu.secure.peer_mtls import MutualTls, MutualTlsWithTokens
from gongshu.testing.contract_base import Gap
from gongshu.testing.identity_contract import IdentityContract, IdentityRig
from tests.contract.identity.rigs import TokenRig
from tests.integration.share.certificates import issue

HOUR = timedelta(hours=1)
IN_TLS = Gap(
    "never", "what TLS carries cannot be repeated, redirected or changed, so the certificate alone is the proof"
)


class CertificateRig(TokenRig):
    """A partner with a registered certificate that lives for an hour."""

    def __init__(self, folder: Path, identity: str) -> None:
        super().__init__(folder)
        now = self._clock()
        self._shown = issue("shop", begins=-HOUR, ends=HOUR, now=now)
        self._stolen_name = issue("shop", begins=-HOUR, ends=HOUR, now=now)
        self.partner = self._far.record(identity, self._shown.pem)
        self.parties.replace(self.partner)
        alone = MutualTls(self.parties, [], self._clock)
        both = MutualTlsWithTokens(self.parties, [], self._clock, self._node.tokens)
        self.door = self._node.door([self._node.tokens, alone, both])
        self._is_alone = identity == "mtls"

    def prove(self, body: bytes | None) -> Proof:
        return self._with(super().prove(body), self._shown.der)

    def prove_elsewhere(self, body: bytes | None) -> Proof:
        return self._with(super().prove_elsewhere(body), self._shown.der)

    def forge(self, body: bytes | None) -> Proof:
        return self._with(super().prove(body), self._stolen_name.der)

    def _with(self, proof: Proof, certificate: bytes) -> Proof:
        return replace(
            proof, authorization="" if self._is_alone else proof.authorization, client_certificate=certificate
        )


class TestMutualTls(IdentityContract):
    gaps: ClassVar[dict[str, Gap]] = {
        "test_a_proof_works_once": IN_TLS,
        "test_a_proof_for_another_party_is_refused": IN_TLS,
        "test_a_proof_counts_for_its_own_body_only": IN_TLS,
        "test_a_proof_counts_for_its_own_request_only": IN_TLS,
        "test_a_proof_of_a_question_sends_no_message": IN_TLS,
    }

    def make_rig(self, request: pytest.FixtureRequest) -> IdentityRig:
        folder: Path = request.getfixturevalue("tmp_path")
        return CertificateRig(folder, "mtls")


class TestMutualTlsWithTokens(IdentityContract):
    def make_rig(self, request: pytest.FixtureRequest) -> IdentityRig:
        folder: Path = request.getfixturevalue("tmp_path")
        return CertificateRig(folder, "mtls+gongshu")


def test_half_of_the_proof_is_refused(tmp_path: Path) -> None:
    from gongshu.secure.errors import PeerTokenRejected

    rig = CertificateRig(tmp_path, "mtls+gongshu")
    whole = rig.prove(b"{}")
    for half in (replace(whole, client_certificate=None), replace(whole, authorization="")):
        with pytest.raises(PeerTokenRejected):
            rig.door.party_of(half)
    rig.close()
