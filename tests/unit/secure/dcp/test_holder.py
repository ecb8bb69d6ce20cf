"""What others may try to get from our credential service, or put into it."""

from typing import Any

import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.dcp.scopes import MEMBERSHIP_SCOPE
from gongshu.secure.errors import ClaimsMessageInvalid, ClaimsUnsupported, PeerTokenRejected
from tests.contract.identity.claims import ISSUER, MILL, OTHER, SHOP, ClaimsRig, Issuer

CONTEXT = ["https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"]
TYPE = "org.eclipse.dspace.dcp.vc.type:"


def asked(rig: ClaimsRig, scopes: Any, *, access: str = "", **more: Any) -> dict[str, Any]:
    """Let the mill ask the shop."""
    granted = access or rig.far.scheme.access.issue(MILL, [MEMBERSHIP_SCOPE], rig.far_clock())
    message: dict[str, Any] = {"@context": CONTEXT, "type": "PresentationQueryMessage", "scope": scopes, **more}
    message = {name: value for name, value in message.items() if value is not ...}
    header = "Bearer " + rig.node.scheme.tokens.issue(SHOP, access=granted)
    return rig.far.scheme.holder.present(header, message)


@pytest.mark.parametrize("scope", [MEMBERSHIP_SCOPE, TYPE + "MembershipCredential"])
def test_the_granted_type_is_shown_with_and_without_the_suffix(rig: ClaimsRig, scope: str) -> None:
    answer = asked(rig, [scope])
    assert (answer["type"], len(answer["presentation"])) == ("PresentationResponseMessage", 1)


def test_each_data_model_has_a_presentation_of_its_own(rig: ClaimsRig) -> None:
    rig.give(rig.issuer.credential_2(SHOP))
    assert len(asked(rig, [MEMBERSHIP_SCOPE])["presentation"]) == 2


def test_a_credential_can_be_asked_for_by_its_id(rig: ClaimsRig) -> None:
    scope = f"org.eclipse.dspace.dcp.vc.id:urn:uuid:{SHOP}"
    access = rig.far.scheme.access.issue(MILL, [scope], rig.far_clock())
    assert len(asked(rig, [scope], access=access)["presentation"]) == 1


@pytest.mark.parametrize("scopes", [[MEMBERSHIP_SCOPE, TYPE + "Salary"], [TYPE + "Salary"], [TYPE + "*"]])
def test_more_than_the_access_token_opens_is_refused(rig: ClaimsRig, scopes: list[str]) -> None:
    with pytest.raises(PeerTokenRejected, match="more than"):
        asked(rig, scopes)


@pytest.mark.parametrize("scopes", [[], None, "x", ["other:Membership"], [7], [MEMBERSHIP_SCOPE] * 21, ...])
def test_scopes_of_no_known_form_are_refused(rig: ClaimsRig, scopes: Any) -> None:
    with pytest.raises(ClaimsMessageInvalid):
        asked(rig, scopes)


def test_a_definition_is_not_answered_and_not_mixed(rig: ClaimsRig) -> None:
    with pytest.raises(ClaimsUnsupported):
        asked(rig, ..., presentationDefinition={"id": "1"})
    with pytest.raises(ClaimsMessageInvalid):
        asked(rig, ["x"], presentationDefinition={"id": "1"})
    nothing: tuple[Any, ...] = ({}, None)
    for empty in nothing:
        with pytest.raises(ClaimsMessageInvalid):
            asked(rig, ..., presentationDefinition=empty)


def test_an_access_token_serves_its_bearer_alone_and_for_minutes(rig: ClaimsRig) -> None:
    others = rig.far.scheme.access.issue(OTHER, [MEMBERSHIP_SCOPE], rig.far_clock())
    foreign = rig.node.scheme.access.issue(MILL, [MEMBERSHIP_SCOPE], rig.far_clock())
    cut = rig.far.scheme.access.issue(MILL, [MEMBERSHIP_SCOPE], rig.far_clock())[:-4]
    for access in (others, foreign, cut, "x", "e30.e30", "..", "é"):
        with pytest.raises(PeerTokenRejected, match="access token"):
            asked(rig, [MEMBERSHIP_SCOPE], access=access)
    old = rig.far.scheme.access.issue(MILL, [MEMBERSHIP_SCOPE], rig.far_clock())
    for clock in (rig.clock, rig.far_clock):
        clock.forward(seconds=481)
    with pytest.raises(PeerTokenRejected, match="expired"):
        asked(rig, [MEMBERSHIP_SCOPE], access=old)


def test_only_registered_issuers_give_credentials(rig: ClaimsRig) -> None:
    header = "Bearer " + rig.node.scheme.tokens.issue(SHOP)
    with pytest.raises(PeerTokenRejected, match="not registered as an issuer"):
        rig.far.scheme.holder.take(header, rig.issuer.message(rig.issuer.credential(SHOP)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "CredentialOfferMessage"}, "type"),
        ({"@context": ...}, "context"),
        ({"holderPid": ...}, "holderPid"),
        ({"issuerPid": 7}, "issuerPid"),
        ({"status": "INVALID_STATUS"}, "status"),
        ({"status": ...}, "status"),
        ({"credentials": []}, "missing"),
        ({"credentials": {}}, "missing"),
        ({"credentials": [{}]}, "not a token"),
        ({"credentials": ["x"]}, "not a token"),
    ],
)
def test_a_message_that_says_something_else_is_refused(rig: ClaimsRig, changes: dict[str, Any], reason: str) -> None:
    whole = {**rig.issuer.message(rig.issuer.credential(SHOP)), **changes}
    message = {name: value for name, value in whole.items() if value is not ...}
    with pytest.raises(ClaimsMessageInvalid, match=reason):
        rig.far.scheme.holder.take(rig.issuer.token(SHOP, "another-id"), message)


def test_one_bad_credential_keeps_all_out(rig: ClaimsRig) -> None:
    before = rig.far.scheme.holder.credentials()
    good = rig.issuer.credential(SHOP, id="urn:uuid:new")
    about_others = rig.issuer.credential(PartyId(OTHER), id="urn:uuid:other")
    with pytest.raises(ClaimsMessageInvalid, match="about us"):
        rig.far.scheme.holder.take(rig.issuer.token(SHOP, "second-id"), rig.issuer.message(good, about_others))
    forged = Issuer(rig.far_clock).credential(SHOP, id="urn:uuid:forged")
    with pytest.raises(PeerTokenRejected, match="does not belong"):
        rig.far.scheme.holder.take(rig.issuer.token(SHOP, "third-id"), rig.issuer.message(good, forged))
    assert rig.far.scheme.holder.credentials() == before


def test_a_rejection_is_taken_note_of_and_keeps_nothing(rig: ClaimsRig) -> None:
    before = rig.far.scheme.holder.credentials()
    rig.far.scheme.holder.take(rig.issuer.token(SHOP, "fourth-id"), {**rig.issuer.message(), "status": "REJECTED"})
    assert rig.far.scheme.holder.credentials() == before


def test_a_new_credential_takes_the_place_of_its_former(rig: ClaimsRig) -> None:
    rig.far_clock.forward(days=1)
    rig.give(rig.issuer.credential(SHOP))
    ((name, issuer, types, _),) = rig.far.scheme.holder.credentials()
    assert (name, issuer) == (f"urn:uuid:{SHOP}", ISSUER)
    assert "MembershipCredential" in types


def test_an_expired_credential_is_not_shown(rig: ClaimsRig) -> None:
    for clock in (rig.clock, rig.far_clock):
        clock.forward(days=31)
    (presentation,) = asked(rig, [MEMBERSHIP_SCOPE])["presentation"]
    assert len(presentation) < 1000, "an empty presentation"


def test_an_offer_is_put_on_record_and_gives_nothing(rig: ClaimsRig) -> None:
    before = rig.far.scheme.holder.credentials()
    offer = {"@context": CONTEXT, "type": "CredentialOfferMessage", "issuer": ISSUER, "credentials": [{"id": "1"}]}
    rig.far.scheme.holder.note_offer(rig.issuer.token(SHOP, "fifth-id"), offer)
    assert rig.far.scheme.holder.credentials() == before
    header = "Bearer " + rig.node.scheme.tokens.issue(SHOP)
    with pytest.raises(PeerTokenRejected, match="not registered as an issuer"):
        rig.far.scheme.holder.note_offer(header, offer)


@pytest.mark.parametrize("change", [{"issuer": MILL}, {"credentials": []}, {"credentials": [{}]}, {"type": "x"}])
def test_an_offer_that_says_something_else_is_refused(rig: ClaimsRig, change: dict[str, Any]) -> None:
    offer = {"@context": CONTEXT, "type": "CredentialOfferMessage", "issuer": ISSUER, "credentials": [{"id": "1"}]}
    with pytest.raises(ClaimsMessageInvalid):
        rig.far.scheme.holder.note_offer(rig.issuer.token(SHOP, "sixth-id"), {**offer, **change})
