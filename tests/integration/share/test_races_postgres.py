"""One act by several at once on PostgreSQL, where nobody waits for a turn: done once, with a clear answer to all."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from gongshu.database import Database
from gongshu.errors import GongshuError
from gongshu.model.access import Role
from gongshu.model.ids import DatasetId, PartyId
from gongshu.secure.jws import encode_jws
from gongshu.secure.keys import KeyStore
from gongshu.secure.parties import Party, PartyRegistry
from gongshu.share.data_addresses import DataAddresses
from gongshu.share.notices import KIND, NoticeBook
from gongshu.share.offers import OfferBook
from gongshu.share.partners import PartnerBook
from gongshu.share.policy import SharePolicy
from gongshu.share.tables import share_offers
from gongshu.share.terms import Terms
from tests.conftest import Clock
from tests.unit.share.world import MILL, ORDERS, SHOP, Memory, OpenGate, Shelf, subject

pytestmark = pytest.mark.postgres

AT_ONCE = 6
LI = subject(Role.PRODUCT_OWNER, Role.STEWARD)
_numbers = count(1)


@dataclass
class Mill:
    database: Database
    parties: PartyRegistry
    partners: PartnerBook
    offers: OfferBook
    shelf: Shelf
    addresses: DataAddresses
    notices: NoticeBook
    shop: KeyStore


@pytest.fixture(scope="module")
def mill(postgres_of_module: Database, tmp_path_factory: pytest.TempPathFactory) -> Mill:
    folder, clock, audit, database = tmp_path_factory.mktemp("races"), Clock(), Memory(), postgres_of_module
    parties, shelf = PartyRegistry(database, audit, clock), Shelf(clock)
    shop = KeyStore(folder / "shop")
    parties.add(Party(SHOP, "", shop.public_key_pem(), "http://shop.example"))
    return Mill(
        database,
        parties,
        PartnerBook(database, parties, audit, clock),
        OfferBook(database, OpenGate(), SharePolicy(shelf, clock), audit, clock),
        shelf,
        DataAddresses(database, parties, audit, clock),
        NoticeBook(database, KeyStore(folder / "mill"), parties, audit, clock, MILL),
        shop,
    )


def at_once(act: Callable[[], object]) -> list[str]:
    """Let several do it in the same moment; return the codes of those that were refused."""
    start = threading.Barrier(AT_ONCE)
    refused: list[str] = []
    wrong: list[Exception] = []

    def run() -> None:
        start.wait(30)
        try:
            act()
        except GongshuError as error:
            refused.append(error.code)
        except Exception as error:  # noqa: BLE001  # whatever else comes out is the fault that is looked for
            wrong.append(error)

    threads = [threading.Thread(target=run) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    return refused


def test_registering_one_party(mill: Mill, tmp_path: Path) -> None:
    for number in range(3):
        party = Party(PartyId(f"{SHOP}-{number}"), "", mill.shop.public_key_pem(), "http://x.example")
        assert at_once(partial(mill.parties.add, party)) == []
    pems = [KeyStore(tmp_path / str(number)).public_key_pem() for number in range(AT_ONCE)]
    refused = at_once(lambda: mill.parties.add(Party(PartyId(f"{SHOP}-x"), "", pems.pop(), "http://x.example")))
    assert refused == ["secure.party_key_differs"] * (AT_ONCE - 1)


def test_offering_one_dataset(mill: Mill) -> None:
    offer = partial(mill.offers.offer, ORDERS, Terms(unrestricted=True), LI)
    for number in range(3):
        assert at_once(partial(offer, offer_id=f"urn:o:{number}")) == ["share.offer_taken"] * (AT_ONCE - 1)
    assert at_once(offer) == []


def test_one_published_name_for_several_datasets(mill: Mill) -> None:
    for number in range(4):
        name, sets = f"urn:mill:name:{number}", [DatasetId(f"d{number}-{each}") for each in range(AT_ONCE)]
        for each in sets:
            mill.shelf.datasets[each] = replace(mill.shelf.datasets[ORDERS], dataset_id=each)
        offer = partial(mill.offers.offer, terms=Terms(unrestricted=True), actor=LI, published_as=name)
        assert at_once(lambda o=offer, s=sets: o(s.pop())) == ["share.name_taken"] * (AT_ONCE - 1)  # type: ignore[misc]
        with mill.database.connect() as connection:
            mine = sa.select(share_offers.c.dataset_id).where(share_offers.c.published_as == name)
            (owner,) = connection.execute(mine).scalars()
        assert offer(owner).published_as == name


def test_groups_places_payments_and_addresses(mill: Mill) -> None:
    for number in range(3):
        assert at_once(partial(mill.partners.add_to_group, f"g{number}", [SHOP], LI)) == []
        assert at_once(partial(mill.partners.confirm_payment, f"a{number}", f"bank {number}", LI)) == []
        assert at_once(partial(mill.partners.register_place, SHOP, "CN-33", "seen", LI)) == []
        assert at_once(partial(mill.addresses.add, SHOP, f"http://d{number}.example", LI)) == []
    refused = at_once(lambda: mill.partners.confirm_payment("a9", f"bank {next(_numbers)}00", LI))
    assert refused == ["share.partner_fact_invalid"] * (AT_ONCE - 1)


def test_one_notice_that_comes_many_times(mill: Mill) -> None:
    for number in range(3):
        claims = {"kind": KIND, "from": SHOP, "to": MILL, "id": f"urn:n:{number}", "agreement": "a"}
        body = orjson.dumps({"notice": encode_jws(claims, mill.shop)})
        assert at_once(partial(mill.notices.take, SHOP, body)) == []
