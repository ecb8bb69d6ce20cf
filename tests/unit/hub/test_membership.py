"""A plant joins with an invitation, both sign, and nobody else can slip in."""

from dataclasses import replace
from typing import Any

import pytest

from gongshu.hub.client import HubClient
from gongshu.hub.errors import (
    AddressUnsafe,
    IndicatorUnknown,
    InvitationRefused,
    KeyUnexpected,
    RoleMissing,
    SignatureInvalid,
    TermsInvalid,
)
from gongshu.hub.signing import sign_document
from gongshu.hub.wire import JoinMessage
from gongshu.model.access import Role
from tests.conftest import Clock
from tests.unit.hub.conftest import NewMember
from tests.unit.hub.parts import HubNode, in_days, person


@pytest.fixture
def mill(tmp_path: Any, clock: Clock, province: HubNode) -> HubNode:
    return HubNode(tmp_path / "mill", "mill", clock, far=province)


def acceptance(node: HubNode, code: str, terms: Any, **changes: Any) -> JoinMessage:
    signed = sign_document(terms.document(), node.keys)
    fields = {
        "code": code,
        "title": "Mill",
        "public_key_pem": node.keys.public_key_pem(),
        "address": "http://127.0.0.1:1",
        "agreement": {"document": signed.document, "signature": signed.signature},
    }
    return JoinMessage.model_validate(fields | changes)


def test_both_sides_know_each_other_and_hold_the_same_terms(province: HubNode, mill: HubNode) -> None:
    agreement = mill.join(province, indicators=["energy"], basis="统制表〔2026〕1号")
    (theirs,) = province.memberships.agreements()
    assert theirs.terms == agreement.terms
    assert (theirs.as_province, agreement.as_province) == (True, False)
    assert province.parties.get(mill.party_id).fingerprint == mill.keys.fingerprint()
    assert mill.parties.get(province.party_id).fingerprint == province.keys.fingerprint()


def test_an_invitation_works_once(province: HubNode, mill: HubNode, tmp_path: Any, clock: Clock) -> None:
    invitation = province.memberships.invite(person())
    mill.memberships.join("http://127.0.0.1:1", invitation.text, person())
    rival = HubNode(tmp_path / "rival", "rival", clock, far=province)
    with pytest.raises(InvitationRefused):
        rival.memberships.join("http://127.0.0.1:1", invitation.text, person())


def test_joining_again_after_a_lost_answer_gives_the_same_agreement(province: HubNode, mill: HubNode) -> None:
    invitation = province.memberships.invite(person())
    first = mill.memberships.join("http://127.0.0.1:1", invitation.text, person())
    assert mill.memberships.join("http://127.0.0.1:1", invitation.text, person()) == first
    assert len(province.memberships.agreements()) == 1


def test_an_old_or_unknown_invitation_is_refused_alike(province: HubNode, mill: HubNode, clock: Clock) -> None:
    invitation = province.memberships.invite(person(), open_s=60)
    clock.forward(seconds=61)
    for text in (invitation.text, "x" * 22 + "@" + province.keys.fingerprint(), "no-fingerprint", ""):
        with pytest.raises(InvitationRefused):
            mill.memberships.join("http://127.0.0.1:1", text, person())


def test_a_province_with_another_key_than_the_invitation_names_is_refused(province: HubNode, mill: HubNode) -> None:
    code = province.memberships.invite(person()).text.partition("@")[0]
    with pytest.raises(KeyUnexpected):
        mill.memberships.join("http://127.0.0.1:1", f"{code}@{mill.keys.fingerprint()}", person())
    assert mill.parties.all() == []


def test_a_wrong_countersignature_leaves_no_agreement(province: HubNode, mill: HubNode) -> None:
    invitation = province.memberships.invite(person())
    mill.cable.tampers = lambda answer: {"signature": "AAAA"} if "signature" in answer else answer
    with pytest.raises(SignatureInvalid):
        mill.memberships.join("http://127.0.0.1:1", invitation.text, person())
    assert mill.memberships.agreements() == []


def test_terms_that_differ_from_the_invited_ones_are_refused(province: HubNode, mill: HubNode) -> None:
    invitation = province.memberships.invite(person())
    code = invitation.text.partition("@")[0]
    mine = replace(invitation.terms, member=mill.party_id, division="C34")
    for wrong in (
        replace(mine, indicators=("energy",)),
        replace(mine, division="C99"),
        replace(mine, division=""),
        replace(mine, member=province.party_id),
        replace(mine, due_days=300),
    ):
        with pytest.raises(TermsInvalid):
            province.memberships.accept(acceptance(mill, code, wrong))
    assert province.parties.all() == []


def test_an_acceptance_signed_with_another_key_is_refused(province: HubNode, mill: HubNode) -> None:
    invitation = province.memberships.invite(person())
    terms = replace(invitation.terms, member=mill.party_id, division="C34")
    for pem in (province.keys.public_key_pem(), "", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        message = acceptance(mill, invitation.text.partition("@")[0], terms, public_key_pem=pem)
        with pytest.raises(SignatureInvalid):
            province.memberships.accept(message)


def test_an_invited_stranger_cannot_take_over_a_members_name(
    province: HubNode, new_member: NewMember, tmp_path: Any, clock: Clock
) -> None:
    mill, _ = new_member()
    thief = HubNode(tmp_path / "thief", "mill", clock, far=province)
    invitation = province.memberships.invite(person())
    with pytest.raises(KeyUnexpected):
        thief.memberships.join("http://127.0.0.1:1", invitation.text, person())
    assert province.parties.get(mill.party_id).fingerprint == mill.keys.fingerprint()


def test_a_new_agreement_ends_the_former(province: HubNode, new_member: NewMember, clock: Clock) -> None:
    mill, first = new_member()
    mill.join(province)
    ends = {a.terms.agreement_id: a.ended_at for a in province.memberships.agreements()}
    assert ends.pop(first.terms.agreement_id) == clock.now
    assert list(ends.values()) == [None]


def test_a_mean_needs_its_weight_in_the_terms(province: HubNode) -> None:
    with pytest.raises(TermsInvalid, match="running_time"):
        province.memberships.invite(person(), indicators=["oee"])
    with pytest.raises(IndicatorUnknown, match="parts_produced"):
        province.memberships.invite(person(), indicators=["secrets"])


def test_terms_that_end_before_they_begin_are_refused(province: HubNode, clock: Clock) -> None:
    with pytest.raises(TermsInvalid):
        province.memberships.invite(person(), valid_until=in_days(clock, -1))


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST, Role.PARTNER, Role.APP])
def test_contracts_need_a_role(province: HubNode, mill: HubNode, role: Role) -> None:
    with pytest.raises(RoleMissing):
        province.memberships.invite(person(role))
    with pytest.raises(RoleMissing):
        mill.memberships.join("http://127.0.0.1:1", "x@y", person(role))


def test_a_code_is_kept_only_as_a_digest(province: HubNode) -> None:
    code = province.memberships.invite(person()).text.partition("@")[0]
    with province.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM hub_invitation").all()
    assert code not in repr(rows)
    assert code not in repr(province.audit.entries())


@pytest.mark.parametrize(
    "address", ["http://mill.example", "ftp://127.0.0.1", "https://user:pw@x", "", "file:///etc", "https://x?y=1"]
)
def test_figures_do_not_travel_readable(address: str) -> None:
    with pytest.raises(AddressUnsafe):
        HubClient().post(address, "/x", {}, what="report")
