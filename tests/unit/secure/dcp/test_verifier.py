"""What a party may try to be taken for a member."""

import base64
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gongshu.secure.dcp.jose import sign_jwt
from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.parties import Party
from tests.contract.identity.claims import ISSUER, MILL, OTHER, SHOP, ClaimsRig, Issuer

QUERY = "https://shop.example:8443/dcp/presentations/query"
SHOP_DID = "https://shop.example:8443/.well-known/did.json"
ISSUER_DID = "https://issuer.example/.well-known/did.json"


def presented(rig: ClaimsRig, *credentials: Any, **changes: Any) -> str:
    """A presentation of the shop for the mill, as the shop itself would sign it."""
    now = int(rig.far_clock().timestamp())
    claims = {"iss": SHOP, "sub": SHOP, "aud": MILL, "iat": now, "exp": now + 300, "jti": "12345678"}
    return rig.far.scheme.tokens.sign({**claims, "vp": {"verifiableCredential": list(credentials)}, **changes})


def shows(rig: ClaimsRig, *presentations: Any) -> None:
    """Let the shop's credential service answer with these."""
    rig.net.answers[QUERY] = lambda: json.dumps({"presentation": list(presentations)}).encode()


def refused(rig: ClaimsRig, reason: str) -> None:
    with pytest.raises(PeerTokenRejected, match=reason):
        rig.door.party_of(rig.prove(b"{}"))


def test_credentials_of_both_data_models_are_taken(rig: ClaimsRig) -> None:
    rig.give(rig.issuer.credential_2(SHOP))
    assert rig.door.party_of(rig.prove(b"{}")) == SHOP
    shows(rig, presented(rig, rig.issuer.credential_2(SHOP)))
    rig.forward(300)
    rig.far_clock.forward(seconds=300)
    assert rig.door.party_of(rig.prove(b"{}")) == SHOP


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expirationDate": "2026-01-01T00:00:00Z"}, "expired"),
        ({"validUntil": "2026-01-01T00:00:00Z"}, "expired"),
        ({"issuanceDate": "2030-01-01T00:00:00Z"}, "not valid yet"),
        ({"issuanceDate": "soon"}, "cannot be read"),
        ({"expirationDate": 1e300}, "cannot be read"),
        ({"type": ["VerifiableCredential", "SensitiveDataCredential"]}, "no MembershipCredential"),
        ({"credentialSubject": {"id": OTHER}}, "somebody else"),
        ({"credentialSubject": {"name": "shop"}}, "no subject"),
        ({"credentialSubject": [{"id": SHOP}, {"id": OTHER}]}, "no subject"),
        ({"issuer": "did:web:other.example"}, "two issuers"),
        ({"credentialStatus": {"type": "Secret"}}, "cannot be checked"),
        ({"credentialStatus": [{}] * 51}, "too long"),
    ],
)
def test_a_credential_that_does_not_hold_is_refused(rig: ClaimsRig, change: dict[str, Any], reason: str) -> None:
    document: dict[str, Any] = {"credentialSubject": {"id": SHOP}, **change}
    if "id" not in (document["credentialSubject"] if isinstance(document["credentialSubject"], dict) else {}):
        claims = {"iss": ISSUER, "vc": {"issuer": ISSUER, "issuanceDate": "2026-01-01T00:00:00Z", **document}}
        shows(rig, presented(rig, rig.issuer.signed(claims)))
    else:
        shows(rig, presented(rig, rig.issuer.credential(SHOP, **document)))
    refused(rig, reason)


def test_one_bad_credential_among_good_ones_is_enough(rig: ClaimsRig) -> None:
    bad = rig.issuer.credential(SHOP, id="urn:uuid:second", credentialStatus=rig.issuer.status(9))
    shows(rig, presented(rig, rig.issuer.credential(SHOP), bad))
    rig.issuer.revoke(9)
    refused(rig, "marked in the list of revocation")


def test_a_revocation_works_within_a_minute_for_one_who_was_just_taken(rig: ClaimsRig) -> None:
    assert rig.door.party_of(rig.prove(b"{}")) == SHOP
    rig.issuer.revoke(7)
    for clock in (rig.clock, rig.far_clock):
        clock.forward(seconds=59)
    refused(rig, "marked in the list of revocation")


def test_an_issuer_that_is_no_longer_trusted_takes_its_members_along(rig: ClaimsRig) -> None:
    assert rig.door.party_of(rig.prove(b"{}")) == SHOP
    rig.parties.remove(ISSUER)
    refused(rig, "not registered")


def test_what_was_fetched_under_one_access_token_is_not_fetched_again_at_once(rig: ClaimsRig) -> None:
    rig.door.party_of(rig.prove(b"{}"))
    asked = len(rig.net.asked)
    rig.door.party_of(rig.prove(b"{}"))
    assert len(rig.net.asked) == asked


def test_an_issuer_has_to_have_the_role(rig: ClaimsRig) -> None:
    rig.parties.add(Party(ISSUER, "", "", "https://issuer.example", ("partner",), "dcp"))
    refused(rig, "not trusted here")


def test_nobody_vouches_for_themselves(rig: ClaimsRig) -> None:
    rig.parties.add(Party(SHOP, "", "", rig.partner.address, ("partner", "issuer"), "dcp"))
    own = Issuer(rig.far_clock, SHOP)
    vc = {"issuer": SHOP, "issuanceDate": "2026-01-01T00:00:00Z", "credentialSubject": {"id": SHOP}}
    signed = rig.far.scheme.tokens.sign({"iss": SHOP, "sub": SHOP, "vc": {**vc, "type": ["MembershipCredential"]}})
    shows(rig, presented(rig, signed))
    assert own.did == SHOP
    refused(rig, "vouches for themselves")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: (_ for _ in ()).throw(PeerTokenRejected(reason="no answer")), "no answer"),
        (lambda: b"{}", "cannot be read"),
        (lambda: b"[" * 100_000, "cannot be read"),
        (lambda: b"\xff", "cannot be read"),
    ],
)
def test_a_status_list_that_cannot_be_had_refuses(rig: ClaimsRig, answer: Callable[[], bytes], reason: str) -> None:
    rig.net.answers[rig.issuer.list_address] = answer
    refused(rig, reason)


def later(rig: ClaimsRig) -> None:
    """Let the time pass for which a status list is kept."""
    for clock in (rig.clock, rig.far_clock):
        clock.forward(seconds=31)


def status_answer(rig: ClaimsRig, **changes: Any) -> None:
    document = rig.issuer.status_list()
    document["credentialSubject"] |= changes
    rig.net.answers[rig.issuer.list_address] = lambda: json.dumps(document).encode()


def test_a_status_list_of_another_purpose_or_issuer_or_length_refuses(rig: ClaimsRig) -> None:
    status_answer(rig, statusPurpose="suspension")
    refused(rig, "another purpose")
    later(rig)
    bomb = base64.urlsafe_b64encode(gzip.compress(bytes(8 * 1024 * 1024))).decode()
    status_answer(rig, encodedList=f"u{bomb}")
    refused(rig, "too long")
    later(rig)
    rig.issuer.bits = bytearray()
    status_answer(rig)
    refused(rig, "does not reach")
    later(rig)
    forged = {**rig.issuer.status_list(), "issuer": OTHER}
    rig.net.answers[rig.issuer.list_address] = lambda: json.dumps(forged).encode()
    refused(rig, "another issuer's")


def test_a_signed_status_list_is_verified(rig: ClaimsRig) -> None:
    listed = {"vc": rig.issuer.status_list()}
    rig.net.answers[rig.issuer.list_address] = lambda: rig.issuer.signed(listed).encode()
    assert rig.door.party_of(rig.prove(b"{}")) == SHOP
    forger = Issuer(rig.far_clock)
    rig.net.answers[rig.issuer.list_address] = lambda: forger.signed(listed).encode()
    later(rig)
    refused(rig, "not signed by the issuer")


@pytest.mark.parametrize("field", ["status", "schema"])
@pytest.mark.parametrize(
    "address",
    [
        "https://inside.example/list",
        "http://issuer.example/list",
        "https://issuer.example:8443/list",
        "https://issuer.example@inside.example/list",
        "https://issuer.example.inside.example/list",
        "file:///etc/passwd",
        "https://[::1/list",
        "//issuer.example/list",
        "https://issuer.example/\u2028list",
    ],
)
def test_a_credential_leads_nowhere_but_to_its_issuer(rig: ClaimsRig, address: str, field: str) -> None:
    status = {"credentialStatus": {**rig.issuer.status(7), "statusListCredential": address}}
    schema = {"credentialSchema": {"type": "JsonSchema", "id": address}}
    shows(rig, presented(rig, rig.issuer.credential(SHOP, **(status if field == "status" else schema))))
    refused(rig, "not on the issuer's host")
    assert address not in rig.net.asked


def test_a_schema_that_a_credential_names_is_enforced(rig: ClaimsRig) -> None:
    address = "https://issuer.example/schema.json"
    schema: dict[str, Any] = {"properties": {"credentialSubject": {"required": ["level"]}}}
    rig.net.answers[address] = lambda: json.dumps(schema).encode()
    named = {"type": "JsonSchemaValidator2018", "id": address}
    shows(rig, presented(rig, rig.issuer.credential(SHOP, credentialSchema=named)))
    refused(rig, "does not obey")
    schema.clear()
    schema["$ref"] = "https://inside.example/schema.json"
    refused(rig, "cannot be used")
    assert "https://inside.example/schema.json" not in rig.net.asked


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": OTHER}, "another party's, or for another"),
        ({"aud": [MILL, OTHER]}, "another party's, or for another"),
        ({"iss": OTHER}, "another party's"),
        ({"sub": OTHER}, "another party's"),
        ({"vp": {"holder": OTHER, "verifiableCredential": ["x"]}}, "another party's"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"nbf": 4_000_000_000}, "future"),
        ({"vp": {}}, "no credential"),
        ({"vp": {"verifiableCredential": []}}, "no credential"),
        ({"vp": {"verifiableCredential": ["a.b.c"]}}, "cannot be read"),
        ({"vp": {"verifiableCredential": [7]}}, "cannot be read"),
        ({"vp": {"verifiableCredential": ["e30.e30.e30"] * 51}}, "too"),
        ({"vp": "text"}, "no credential"),
    ],
)
def test_a_presentation_that_is_not_the_partners_for_us_is_refused(
    rig: ClaimsRig, changes: dict[str, Any], reason: str
) -> None:
    shows(rig, presented(rig, rig.issuer.credential(SHOP), **changes))
    refused(rig, reason)


def test_a_presentation_by_another_key_is_refused(rig: ClaimsRig) -> None:
    stolen = rig.issuer.credential(SHOP)
    now = int(rig.far_clock().timestamp())
    claims = {"iss": SHOP, "sub": SHOP, "aud": MILL, "iat": now, "exp": now + 300}
    shows(rig, rig.thief.scheme.tokens.sign({**claims, "vp": {"verifiableCredential": [stolen]}}))
    refused(rig, "does not belong")


@pytest.mark.parametrize("answer", [[], ["x"] * 11, "x", None])
def test_an_answer_without_a_presentation_is_refused(rig: ClaimsRig, answer: Any) -> None:
    rig.net.answers[QUERY] = lambda: json.dumps({"presentation": answer}).encode()
    refused(rig, "no presentation")


def test_a_credential_by_a_forger_is_refused(rig: ClaimsRig) -> None:
    shows(rig, presented(rig, Issuer(rig.far_clock).credential(SHOP)))
    refused(rig, "does not belong")


def test_without_access_to_credentials_nobody_is_a_member(rig: ClaimsRig) -> None:
    header = "Bearer " + rig.far.scheme.tokens.issue(MILL)
    with pytest.raises(PeerTokenRejected, match="no access"):
        rig.node.scheme.party_of(rig.prove(None).__class__(header, None))


def change_document(rig: ClaimsRig, address: str, **changes: Any) -> None:
    scheme = rig.far.scheme.document() if address == SHOP_DID else rig.issuer.document()
    document = {**scheme, **changes}
    rig.net.answers[address] = lambda: json.dumps({k: v for k, v in document.items() if v is not None}).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": OTHER}, "not that of the DID"),
        ({"capabilityInvocation": None}, "not for capabilityInvocation"),
        ({"capabilityInvocation": ["#other"]}, "not for capabilityInvocation"),
        ({"verificationMethod": None}, "no such key"),
        ({"verificationMethod": [{"id": "#web", "publicKeyJwk": {"kty": "RSA"}}]}, "no such key"),
        ({"verificationMethod": [{"id": "#web", "publicKeyJwk": {"kty": "oct", "k": "AAAA"}}]}, "no such key"),
        ({"verificationMethod": [{}] * 51}, "too long"),
        ({"service": []}, "names no credential service"),
        ({"service": [{"type": "CredentialService", "serviceEndpoint": "https://inside.example"}]}, "own host"),
        ({"service": [{"type": "CredentialService", "serviceEndpoint": "http://shop.example:8443"}]}, "own host"),
        (
            {"service": [{"type": "CredentialService", "serviceEndpoint": "https://shop.example@in.example"}]},
            "own host",
        ),
        ({"service": [{"type": "CredentialService", "serviceEndpoint": {"uri": "x"}}]}, "own host"),
    ],
)
def test_a_did_document_that_says_something_else_is_refused(
    rig: ClaimsRig, changes: dict[str, Any], reason: str
) -> None:
    change_document(rig, SHOP_DID, **changes)
    refused(rig, reason)


def test_a_token_without_kid_needs_a_document_of_one_key(rig: ClaimsRig) -> None:
    now = int(rig.far_clock().timestamp())
    claims = {"iss": SHOP, "sub": SHOP, "aud": MILL, "iat": now, "exp": now + 300, "jti": "0123456789", "token": "x"}
    nameless = sign_jwt(claims, kid="", key=rig.far.keys.web_key())
    own = rig.far.scheme.document()["verificationMethod"][0]
    change_document(rig, SHOP_DID, verificationMethod=[own, {**own, "id": "#second"}])
    with pytest.raises(PeerTokenRejected, match="several"):
        rig.node.scheme.tokens.check(f"Bearer {nameless}")


def test_a_key_taken_out_of_the_document_counts_for_less_than_a_minute(rig: ClaimsRig) -> None:
    rig.door.party_of(rig.prove(b"{}"))
    change_document(rig, SHOP_DID, capabilityInvocation=[])
    for clock in (rig.clock, rig.far_clock):
        clock.forward(seconds=59)
    refused(rig, "not for capabilityInvocation")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": OTHER}, "issuer is not its subject"),
        ({"aud": OTHER}, "another party"),
        ({"aud": [MILL, OTHER]}, "another party"),
        ({"aud": None}, "another party"),
        ({"exp": None}, "times are missing"),
        ({"iat": None}, "times are missing"),
        ({"exp": True}, "times are missing"),
        ({"exp": 1e308}, "times are missing"),
        ({"exp": float(4_000_000_000)}, "life is too long"),
        ({"nbf": 4_000_000_000}, "future"),
        ({"nbf": "now"}, "times are missing"),
        ({"jti": None}, "no usable id"),
        ({"jti": 7}, "no usable id"),
        ({"jti": "x" * 101}, "no usable id"),
        ({"iss": OTHER, "sub": OTHER}, "not registered"),
        ({"iss": ISSUER, "sub": ISSUER}, "no such key"),
        ({"iss": 7, "sub": 7}, "no DID"),
        ({"iss": MILL, "sub": MILL}, "not registered"),
    ],
)
def test_an_id_token_that_is_not_the_partners_for_us_now_is_refused(
    rig: ClaimsRig, changes: dict[str, Any], reason: str
) -> None:
    now = int(rig.far_clock().timestamp())
    claims = {"iss": SHOP, "sub": SHOP, "aud": MILL, "iat": now, "exp": now + 300, "jti": "0123456789", **changes}
    token = rig.far.scheme.tokens.sign({name: value for name, value in claims.items() if value is not None})
    with pytest.raises(PeerTokenRejected, match=reason):
        rig.node.scheme.tokens.check(f"Bearer {token}")


def test_a_party_of_another_scheme_is_not_asked_for_its_document(rig: ClaimsRig) -> None:
    known, asked = rig.parties.get(SHOP), len(rig.net.asked)
    rig.parties.replace(Party(SHOP, "", rig.far.keys.public_key_pem(), known.address, known.roles))
    with pytest.raises(PeerTokenRejected, match="form"):
        rig.door.party_of(rig.prove(b"{}"))
    assert len(rig.net.asked) == asked


def test_an_old_presentation_is_not_kept_beyond_its_own_minute(rig: ClaimsRig) -> None:
    rig.door.party_of(rig.prove(b"{}"))
    shows(rig)
    for clock in (rig.clock, rig.far_clock):
        clock.now += timedelta(seconds=61)
    refused(rig, "no presentation")


def test_a_revocation_is_seen_within_a_minute_by_what_runs(rig: ClaimsRig) -> None:
    """No further request is made: rows flow, and the door is asked each second."""
    assert rig.door.why_not_standing(SHOP) is None, "nothing is known of it yet"
    rig.door.party_of(rig.prove(None))
    assert rig.door.why_not_standing(SHOP) is None
    rig.issuer.revoke(7)
    rig.forward(59)
    assert "revocation" in (rig.door.why_not_standing(SHOP) or "")
    rig.parties.remove(SHOP)
    assert "not registered" in (rig.door.why_not_standing(SHOP) or "")
