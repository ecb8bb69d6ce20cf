from dataclasses import replace
from pathlib import Path

import pytest

from gongshu.config import ConfigInvalid, Home, NodeConfig
from gongshu.database import Database
from gongshu.model.access import Role, Subject
from gongshu.model.ids import PartyId, SubjectId
from gongshu.node import public_address, tls_settings
from gongshu.secure.errors import (
    IdentitySchemeUnknown,
    KeysUnsafe,
    NotAllowed,
    PartyInvalid,
    PartyKeyDiffers,
    PartyUnknown,
)
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.share.errors import FingerprintDiffers, InviteInvalid
from gongshu.share.introductions import Introductions
from gongshu.share.invites import PREFIX, read_invite, write_invite
from tests.conftest import Clock
from tests.contract.identity.rigs import NoAudit
from tests.integration.share.certificates import issue

MILL, SHOP = PartyId("urn:gongshu:party:mill"), PartyId("urn:gongshu:party:shop")
LI = Subject(SubjectId("user:li"), MILL, frozenset({Role.PRODUCT_OWNER}))


@pytest.fixture
def parties(database: Database, clock: Clock) -> PartyRegistry:
    return PartyRegistry(database, NoAudit(), clock)


def introductions(folder: Path, parties: PartyRegistry, certificate: str = "") -> Introductions:
    schemes = ("gongshu", "mtls")
    keys = KeyStore(folder / "own")
    return Introductions(
        keys, parties, MILL, "mill", lambda: "https://m.example", certificate=certificate, schemes=schemes
    )


def line_of(keys: KeyStore, certificate: str = "", party: PartyId = SHOP) -> str:
    return write_invite(keys, party_id=party, title="shop", address="https://s.example", certificate=certificate)


def test_a_known_partys_key_changes_only_where_a_person_says_so(tmp_path: Path, parties: PartyRegistry) -> None:
    desk = introductions(tmp_path, parties)
    first, second = KeyStore(tmp_path / "first"), KeyStore(tmp_path / "second")
    desk.accept(line_of(first), first.fingerprint(), LI)
    with pytest.raises(PartyKeyDiffers, match="gongshu share join INVITATION --replace"):
        desk.accept(line_of(second), second.fingerprint(), LI)
    assert parties.get(SHOP).fingerprint == first.fingerprint()
    desk.accept(line_of(second), second.fingerprint(), LI, replace=True)
    assert parties.get(SHOP).fingerprint == second.fingerprint()


def test_replacing_who_is_not_known_registers_it(tmp_path: Path, parties: PartyRegistry) -> None:
    keys = KeyStore(tmp_path / "first")
    introductions(tmp_path, parties).accept(line_of(keys), keys.fingerprint(), LI, replace=True)
    assert parties.get(SHOP).fingerprint == keys.fingerprint()


def test_the_scheme_of_identity_has_to_be_one_that_this_node_offers(tmp_path: Path, parties: PartyRegistry) -> None:
    keys, desk = KeyStore(tmp_path / "first"), introductions(tmp_path, parties)
    with pytest.raises(IdentitySchemeUnknown, match="gongshu, mtls"):
        desk.accept(line_of(keys), keys.fingerprint(), LI, identity="palmistry")
    assert desk.accept(line_of(keys), keys.fingerprint(), LI, identity="mtls").identity == "mtls"


def test_our_own_invitation_is_not_another_partys(tmp_path: Path, parties: PartyRegistry) -> None:
    keys = KeyStore(tmp_path / "first")
    with pytest.raises(InviteInvalid, match="own"):
        introductions(tmp_path, parties).accept(line_of(keys, party=MILL), keys.fingerprint(), LI)


def test_a_certificate_that_nobody_vouches_for_travels_in_the_invitation(
    tmp_path: Path, parties: PartyRegistry, clock: Clock
) -> None:
    own, authority = issue("mill", now=clock()), issue("authority", authority=True, now=clock())
    vouched = issue("mill", by=authority, now=clock())
    line, _ = introductions(tmp_path, parties, own.pem).own(LI)
    assert read_invite(line).certificate_pin == own.pin
    line, _ = introductions(tmp_path, parties, vouched.pem).own(LI)
    assert read_invite(line).certificate == ""


def test_a_certificate_given_by_hand_comes_before_that_of_the_line(
    tmp_path: Path, parties: PartyRegistry, clock: Clock
) -> None:
    keys, other = KeyStore(tmp_path / "first"), issue("other", now=clock())
    line = line_of(keys, issue("shop", now=clock()).pem)
    known = introductions(tmp_path, parties).accept(line, keys.fingerprint(), LI, certificate=other.pin)
    assert known.certificate_pin == other.pin


def test_an_invitation_with_a_certificate_of_another_kind_is_refused(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "first")
    with pytest.raises(InviteInvalid):
        read_invite(write_invite(keys, party_id=SHOP, title="s", address="https://s.example", certificate=7))  # type: ignore[arg-type]


def test_the_files_of_tls_lie_in_the_home_folder_and_are_private(tmp_path: Path) -> None:
    home, plain = Home(tmp_path), NodeConfig(party_id=MILL, title="mill")
    assert tls_settings(home, plain).certificate is None
    assert public_address(home, plain).startswith("http:")
    whole = plain.model_copy(update={"tls_certificate": "tls.pem", "tls_key": "tls.key"})
    (tmp_path / "tls.key").touch(0o600)
    assert tls_settings(home, whole).key == tmp_path / "tls.key"
    assert public_address(home, whole).startswith("https:")
    (tmp_path / "tls.key").chmod(0o640)
    with pytest.raises(KeysUnsafe):
        tls_settings(home, whole)
    with pytest.raises(ConfigInvalid, match="belong together"):
        tls_settings(home, whole.model_copy(update={"tls_key": ""}))


def test_two_certificates_in_one_record_are_refused(tmp_path: Path, parties: PartyRegistry, clock: Clock) -> None:
    keys, desk = KeyStore(tmp_path / "first"), introductions(tmp_path, parties)
    two = issue("shop", now=clock()).pem + issue("authority", authority=True, now=clock()).pem
    with pytest.raises(Exception, match="neither one certificate"):
        desk.accept(line_of(keys, two), keys.fingerprint(), LI)
    assert parties.all() == []
    assert replace(desk.accept(line_of(keys), keys.fingerprint(), LI), title="x").certificate == ""


def test_a_party_of_another_scheme_is_registered_by_hand_and_forgotten(tmp_path: Path, parties: PartyRegistry) -> None:
    desk = introductions(tmp_path, parties)
    party = Party(SHOP, "shop", "", "https://s.example", ("partner",), "mtls")
    assert desk.register(party, LI) == parties.get(SHOP)
    changed = replace(party, certificate="sha256:" + 64 * "0")
    with pytest.raises(PartyKeyDiffers):
        desk.register(changed, LI)
    assert desk.register(changed, LI, replace=True) == parties.get(SHOP)
    desk.forget(SHOP, LI)
    with pytest.raises(PartyUnknown):
        parties.get(SHOP)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"identity": "palmistry"}, IdentitySchemeUnknown),
        ({"identity": "gongshu"}, PartyInvalid),
        ({"party_id": MILL}, PartyInvalid),
        ({"address": "https://user@s.example"}, PartyInvalid),
        ({"address": "http://s.example"}, PartyInvalid),
    ],
)
def test_what_cannot_be_registered_by_hand(
    tmp_path: Path, parties: PartyRegistry, change: dict[str, str], error: type[Exception]
) -> None:
    party = Party(SHOP, "shop", "", "https://s.example", ("partner",), "mtls")
    with pytest.raises(error):
        introductions(tmp_path, parties).register(replace(party, **change), LI)  # type: ignore[arg-type]


def test_who_may_not_deal_may_not_register_or_forget(tmp_path: Path, parties: PartyRegistry) -> None:
    guest = Subject(SubjectId("user:guest"), MILL, frozenset({Role.VIEWER}))
    desk = introductions(tmp_path, parties)
    with pytest.raises(NotAllowed):
        desk.register(Party(SHOP, "shop", "", "https://s.example", (), "mtls"), guest)
    with pytest.raises(NotAllowed):
        desk.forget(SHOP, guest)


def test_a_fingerprint_is_taken_as_people_write_it_and_a_wrong_one_is_named_as_such(
    tmp_path: Path, parties: PartyRegistry
) -> None:
    desk, keys = introductions(tmp_path, parties), KeyStore(tmp_path / "shop")
    for heard, said in (("", "no fingerprint was given"), ("sha256:00", "not that of its key")):
        with pytest.raises(FingerprintDiffers, match=f"{said}.*read it out again"):
            desk.accept(line_of(keys), heard, LI)
    assert parties.all() == []
    kind, digits = keys.fingerprint().split(":")
    desk.accept(line_of(keys), f" {kind.upper()}: {digits[:4]} {digits[4:].upper()}\n", LI)
    assert parties.get(SHOP).fingerprint == keys.fingerprint()


@pytest.mark.parametrize("tail", ["abc", "a.b.c", "é.é", ""])
def test_a_cut_line_is_not_said_to_begin_wrongly(tail: str) -> None:
    with pytest.raises(InviteInvalid, match="cut or altered"):
        read_invite(PREFIX + tail)


@pytest.mark.parametrize("odd", ["Shop\n  key     sha256:00", "\x1b[8mShop", "\u202epohS", "Shop\x9b2J"])
def test_a_title_writes_no_fingerprint_of_its_own_where_people_compare_it(
    tmp_path: Path, parties: PartyRegistry, odd: str
) -> None:
    keys = KeyStore(tmp_path / "shop")
    with pytest.raises(PartyInvalid, match="no line of visible characters"):
        read_invite(write_invite(keys, party_id=SHOP, title=odd, address="https://s.example"))
    with pytest.raises(PartyInvalid, match="1 to 200 printable"):
        read_invite(line_of(keys, party=PartyId(f"urn:{odd}")))
    with pytest.raises(PartyInvalid, match="no line of visible characters"):
        parties.add(Party(SHOP, odd, keys.public_key_pem(), "https://s.example"))
    assert read_invite(write_invite(keys, party_id=SHOP, title="轴承\u3000“厂”", address="https://s.example")).title
