"""The forms of tokens and DIDs, without anybody to talk to."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gongshu.secure.dcp.did import DidInvalid, address_of, read_did_document
from gongshu.secure.dcp.jose import is_signed_by, read_jwk, read_jwt, sign_jwt, write_jwk
from gongshu.secure.dcp.scopes import read_scope
from gongshu.secure.jws import JwsInvalid, decode_jws

KEY = ec.generate_private_key(ec.SECP256R1())


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_belongs_to_its_key_alone() -> None:
    token = read_jwt(sign_jwt({"iss": "x"}, kid="#1", key=KEY))
    assert is_signed_by(token, KEY.public_key())
    assert not is_signed_by(token, ec.generate_private_key(ec.SECP256R1()).public_key())
    assert not is_signed_by(token, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "ES384", "", None, 7])
def test_the_key_decides_the_algorithm(algorithm: object) -> None:
    message = f"{part({'alg': algorithm})}.{part({'iss': 'x'})}"
    signature = KEY.sign(message.encode(), ec.ECDSA(hashes.SHA256()))
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(signature)
    raw = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode().rstrip("=")
    assert not is_signed_by(read_jwt(f"{message}.{raw}"), KEY.public_key())


def test_ed25519_tokens_of_others_are_verified() -> None:
    key = Ed25519PrivateKey.generate()
    message = f"{part({'alg': 'EdDSA'})}.{part({'iss': 'x'})}"
    token = f"{message}.{base64.urlsafe_b64encode(key.sign(message.encode())).decode().rstrip('=')}"
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode()}
    assert is_signed_by(read_jwt(token), read_jwk(jwk))


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"b64": False}, {"jku": "https://x"}, {"x5u": "https://x"}, {"kid": 7}]
)
def test_headers_that_change_the_reading_are_refused(header: dict[str, Any]) -> None:
    with pytest.raises(JwsInvalid):
        read_jwt(f"{part({'alg': 'ES256', **header})}.{part({})}.AAAA")


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda raw: raw.decode("latin-1"))))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_jwt, decode_jws):
        try:
            read(text)
        except JwsInvalid:
            continue


def test_a_number_too_long_to_be_read_is_refused() -> None:
    claims = base64.urlsafe_b64encode(b'{"n":' + b"9" * 5000 + b"}").decode().rstrip("=")
    with pytest.raises(JwsInvalid):
        decode_jws(f"{part({'alg': 'EdDSA', 'typ': 'JWT'})}.{claims}.AAAA")
    with pytest.raises(JwsInvalid):
        read_jwt(f"{part({'alg': 'EdDSA'})}.{claims}.AAAA")


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        {},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": 7, "y": 7},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "é"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {**write_jwk(KEY.public_key()), "x": "A" * 10_000},
    ],
)
def test_keys_of_other_kinds_are_refused(jwk: object) -> None:
    with pytest.raises(JwsInvalid):
        read_jwk(jwk)


@pytest.mark.parametrize(
    ("did", "address"),
    [
        ("did:web:mill.example", "https://mill.example/.well-known/did.json"),
        ("did:web:MILL.example%3A8443", "https://mill.example:8443/.well-known/did.json"),
        ("did:web:mill.example:plants:north", "https://mill.example/plants/north/did.json"),
        ("did:web:localhost%3A80", "http://localhost:80/.well-known/did.json"),
    ],
)
def test_where_a_document_lies(did: str, address: str) -> None:
    assert address_of(did, plain=True) == address


def test_plain_http_is_for_this_machine_and_only_where_it_is_allowed() -> None:
    assert address_of("did:web:localhost%3A80").startswith("https:")
    assert address_of("did:web:mill.example", plain=True).startswith("https:")


@pytest.mark.parametrize(
    "did",
    [
        "",
        "did:web:",
        "did:key:z6Mk",
        "did:web:a..b",
        "did:web:user@mill.example",
        "did:web:mill.example%2Fadmin",
        "did:web:mill.example%3A0",
        "did:web:mill.example%3A99999",
        "did:web:mill.example:..:admin",
        "did:web:mill.example:a%2Fb",
        "did:web:mill.example:",
        "did:web:[::1]",
        "did:web:mill.example?x=1",
        "did:web:mill.example#1",
        "did:web:" + "a" * 300,
        "did:web:münchen.example",
    ],
)
def test_a_did_that_could_lead_elsewhere_is_refused(did: str) -> None:
    with pytest.raises(DidInvalid):
        address_of(did)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_document_is_read_or_refused(value: Any) -> None:
    did = "did:web:a.example"
    names = ("verificationMethod", "capabilityInvocation", "assertionMethod", "service")
    for document in (
        value,
        {"id": did, **dict.fromkeys(names, value)},
        {"id": did, **{name: [value] for name in names}},
    ):
        try:
            read_did_document(document, did)
        except DidInvalid:
            continue


@pytest.mark.parametrize("text", ["", "org.eclipse.dspace.dcp.vc.type:", "org.eclipse.dspace.dcp.vc.type:a b", 7, None])
def test_scopes_of_other_forms_are_none(text: object) -> None:
    assert read_scope(text) is None
