"""Contracts between two real nodes: both sign, terms of every kind bind, versions replace each other."""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from gongshu.share.contract_check import check_chain, check_contract
from gongshu.share.contracts.attaching import NewAttachment
from gongshu.share.dsp.states import State
from gongshu.share.errors import (
    AttachmentInvalid,
    MessageInvalid,
    PartnerFactInvalid,
    PeerRefused,
    SelectionInvalid,
    TermsForbid,
    WaitedTooLong,
)
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.terms import Comparison, Operation, Payment, RowCondition, Terms
from tests.integration.share.site import Site, two_sites

Sites = tuple[Site, Site]
NUMBERS = count(1)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    folder: Path = tmp_path_factory.mktemp("contracts")
    with two_sites(folder) as made:
        yield made


def agreed(sites: Sites, terms: Terms, *, dataset: str = "", replaces: str = "", attachment: bytes = b"") -> Agreement:
    mill, shop = sites
    name = dataset or f"orders_{next(NUMBERS)}"
    if not dataset:
        mill.publish(name, rows=260)
    files = [NewAttachment("质量.txt", "text/plain", attachment)] if attachment else []
    dataset_id = mill.catalogue.dataset(name).dataset_id  # type: ignore[arg-type]
    offer = mill.share.offer(dataset_id, terms, mill.li, attachments=files)
    asked = shop.share.negotiate(mill.party, name, shop.li, offer_id=offer.offer_id, replaces=replaces)
    wanted = State.AGREED if attachment else State.FINALIZED
    done = shop.share.wait_for(asked.process_id, {wanted}, 30)
    if attachment:
        while not shop.share.process(asked.process_id).waiting:
            shop.share.wait_for(asked.process_id, {State.AGREED}, 1)
    return shop.share.agreement(done.agreement_id)


def started(sites: Sites, agreement: Agreement) -> Record:
    shop = sites[1]
    asked = shop.share.transfer(agreement.agreement_id, shop.li)
    return shop.share.wait_for(asked.process_id, {State.STARTED}, 30)


def pulled(sites: Sites, agreement: Agreement, *columns: str) -> pa.Table:
    shop = sites[1]
    return shop.share.pull(started(sites, agreement).process_id, shop.li, columns=columns)


def test_two_nodes_of_this_kind_sign_one_document(sites: Sites) -> None:
    mill, shop = sites
    agreement = agreed(sites, Terms(uses_max=3, no_onward=True, delete_after_s=86_400))
    ours, theirs = (site.share.desk.contract(agreement.agreement_id, site.li) for site in sites)
    assert ours.is_two_sided
    assert ours.document == theirs.document
    known = {str(mill.party): mill.keys.fingerprint(), str(shop.party): shop.keys.fingerprint()}
    assert check_contract(ours.document, ours.signatures, known_keys=known) == []
    assert agreement.status is AgreementStatus.ACTIVE


def test_only_rows_that_meet_the_conditions_leave(sites: Sites) -> None:
    rows = {
        RowCondition("quantity", Comparison.AT_LEAST, frozenset({"10"})),
        RowCondition("part_number", Comparison.AMONG, frozenset({"P-1", "P-2"})),
    }
    table = pulled(sites, agreed(sites, Terms(rows_where=frozenset(rows))), "part_number", "quantity")
    assert table.num_rows > 0
    assert set(table["part_number"].to_pylist()) == {"P-1", "P-2"}
    assert min(table["quantity"].to_pylist()) == 10


def test_only_figures_over_large_groups_leave_where_that_was_agreed(sites: Sites) -> None:
    terms = Terms(
        operations=frozenset({Operation.AGGREGATE, Operation.EXPORT}),
        aggregate_min=38,
        columns=frozenset({"part_number", "quantity"}),
    )
    agreement = agreed(sites, terms)
    table = pulled(sites, agreement, "part_number", "count(*)", "avg(quantity)")
    assert table.column_names == ["part_number", "count(*)", "avg(quantity)"]
    assert table.num_rows == 1, "260 rows over 7 parts: one part has 38, the others 37"
    for columns in ((), ("quantity",), ("max(quantity)",), ("line_number", "count(*)")):
        with pytest.raises((PeerRefused, TermsForbid, SelectionInvalid, MessageInvalid)):
            pulled(sites, agreement, *columns)
    mill = sites[0]
    shown = mill.share.preview(mill.share.agreement(agreement.agreement_id).dataset_id, terms, sites[1].party, mill.li)  # type: ignore[arg-type]
    assert shown.to_pylist() == [{"count(*)": 260, "avg(quantity)": 6.0}]


def test_a_transfer_waits_for_the_payment_and_starts_by_itself_then(sites: Sites) -> None:
    mill, shop = sites
    agreement = agreed(sites, Terms(payment=Payment("1200.00", "CNY")))
    asked = shop.share.transfer(agreement.agreement_id, shop.li)
    with pytest.raises(WaitedTooLong):
        shop.share.wait_for(asked.process_id, {State.STARTED}, 0.5)
    with pytest.raises(PartnerFactInvalid):
        shop.share.desk.confirm_payment(agreement.agreement_id, "bank 1", shop.li)
    while not any(record.waiting for record in mill.share.transfers(waiting=True)):
        shop.share.wait_for(asked.process_id, {State.REQUESTED}, 1)
    mill.share.desk.confirm_payment(agreement.agreement_id, "bank 1", mill.li)
    assert shop.share.wait_for(asked.process_id, {State.STARTED}, 30).state is State.STARTED


def test_the_named_party_gets_a_signed_notice_of_each_use(sites: Sites) -> None:
    mill, shop = sites
    agreement = agreed(sites, Terms(notify=frozenset({shop.party})))
    pulled(sites, agreement)
    until = time.monotonic() + 60
    while not any(each.sent_at for each in mill.share.desk.notices(mill.li, received=False)):
        assert time.monotonic() < until, "the notice was not sent"
        mill.share.step()
    (notice,) = [
        each for each in shop.share.desk.notices(shop.li, received=True) if each.agreement_id == agreement.agreement_id
    ]
    assert notice.claims["user"] == shop.party
    sent = [each for each in mill.share.desk.notices(mill.li, received=False) if each.sent_at]
    assert [each.agreement_id for each in sent] == [agreement.agreement_id]
    refused = httpx.post(f"{shop.address}/share/notices", json={"notice": "x"})
    assert refused.status_code == 401


def test_leaving_a_group_stops_the_next_request(sites: Sites) -> None:
    mill, shop = sites
    mill.share.desk.add_to_group("suppliers", [shop.party], mill.li)
    agreement = agreed(sites, Terms(groups=frozenset({"suppliers"})))
    transfer = started(sites, agreement)
    assert shop.share.pull(transfer.process_id, shop.li).num_rows == 260
    mill.share.desk.remove_from_group("suppliers", shop.party, mill.li)
    with pytest.raises((PeerRefused, TermsForbid)):
        shop.share.pull(transfer.process_id, shop.li)


def test_a_duration_ends_the_use(sites: Sites) -> None:
    mill, shop = sites
    agreement = agreed(sites, Terms(duration_s=3600))
    transfer = started(sites, agreement)
    mill.clock.ahead += timedelta(hours=2)
    try:
        with pytest.raises((PeerRefused, TermsForbid)):
            shop.share.pull(transfer.process_id, shop.li)
    finally:
        mill.clock.ahead -= timedelta(hours=2)


def test_a_newer_version_takes_the_place_of_the_older(sites: Sites) -> None:
    mill, shop = sites
    first = agreed(sites, Terms(uses_max=1))
    second = agreed(sites, Terms(uses_max=9), dataset=first.dataset_id, replaces=first.agreement_id)
    for site in sites:
        assert site.share.agreement(first.agreement_id).status is AgreementStatus.RETIRED
        versions, problems = site.share.desk.chain(second.agreement_id, site.li)
        assert problems == []
        assert check_chain([each.document for each in versions]) == []
    with pytest.raises(TermsForbid):
        shop.share.transfer(first.agreement_id, shop.li)
    assert mill.share.agreement(second.agreement_id).status is AgreementStatus.ACTIVE


def test_an_attachment_is_read_before_the_contract_is_signed(sites: Sites) -> None:
    mill, shop = sites
    waiting = agreed(sites, Terms(uses_max=1), attachment="合格".encode())
    assert waiting.status is AgreementStatus.PENDING
    process = next(record for record in shop.share.negotiations(waiting=True))
    assert "attachments" in process.waiting
    (listed,) = shop.share.desk.awaiting(process.process_id, shop.li)
    assert (listed.name, listed.size_bytes) == ("质量.txt", 6)
    assert shop.share.desk.attachment(waiting.agreement_id, "质量.txt", shop.li).decode() == "合格"
    with pytest.raises(AttachmentInvalid):
        shop.share.desk.attachment(waiting.agreement_id, "other.txt", shop.li)
    shop.share.approve(process.process_id, shop.li)
    shop.share.wait_for(process.process_id, {State.FINALIZED}, 30)
    assert shop.share.desk.attachment(waiting.agreement_id, "质量.txt", shop.li).decode() == "合格"
    assert shop.share.desk.attachment(waiting.agreement_id, "质量.txt", shop.li).decode() == "合格"
    with pytest.raises(AttachmentInvalid):
        shop.share.desk.attachment(waiting.agreement_id, "other.txt", shop.li)
    with pytest.raises(AttachmentInvalid):
        mill.share.desk.give_attachment(mill.party, b'{"agreement": "x", "name": "y"}')


def test_an_offer_with_a_file_that_cannot_be_attached_is_no_offer(sites: Sites) -> None:
    mill = sites[0]
    name = f"orders_{next(NUMBERS)}"
    mill.publish(name, rows=10)
    dataset_id, before = mill.catalogue.dataset(name).dataset_id, len(mill.share.offers(limit=1000))  # type: ignore[arg-type]
    good = NewAttachment("a.txt", "text/plain", b"a")
    for bad in (NewAttachment("", "text/plain", b"a"), NewAttachment("../a", "text/plain", b"a"), good):
        with pytest.raises(AttachmentInvalid):
            mill.share.offer(dataset_id, Terms(uses_max=1), mill.li, attachments=[good, bad])
    assert len(mill.share.offers(limit=1000)) == before


def test_programs_see_contracts_and_facts_over_http(sites: Sites) -> None:
    mill, shop = sites
    agreement = agreed(sites, Terms(uses_max=2))
    with httpx.Client(base_url=mill.address) as client:
        base = "/api/v1/share"
        shown = client.get(f"{base}/contracts/{agreement.agreement_id}", params={"form": "digital-contract"}).json()
        assert shown["使用控制"]["次数"] == 2
        text = client.get(f"{base}/contracts/{agreement.agreement_id}", params={"form": "text", "language": "zh"})
        assert "双方签名有效" in text.json()["text"]
        odrl = client.get(f"{base}/contracts/{agreement.agreement_id}", params={"form": "odrl"}).json()
        assert odrl["@type"] == "Agreement"
        assert client.get(f"{base}/contracts/{agreement.agreement_id}").json()["two_sided"] is True
        assert client.get(f"{base}/contract-chains/{agreement.agreement_id}").json()["problems"] == []
        assert client.get(f"{base}/contracts/urn:uuid:nothing").status_code == 404
        body = {"members": [shop.party], "title": "Buyers"}
        assert client.post(f"{base}/groups/buyers/members", json=body).status_code == 201
        assert "buyers" in {group["group_id"] for group in client.get(f"{base}/groups").json()}
        assert client.delete(f"{base}/groups/buyers/members/{shop.party}").json()["members"] == []
        place = {"party": shop.party, "place": "CN-33", "basis": "licence"}
        assert client.post(f"{base}/places", json=place).status_code == 201
        assert [entry["place"] for entry in client.get(f"{base}/places").json()] == ["CN-33"]
        assert client.post(f"{base}/payments/{agreement.agreement_id}", json={"reference": "x"}).status_code == 400
        assert isinstance(client.get(f"{base}/notices", params={"received": False}).json(), list)
        files = {"file": ("a.txt", b"a", "text/plain")}
        assert client.post(f"{base}/attachments/urn:uuid:nothing", files=files).status_code == 404
        missing = client.get(f"{base}/attachments/{agreement.agreement_id}", params={"name": "a.txt"})
        assert missing.status_code == 400
