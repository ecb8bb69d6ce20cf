"""What a space's list can bring in, and what it cannot."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.database import Database
from gongshu.model.ids import PartyId
from gongshu.secure.audit import AuditLog
from gongshu.secure.errors import (
    PartyKeyDiffers,
    PartyUnknown,
    PeerTokenRejected,
    TrustListInvalid,
    TrustListUnknown,
)
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.secure.trust_documents import PREFIX, read_trust_list, write_trust_list
from gongshu.secure.trust_lists import TrustLists
from tests.conftest import Clock
from tests.unit.secure.conftest import OWN

SHOP, FORGE = PartyId("urn:gongshu:party:shop"), PartyId("urn:gongshu:party:forge")
URL = "https://operator.example/trust.txt"


class Space:
    """An operator that publishes lists at an address."""

    def __init__(self, folder: Path, clock: Clock, space_id: str = "urn:gongshu:space:valley") -> None:
        self.keys, self.clock, self.space_id = KeyStore(folder / "operator"), clock, space_id
        self.members = {name: KeyStore(folder / name.rpartition(":")[2]) for name in (SHOP, FORGE)}

    def member(self, name: PartyId, **changes: Any) -> Party:
        key = self.members[name].public_key_pem()
        return replace(Party(name, "a member", key, "https://member.example", ("provider",)), **changes)

    def text(self, *members: Party, serial: int = 1, days: float = 7, issued_days: float = 0) -> str:
        now = self.clock()
        return write_trust_list(
            self.keys,
            space_id=self.space_id,
            serial=serial,
            issued_at=now + timedelta(days=issued_days),
            valid_until=now + timedelta(days=days),
            members=members,
        )


class Web:
    """What lies at addresses."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}

    def __call__(self, party: Party, address: str, *, body: bytes | None = None, authorization: str = "") -> bytes:
        if address not in self.pages:
            raise PeerTokenRejected(reason=f"{address} does not answer")
        return self.pages[address].encode()


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def space(tmp_path: Path, clock: Clock) -> Space:
    return Space(tmp_path / "valley", clock)


@pytest.fixture
def lists(database: Database, parties: PartyRegistry, audit: AuditLog, clock: Clock, web: Web) -> TrustLists:
    return TrustLists(database, parties, audit, clock, web, OWN, ["gongshu", "mtls"])


def believe(lists: TrustLists, web: Web, space: Space, *members: Party, url: str = URL, **more: Any) -> None:
    web.pages[url] = space.text(*members, **more)
    lists.add(url, space.keys.fingerprint())


def known(parties: PartyRegistry) -> set[str]:
    return {party.party_id for party in parties.all()}


def test_a_member_of_a_believed_list_is_known_as_a_partner(
    lists: TrustLists, parties: PartyRegistry, web: Web, space: Space
) -> None:
    believe(lists, web, space, space.member(SHOP, roles=("provider", "issuer", "province")))
    party = parties.get(SHOP)
    assert (party.fingerprint, party.space) == (space.members[SHOP].fingerprint(), space.space_id)
    assert party.roles == ("partner", "space:issuer", "space:provider", "space:province"), (
        "roles of there give none here"
    )


def test_a_file_is_believed_too(lists: TrustLists, parties: PartyRegistry, space: Space, tmp_path: Path) -> None:
    file = tmp_path / "trust.txt"
    file.write_text(space.text(space.member(SHOP)) + "\n")
    assert lists.add(str(file), space.keys.fingerprint()).members == 1
    file.write_text(space.text(serial=2))
    lists.refresh()
    assert known(parties) == set()


def test_the_fingerprint_has_to_be_the_operators(
    lists: TrustLists, web: Web, space: Space, tmp_path: Path, clock: Clock, parties: PartyRegistry
) -> None:
    forger = Space(tmp_path / "forger", clock)
    web.pages[URL] = forger.text(forger.member(SHOP))
    with pytest.raises(TrustListInvalid, match="fingerprint"):
        lists.add(URL, space.keys.fingerprint())
    assert known(parties) == set()


def test_a_forged_list_changes_nothing_later_either(
    lists: TrustLists, web: Web, space: Space, tmp_path: Path, clock: Clock, parties: PartyRegistry
) -> None:
    believe(lists, web, space, space.member(SHOP))
    forger = Space(tmp_path / "forger", clock)
    web.pages[URL] = forger.text(forger.member(FORGE), serial=9)
    lists.refresh()
    assert known(parties) == {SHOP}
    assert "another operator's" in lists.all()[0].problem
    whole = space.text(space.member(SHOP), serial=2)
    web.pages[URL] = whole[:200] + ("A" if whole[200] != "A" else "B") + whole[201:]
    lists.refresh()
    assert known(parties) == {SHOP}
    assert lists.all()[0].problem != ""


def test_an_older_list_does_not_come_back(lists: TrustLists, web: Web, space: Space, parties: PartyRegistry) -> None:
    with_shop = space.text(space.member(SHOP), serial=1)
    believe(lists, web, space, serial=2)
    web.pages[URL] = with_shop
    lists.refresh()
    assert known(parties) == set()
    assert "older than 2" in lists.all()[0].problem
    with pytest.raises(TrustListInvalid, match="older"):
        lists.add(URL, space.keys.fingerprint())


def test_one_serial_stands_for_one_list(lists: TrustLists, web: Web, space: Space, parties: PartyRegistry) -> None:
    believe(lists, web, space, space.member(SHOP))
    web.pages[URL] = space.text(space.member(SHOP), space.member(FORGE))
    lists.refresh()
    assert known(parties) == {SHOP}
    assert "another list" in lists.all()[0].problem


@pytest.mark.parametrize(("times", "reason"), [({"days": -1}, "ended at"), ({"issued_days": 1}, "in the future")])
def test_a_list_out_of_its_time_is_not_believed(
    lists: TrustLists, web: Web, space: Space, times: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TrustListInvalid, match=reason):
        believe(lists, web, space, space.member(SHOP), **times)


def test_members_are_unknown_when_the_list_ends_whether_anybody_reads_it_or_not(
    lists: TrustLists, web: Web, space: Space, parties: PartyRegistry, clock: Clock
) -> None:
    believe(lists, web, space, space.member(SHOP), days=1)
    web.pages.clear()
    lists.refresh()
    assert known(parties) == {SHOP}, "a silent operator revokes nobody before the list ends"
    clock.forward(days=1, seconds=1)
    with pytest.raises(PartyUnknown):
        parties.get(SHOP)
    assert known(parties) == set()
    web.pages[URL] = space.text(space.member(SHOP), serial=2)
    lists.refresh()
    assert known(parties) == {SHOP}


def test_who_is_dropped_from_the_list_is_unknown_after_the_next_reading(
    lists: TrustLists, web: Web, space: Space, parties: PartyRegistry, audit: AuditLog
) -> None:
    believe(lists, web, space, space.member(SHOP), space.member(FORGE))
    web.pages[URL] = space.text(space.member(FORGE), serial=2)
    lists.refresh()
    assert known(parties) == {FORGE}
    assert [entry.object for entry in audit.entries(action="party.removed")] == [SHOP]


def test_a_key_changed_by_the_operator_is_followed_on_record(
    lists: TrustLists, web: Web, space: Space, parties: PartyRegistry, audit: AuditLog
) -> None:
    believe(lists, web, space, space.member(SHOP))
    other = space.members[FORGE].public_key_pem()
    web.pages[URL] = space.text(space.member(SHOP, public_key_pem=other), serial=2)
    lists.refresh()
    assert parties.get(SHOP).public_key_pem == other
    assert len(audit.entries(action="party.replaced")) == 1


def test_whom_our_people_registered_no_list_changes_or_removes(
    lists: TrustLists, web: Web, space: Space, parties: PartyRegistry
) -> None:
    by_hand = parties.add(Party(SHOP, "by hand", space.members[FORGE].public_key_pem(), "https://s.example"))
    with pytest.raises(PartyKeyDiffers):
        believe(lists, web, space, space.member(SHOP))
    assert lists.all() == []
    believe(lists, web, space, space.member(FORGE), serial=2)
    web.pages[URL] = space.text(space.member(SHOP), serial=3)
    lists.refresh()
    assert parties.get(SHOP) == by_hand
    assert known(parties) == {SHOP}
    lists.remove(space.space_id)
    assert parties.get(SHOP) == by_hand


def test_two_lists_with_two_keys_for_one_party_are_refused_at_once(
    lists: TrustLists, web: Web, space: Space, tmp_path: Path, clock: Clock, parties: PartyRegistry
) -> None:
    believe(lists, web, space, space.member(SHOP))
    second = Space(tmp_path / "second", clock, "urn:gongshu:space:second")
    with pytest.raises(PartyKeyDiffers):
        believe(lists, web, second, second.member(SHOP), url=URL + "2")
    assert parties.get(SHOP).space == space.space_id
    assert len(lists.all()) == 1


def test_two_lists_that_disagree_later_bring_in_neither(
    lists: TrustLists, web: Web, space: Space, tmp_path: Path, clock: Clock, parties: PartyRegistry
) -> None:
    second = Space(tmp_path / "second", clock, "urn:gongshu:space:second")
    believe(lists, web, space, space.member(SHOP))
    believe(lists, web, second, second.member(FORGE), url=URL + "2")
    web.pages[URL + "2"] = second.text(second.member(SHOP), serial=2)
    lists.refresh()
    assert known(parties) == set()
    assert all("neither is taken" in believed.problem for believed in lists.all())


def test_two_lists_that_agree_carry_a_member_together(
    lists: TrustLists, web: Web, space: Space, tmp_path: Path, clock: Clock, parties: PartyRegistry
) -> None:
    second = Space(tmp_path / "second", clock, "urn:gongshu:space:second")
    believe(lists, web, space, space.member(SHOP))
    believe(lists, web, second, space.member(SHOP), url=URL + "2")
    lists.remove(space.space_id)
    assert parties.get(SHOP).space == second.space_id
    lists.remove(second.space_id)
    assert known(parties) == set()
    with pytest.raises(TrustListUnknown):
        lists.remove(second.space_id)


def test_neither_we_ourselves_nor_unknown_schemes_come_in_by_a_list(
    lists: TrustLists, web: Web, space: Space, parties: PartyRegistry
) -> None:
    believe(lists, web, space, space.member(SHOP, party_id=OWN), space.member(FORGE, identity="palmistry"))
    assert known(parties) == set()


@pytest.mark.parametrize(
    "member",
    [
        {"address": "https://user@inside.example"},
        {"address": "ftp://member.example"},
        {"address": "http://member.example", "identity": "mtls"},
        {"public_key_pem": "nonsense"},
        {"public_key_pem": ""},
        {"party_id": PartyId("two words")},
        {"identity": "Not A Name"},
        {"certificate": "nonsense"},
    ],
)
def test_one_member_that_could_not_be_used_spoils_the_list(space: Space, member: dict[str, Any]) -> None:
    with pytest.raises(TrustListInvalid):
        read_trust_list(space.text(space.member(FORGE), space.member(SHOP, **member)))


def test_a_member_named_twice_spoils_the_list(space: Space) -> None:
    with pytest.raises(TrustListInvalid, match="twice"):
        read_trust_list(space.text(space.member(SHOP), space.member(SHOP, title="again")))


@pytest.mark.parametrize("source", ["http://operator.example/t", "/nowhere/trust.txt", "ftp://x", "", "\x00"])
def test_sources_that_cannot_be_read_are_named(lists: TrustLists, space: Space, source: str) -> None:
    with pytest.raises(TrustListInvalid):
        lists.add(source, space.keys.fingerprint())


@given(st.text(max_size=200) | st.text(alphabet="ABCabc012-_.", max_size=200).map(lambda text: PREFIX + text))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    with pytest.raises(TrustListInvalid):
        read_trust_list(text)


def test_the_lists_are_read_again_while_a_node_is_served(
    lists: TrustLists, web: Web, space: Space, parties: PartyRegistry
) -> None:
    believe(lists, web, space, space.member(SHOP))
    web.pages[URL] = space.text(serial=2)
    lists.start()
    try:
        _wait_until(lambda: known(parties) == set())
    finally:
        lists.stop()


def _wait_until(holds: Any, patience_s: float = 30.0) -> None:
    import time

    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
