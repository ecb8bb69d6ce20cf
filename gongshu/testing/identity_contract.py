"""What every scheme of identity between parties has to withstand, asked of it through the door of a node.

An author supplies an IdentityRig: one node that judges, one registered partner that proves itself to it. A clause that
a scheme cannot hold is declared in `gaps`, with the reason; a declared gap that has closed fails.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Protocol

import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities, Proof
from gongshu.testing.contract_base import Gap

BODY = b'{"@type":"ContractRequestMessage"}'
REQUEST = "POST /dsp/2025-1/negotiations/request"
"""What rigs make their proofs for."""
LONG_S = 2 * 3600.0
"""Beyond the life of any proof and any leeway."""
SKEW_S = 30.0
"""Two clocks that differ by so much still understand each other."""
GARBAGE = (
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer a.b.c",
    "Bearer ..",
    "bearer " + "e30." * 2 + "e30",
    "Basic b3BlbjpzZXNhbWU=",
    "{}",
    '{"clientId":"somebody"}',
    "[" * 20_000,
    "Bearer " + "A" * 100_000,
    "Bearer \x00\r\nX-Other: 1",
    "Bearer é.ü.ß",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
)


class IdentityRig(Protocol):
    """What an author supplies: the node that judges and a partner registered there."""

    parties: PartyRegistry
    door: PeerIdentities
    """The node's door, with the scheme under test among its schemes."""
    partner: Party

    def prove(self, body: bytes | None) -> Proof:
        """Return a fresh and sound proof of the partner."""

    def prove_elsewhere(self, body: bytes | None) -> Proof:
        """Return a sound proof that the partner made for another party."""

    def forge(self, body: bytes | None) -> Proof:
        """Return a proof in the partner's name by somebody who has a key, but not the partner's."""

    def forward(self, seconds: float) -> None:
        """Move the judging node's clock, back if negative; the partner's stays."""

    def close(self) -> None:
        """Release what the rig opened."""


class IdentityContract(ABC):
    """Every scheme passes this suite, or says why not in `gaps`."""

    gaps: ClassVar[dict[str, Gap]] = {}

    @abstractmethod
    def make_rig(self, request: pytest.FixtureRequest) -> IdentityRig:
        """Return a fresh rig."""

    @pytest.fixture
    def rig(self, request: pytest.FixtureRequest) -> Iterator[IdentityRig]:
        """The node and its partner."""
        rig = self.make_rig(request)
        yield rig
        rig.close()

    @pytest.fixture(autouse=True)
    def _declared_gap(self, request: pytest.FixtureRequest) -> None:
        if gap := self.gaps.get(request.node.originalname):
            mark = pytest.mark.xfail(strict=True, reason=f"{gap.whose}: {gap.why}", raises=(*_kinds(gap), _NotRefused))
            request.applymarker(mark)

    @pytest.mark.parametrize("body", [None, b"", BODY])
    def test_a_sound_proof_names_the_partner(self, rig: IdentityRig, body: bytes | None) -> None:
        assert rig.door.party_of(rig.prove(body)) == rig.partner.party_id

    def test_a_proof_works_once(self, rig: IdentityRig) -> None:
        proof = rig.prove(BODY)
        rig.door.party_of(proof)
        refused(rig, proof)

    def test_a_proof_for_another_party_is_refused(self, rig: IdentityRig) -> None:
        refused(rig, rig.prove_elsewhere(BODY))

    def test_a_proof_by_another_key_is_refused(self, rig: IdentityRig) -> None:
        refused(rig, rig.forge(BODY))

    def test_an_old_proof_is_refused(self, rig: IdentityRig) -> None:
        proof = rig.prove(BODY)
        rig.forward(LONG_S)
        refused(rig, proof)

    def test_a_proof_from_the_future_is_refused(self, rig: IdentityRig) -> None:
        proof = rig.prove(BODY)
        rig.forward(-LONG_S)
        refused(rig, proof)

    @pytest.mark.parametrize("skew_s", [SKEW_S, -SKEW_S])
    def test_half_a_minute_between_two_clocks_is_borne(self, rig: IdentityRig, skew_s: float) -> None:
        rig.forward(skew_s)
        assert rig.door.party_of(rig.prove(BODY)) == rig.partner.party_id

    @pytest.mark.parametrize("other", [b"", BODY + b" ", b"{}"])
    def test_a_proof_counts_for_its_own_body_only(self, rig: IdentityRig, other: bytes) -> None:
        refused(rig, replace(rig.prove(BODY), body=other))

    @pytest.mark.parametrize(
        "other", ["", "GET" + REQUEST[4:], REQUEST + "?after=1", REQUEST[:-1], "POST /dsp/2025-1/transfers/request"]
    )
    def test_a_proof_counts_for_its_own_request_only(self, rig: IdentityRig, other: str) -> None:
        refused(rig, replace(rig.prove(BODY), request=other))

    def test_a_proxy_may_take_the_path_of_our_address_away(self, rig: IdentityRig) -> None:
        path = REQUEST.removeprefix("POST /dsp")
        assert rig.door.party_of(replace(rig.prove(BODY), request=f"POST {path}", below="/dsp")) == rig.partner.party_id

    def test_a_proof_of_a_question_sends_no_message(self, rig: IdentityRig) -> None:
        refused(rig, replace(rig.prove(None), body=BODY))

    @pytest.mark.parametrize("header", GARBAGE, ids=range(len(GARBAGE)))
    def test_garbage_in_the_header_is_refused(self, rig: IdentityRig, header: str) -> None:
        refused(rig, Proof(header, BODY))

    @pytest.mark.parametrize("certificate", [b"", b"\x30", b"\x30\x82\xff\xff", b"\x00" * 1000])
    def test_garbage_for_a_certificate_is_refused(self, rig: IdentityRig, certificate: bytes) -> None:
        refused(rig, Proof("", BODY, certificate))

    def test_a_cut_or_changed_header_is_refused(self, rig: IdentityRig) -> None:
        whole = rig.prove(BODY)
        size = len(whole.authorization)
        for at in range(0, size, max(1, size // 40)):
            refused(rig, replace(whole, authorization=whole.authorization[:at]))
            # The digit after next: neighbours may differ in bits that base64 drops at the end of a part.
            other = "A" if whole.authorization[at] not in "AB" else "x"
            refused(rig, replace(whole, authorization=whole.authorization[:at] + other + whole.authorization[at + 1 :]))

    def test_a_party_of_another_scheme_is_not_taken_by_this_one(self, rig: IdentityRig) -> None:
        rig.parties.replace(replace(rig.partner, identity="another-scheme"))
        refused(rig, rig.prove(BODY))

    def test_a_party_that_was_removed_is_refused(self, rig: IdentityRig) -> None:
        proof = rig.prove(BODY)
        rig.parties.remove(rig.partner.party_id)
        refused(rig, proof)

    def test_a_party_that_was_never_registered_is_refused(self, rig: IdentityRig) -> None:
        proof = rig.prove(BODY)
        rig.parties.remove(rig.partner.party_id)
        rig.parties.add(replace(rig.partner, party_id=PartyId("urn:gongshu:party:somebody-else"), certificate=""))
        refused(rig, proof)

    def test_our_own_proofs_are_headers(self, rig: IdentityRig) -> None:
        for name, value in rig.door.headers_for(rig.partner.party_id, BODY, REQUEST).items():
            assert name.isascii(), "a header's name"
            assert value.isascii(), "a header's value"
            assert value.isprintable(), "a header has one line"


class _NotRefused(Exception):
    """A proof was taken that should not be."""


def refused(rig: IdentityRig, proof: Proof) -> None:
    """Require that the door refuses this proof, by its own error and no other."""
    with suppress(PeerTokenRejected):
        raise _NotRefused(rig.door.party_of(proof))


def _kinds(gap: Gap) -> tuple[type[BaseException], ...]:
    return gap.raises if isinstance(gap.raises, tuple) else (gap.raises,)
