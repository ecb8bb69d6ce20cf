import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gongshu.database import Database
from gongshu.model.access import Role
from gongshu.model.ids import PartyId
from gongshu.secure.audit import AuditLog
from gongshu.secure.errors import PartyInvalid, PartyKeyDiffers, PartyUnknown, PeerTokenRejected
from gongshu.secure.jws import encode_jws
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.peer_tokens import PeerTokens
from tests.conftest import Clock
from tests.unit.secure.conftest import OWN

PARTNER = PartyId("urn:gongshu:party:partner")


@pytest.fixture
def partner_keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "partner-keys")


@pytest.fixture
def ours(
    keys: KeyStore, parties: PartyRegistry, clock: Clock, database: Database, partner_keys: KeyStore
) -> PeerTokens:
    parties.add(Party(PARTNER, "Partner", partner_keys.public_key_pem(), "https://partner.example"))
    return PeerTokens(keys, parties, OWN, clock, database=database)


@pytest.fixture
def theirs(partner_keys: KeyStore, parties: PartyRegistry, clock: Clock, database: Database) -> PeerTokens:
    return PeerTokens(partner_keys, parties, PARTNER, clock, database=database)


def claims_at(clock: Clock, **changes: Any) -> dict[str, Any]:
    now = int(clock().timestamp())
    base = {"iss": PARTNER, "sub": PARTNER, "aud": OWN, "iat": now, "exp": now + 300, "jti": "0123456789"}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def test_a_partner_is_known_by_its_token(ours: PeerTokens, theirs: PeerTokens) -> None:
    subject = ours.subject_of(theirs.issue(OWN, claims={"agreement": "made-up"}))
    assert (subject.subject_id, subject.party_id) == (f"partner:{PARTNER}", PARTNER)
    assert subject.roles == {Role.PARTNER}
    assert subject.attributes == {"claim.agreement": "made-up"}


def test_a_token_works_once(ours: PeerTokens, theirs: PeerTokens) -> None:
    header = theirs.issue(OWN)
    ours.subject_of(header)
    with pytest.raises(PeerTokenRejected, match="used before"):
        ours.subject_of(header)


def test_a_token_judged_in_its_last_moment_is_known_though_ids_were_swept_before_it_was_written(
    ours: PeerTokens, theirs: PeerTokens, keys: KeyStore, parties: PartyRegistry, clock: Clock, database: Database
) -> None:
    header = theirs.issue(OWN)
    ours.subject_of(header)
    clock.forward(seconds=359)
    process_beside = PeerTokens(keys, parties, OWN, clock, database=database)

    def judge_and_wait() -> None:
        with ThreadPoolExecutor(1) as thread, database.carrying():
            ours.subject_of(header)
            clock.forward(seconds=2)
            thread.submit(process_beside.subject_of, theirs.issue(OWN)).result()

    with pytest.raises(PeerTokenRejected, match="before"):
        judge_and_wait()


def test_a_token_for_another_party_is_refused(ours: PeerTokens, theirs: PeerTokens) -> None:
    with pytest.raises(PeerTokenRejected, match="another party"):
        ours.subject_of(theirs.issue(PartyId("urn:gongshu:party:third")))


def test_a_minute_of_clock_difference_is_borne_and_no_more(ours: PeerTokens, theirs: PeerTokens, clock: Clock) -> None:
    early, late, expired = theirs.issue(OWN), theirs.issue(OWN, valid_s=10), theirs.issue(OWN, valid_s=10)
    clock.forward(seconds=-60)
    ours.subject_of(early)
    clock.forward(seconds=60 + 69)
    ours.subject_of(late)
    clock.forward(seconds=1)
    with pytest.raises(PeerTokenRejected, match="expired"):
        ours.subject_of(expired)
    future = theirs.issue(OWN)
    clock.forward(seconds=-61)
    with pytest.raises(PeerTokenRejected, match="future"):
        ours.subject_of(future)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"jti": "short"},
        {"jti": 12345678},
        {"iat": True},
        {"exp": "2099"},
        {"exp": 1e12},
        {"aud": [OWN]},
        {"iss": "urn:gongshu:party:stranger", "sub": "urn:gongshu:party:stranger"},
        {"iss": None},
        {"sub": "somebody else"},
    ],
)
def test_odd_claims_are_refused(
    ours: PeerTokens, partner_keys: KeyStore, clock: Clock, changes: dict[str, Any]
) -> None:
    with pytest.raises(PeerTokenRejected):
        ours.subject_of("Bearer " + encode_jws(claims_at(clock, **changes), partner_keys))


def test_a_long_life_is_refused(ours: PeerTokens, partner_keys: KeyStore, clock: Clock) -> None:
    claims = claims_at(clock, exp=int(clock().timestamp()) + 3601)
    with pytest.raises(PeerTokenRejected, match="longer"):
        ours.subject_of("Bearer " + encode_jws(claims, partner_keys))


def test_the_registered_key_counts_not_the_one_that_signed(ours: PeerTokens, keys: KeyStore, clock: Clock) -> None:
    with pytest.raises(PeerTokenRejected, match="signature"):
        ours.subject_of("Bearer " + encode_jws(claims_at(clock), keys))


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


HOSTILE: list[Callable[[str], str]] = [
    lambda token: "",
    lambda token: token.removeprefix("Bearer "),
    lambda token: "Basic " + token.removeprefix("Bearer "),
    lambda token: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"),
    lambda token: token.rsplit(".", 1)[0] + ".",
    lambda token: token + ".x",
    lambda token: token + "=",
    lambda token: token.replace(".", "\u00b7"),
    lambda token: f"Bearer {encoded({'alg': 'none'})}.{token.split('.')[1]}.",
    lambda token: f"Bearer {encoded({'alg': 'HS256', 'typ': 'JWT'})}.{token.split('.', 1)[1]}",
    lambda token: f"Bearer {encoded({'alg': 'EdDSA', 'typ': 'JWT', 'jwk': {}})}.{token.split('.', 1)[1]}",
    lambda token: f"Bearer {token.removeprefix('Bearer ').split('.')[0]}.{encoded(b'{' + b'[' * 3000)}.AAAA",
    lambda token: f"Bearer {token.removeprefix('Bearer ').split('.')[0]}.{encoded(b'NaN')}.AAAA",
    lambda token: "Bearer " + "a" * 9000 + ".b.c",
]


@pytest.mark.parametrize("change", HOSTILE)
def test_a_changed_token_is_refused(ours: PeerTokens, theirs: PeerTokens, change: Callable[[str], str]) -> None:
    with pytest.raises(PeerTokenRejected):
        ours.subject_of(change(theirs.issue(OWN)))


def test_a_repeated_name_in_the_claims_is_refused(ours: PeerTokens, partner_keys: KeyStore, clock: Clock) -> None:
    header = encoded({"alg": "EdDSA", "typ": "JWT"})
    text = json.dumps(claims_at(clock))
    payload = encoded((text[:-1] + f', "aud": "{OWN}"}}').encode())
    signature = encoded(partner_keys.sign(f"{header}.{payload}".encode()))
    with pytest.raises(PeerTokenRejected, match="form"):
        ours.subject_of(f"Bearer {header}.{payload}.{signature}")


def test_a_removed_party_is_refused(ours: PeerTokens, theirs: PeerTokens, parties: PartyRegistry) -> None:
    header = theirs.issue(OWN)
    parties.remove(PARTNER)
    with pytest.raises(PeerTokenRejected, match="not registered"):
        ours.subject_of(header)
    with pytest.raises(PartyUnknown):
        parties.remove(PARTNER)


def test_another_key_for_a_known_party_is_refused(ours: PeerTokens, parties: PartyRegistry, keys: KeyStore) -> None:
    before = parties.get(PARTNER)
    for offered in (
        replace(before, public_key_pem=keys.public_key_pem()),
        replace(before, certificate="sha256:" + 64 * "0"),
        replace(before, identity="weaker"),
    ):
        with pytest.raises(PartyKeyDiffers, match="--replace"):
            parties.add(offered)
    assert parties.get(PARTNER) == before


def test_title_address_and_roles_change_without_ado(ours: PeerTokens, parties: PartyRegistry, audit: AuditLog) -> None:
    parties.add(replace(parties.get(PARTNER), address="https://new.example", roles=("member", "partner")))
    assert parties.get(PARTNER).address == "https://new.example"
    assert len(audit.entries(action="party.changed")) == 1


def test_replacing_a_key_is_an_act_of_its_own_on_record(
    ours: PeerTokens, parties: PartyRegistry, keys: KeyStore, audit: AuditLog
) -> None:
    before = parties.get(PARTNER)
    parties.replace(replace(before, public_key_pem=keys.public_key_pem()), actor="user:li")
    (entry,) = audit.entries(action="party.replaced")
    assert entry.details["former_fingerprint"] == before.fingerprint != entry.details["fingerprint"]
    assert entry.actor == "user:li"
    with pytest.raises(PartyUnknown):
        parties.replace(replace(before, party_id=PartyId("urn:gongshu:party:new")))


@pytest.mark.parametrize(
    "broken",
    [
        {"identity": ""},
        {"identity": "Two words"},
        {"public_key_pem": ""},
        {"certificate": "sha256:12"},
        {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
    ],
)
def test_a_record_that_could_not_be_used_is_not_taken(
    ours: PeerTokens, parties: PartyRegistry, broken: dict[str, str]
) -> None:
    with pytest.raises(PartyInvalid):
        parties.replace(replace(parties.get(PARTNER), **broken))  # type: ignore[arg-type]


def test_only_ed25519_keys_are_registered(ours: PeerTokens, parties: PartyRegistry, keys: KeyStore) -> None:
    private = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parties.replace(Party(PARTNER, "ok", private.decode()))
    for pem in ("", "nonsense", (keys.folder / "node.pem").read_text()):
        with pytest.raises(PartyInvalid):
            parties.replace(Party(PARTNER, "bad", pem))
    assert [party.title for party in parties.all()] == ["ok"]


def test_nobody_speaks_for_this_organisation_from_outside(
    ours: PeerTokens, parties: PartyRegistry, partner_keys: KeyStore, clock: Clock
) -> None:
    parties.add(Party(OWN, "Ourselves?", partner_keys.public_key_pem()))
    with pytest.raises(PeerTokenRejected, match="this organisation itself"):
        ours.subject_of("Bearer " + encode_jws(claims_at(clock, iss=OWN, sub=OWN), partner_keys))
