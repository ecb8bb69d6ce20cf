from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.errors import IdentitySchemeUnknown, PartyUnknown, PeerTokenRejected
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_identity import AUTHORIZATION_SIZE_MAX, PeerIdentities, Proof, installed_schemes
from tests.unit.secure.conftest import OWN

PARTNER = PartyId("urn:gongshu:party:partner")


@dataclass(frozen=True)
class Badge:
    """A scheme that believes what its header says, as a stranger's mock does."""

    name: str = "badge"
    prefix: str = "Badge "

    def headers_for(self, party: Party, body: bytes | None, request: str) -> Mapping[str, str]:
        return {"Authorization": f"{self.prefix}{OWN}", "X-For": party.party_id, "X-Size": str(len(body or b""))}

    def party_of(self, proof: Proof) -> PartyId | None:
        if not proof.authorization.startswith(self.prefix):
            return None
        return PartyId(proof.authorization.removeprefix(self.prefix))


@pytest.fixture
def badge_party(parties: PartyRegistry) -> Party:
    return parties.add(Party(PARTNER, "Partner", "", "https://partner.example", identity="badge"))


def door(parties: PartyRegistry, *schemes: Badge) -> PeerIdentities:
    return PeerIdentities(parties, schemes or (Badge(),), own_party_id=OWN)


def test_a_scheme_of_a_stranger_is_asked(parties: PartyRegistry, badge_party: Party) -> None:
    opened = door(parties)
    assert opened.party_of(Proof(f"Badge {PARTNER}", None)) == PARTNER
    assert opened.headers_for(PARTNER, b"abc", "POST /")["X-Size"] == "3"


def test_a_party_is_taken_by_its_own_scheme_only(parties: PartyRegistry, badge_party: Party) -> None:
    opened = door(parties, Badge(name="weaker", prefix="Weak "), Badge())
    with pytest.raises(PeerTokenRejected, match="another scheme"):
        opened.party_of(Proof(f"Weak {PARTNER}", None))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (f"Badge {OWN}", "this organisation itself"),
        ("Badge urn:gongshu:party:nobody", "not registered"),
        ("Badge ", "not registered"),
        ("", "form"),
        ("Bearer x", "form"),
        ("Badge " + "x" * AUTHORIZATION_SIZE_MAX, "too long"),
    ],
)
def test_who_is_not_registered_is_refused_whatever_a_scheme_says(
    parties: PartyRegistry, badge_party: Party, header: str, reason: str
) -> None:
    with pytest.raises(PeerTokenRejected, match=reason):
        door(parties).party_of(Proof(header, None))


def test_a_scheme_that_is_not_installed_is_named(parties: PartyRegistry, badge_party: Party) -> None:
    parties.replace(replace(badge_party, identity="mtls"))
    with pytest.raises(IdentitySchemeUnknown, match="it has: badge"):
        door(parties).headers_for(PARTNER, None, "GET /")
    with pytest.raises(PartyUnknown):
        door(parties).headers_for(PartyId("urn:gongshu:party:nobody"), None, "GET /")


def test_two_schemes_of_one_name_are_refused(parties: PartyRegistry) -> None:
    with pytest.raises(RuntimeError, match="one name"):
        door(parties, Badge(), Badge())


def test_a_party_without_a_key_has_no_fingerprint(parties: PartyRegistry, badge_party: Party, keys: KeyStore) -> None:
    assert badge_party.fingerprint == ""
    assert replace(badge_party, public_key_pem=keys.public_key_pem()).fingerprint == keys.fingerprint()


def test_ours_come_through_the_same_door_as_strangers() -> None:
    assert "gongshu" in {spec.name for spec in installed_schemes()}


@pytest.mark.parametrize("part", [{"path": "/dsp/\0"}, {"query_string": b"after=%00"}])
def test_an_address_that_no_database_could_be_asked_about_proves_nobody(
    parties: PartyRegistry, part: dict[str, object]
) -> None:
    scope = {"method": "GET", "path": "/dsp", "headers": [], "query_string": b""}
    assert door(parties).proof_of(scope, None).request == "GET /dsp"
    with pytest.raises(PeerTokenRejected, match="NUL"):
        door(parties).proof_of({**scope, **part}, None)


def test_of_several_authorization_headers_none_counts(parties: PartyRegistry) -> None:
    scope = {"method": "GET", "path": "/dsp", "headers": [(b"authorization", b"a")], "query_string": b"x=1"}
    shown = door(parties).proof_of(scope, None)
    assert (shown.authorization, shown.request) == ("a", "GET /dsp?x=1")
    assert door(parties).proof_of({**scope, "headers": [(b"authorization", b"a")] * 2}, None).authorization == ""
