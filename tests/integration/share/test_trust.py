"""A partner known by the trust list of its space alone: what flows to it ends when the list drops it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gongshu.secure.dcp.fetching import HttpFetch
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party
from gongshu.secure.peer_tls import TlsSettings
from gongshu.secure.trust_documents import write_trust_list
from gongshu.secure.trust_lists import TrustLists
from gongshu.share.admission import Admission
from gongshu.share.arriving import read_data_address
from gongshu.share.errors import PeerUnreachable, TermsForbid
from gongshu.share.peer import HttpWire
from gongshu.share.terms import Phase, Terms
from gongshu.share.tokens import TokenDesk
from tests.integration.share.site import Site
from tests.integration.share.test_end_to_end import Sites, started
from tests.integration.share.test_hostile import get

PAUSE_S = 0.005
"""Between two pieces: the whole takes seconds, a running delivery is judged each second."""


class Valley:
    """The space of the shop, and the mill's belief in its list."""

    def __init__(self, folder: Path, mill: Site, shop: Site) -> None:
        self.mill, self.shop, self.serial = mill, shop, 0
        self.file, self.keys = folder / "trust.txt", KeyStore(folder / "operator")
        self.lists = TrustLists(
            mill.database, mill.parties, mill.audit, mill.clock, HttpFetch(TlsSettings()), mill.party, ["gongshu"]
        )

    def publish(self, *members: Party) -> None:
        self.serial += 1
        now = self.mill.clock()
        ends = now + timedelta(days=1)
        text = write_trust_list(
            self.keys,
            space_id="urn:gongshu:space:valley",
            serial=self.serial,
            issued_at=now,
            valid_until=ends,
            members=members,
        )
        self.file.write_text(text, encoding="utf-8")

    def drop(self) -> None:
        self.publish()
        self.lists.refresh()


@pytest.fixture
def valley(sites: Sites, tmp_path: Path) -> Valley:
    mill, shop = sites
    by_hand = mill.parties.get(shop.party)
    mill.parties.remove(shop.party)
    valley = Valley(tmp_path / "valley", mill, shop)
    valley.publish(replace(by_hand, roles=("user",)))
    valley.lists.add(str(valley.file), valley.keys.fingerprint())
    return valley


def read_slowly(parts: Iterator[bytes]) -> None:
    for _ in parts:
        time.sleep(PAUSE_S)


def test_a_member_that_goes_loses_its_running_delivery_and_the_door(sites: Sites, valley: Valley) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=9), mill.publish(rows=2_000_000))
    address = read_data_address(json.loads(str(shop.share.process(transfer.process_id).data_address)))
    headers = {"Authorization": address.authorization, "Accept": "application/vnd.apache.arrow.stream"}
    with httpx.stream("GET", address.endpoint, headers=headers, timeout=20) as response:
        parts = response.iter_bytes(65536)
        next(parts)
        valley.drop()
        with pytest.raises(httpx.HTTPError):
            read_slowly(parts)
    assert mill.share.deliveries()[0].outcome == "stopped"
    assert httpx.get(address.endpoint, headers=headers).status_code == 403
    assert get(shop, mill, "/catalog/datasets/orders").status_code == 404


def test_a_list_does_not_make_us_call_our_own_network(valley: Valley) -> None:
    """The address of a member came by a list: nobody of ours looked where it leads."""
    mill, shop = valley.mill, valley.shop
    wire = HttpWire(mill.parties, mill.identities, mill.clock)
    with pytest.raises(PeerUnreachable, match="partner_networks"):
        wire.base_of(shop.party)
    mill.parties.replace(replace(mill.parties.get(shop.party), space="", valid_until=None))
    assert wire.base_of(shop.party).startswith(shop.address)
    wire.close()


@pytest.mark.parametrize("phase", [Phase.TRANSFER, Phase.ACCESS])
def test_what_a_third_party_took_back_ends_what_runs(sites: Sites, phase: Phase) -> None:
    """`permitted` is asked before the first row and each second while rows flow."""
    mill = sites[0]
    started(sites, Terms(unrestricted=True), mill.publish())
    record = mill.share.transfers()[0]
    parts = (mill.database, mill.share.engine, mill.share._policy, mill.parties)
    tokens = TokenDesk(mill.database, mill.clock, 300)
    sound = Admission(*parts, tokens, standing=mill.identities.why_not_standing)
    assert sound.permitted(record, phase).agreement_id == record.agreement_id
    with pytest.raises(TermsForbid, match="revoked"):
        Admission(*parts, tokens, standing=lambda party: "revoked").permitted(record, phase)
