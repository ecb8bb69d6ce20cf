"""Two real nodes over HTTP: a dataset is offered, found, agreed on, delivered, counted and stopped."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
import sqlalchemy as sa

from gongshu.model.grade import Grade
from gongshu.model.ids import DatasetId
from gongshu.secure.errors import Denied, NotAllowed
from gongshu.secure.gate import DatasetQuery
from gongshu.share.arriving import read_data_address
from gongshu.share.dsp.states import State
from gongshu.share.errors import (
    ContractFrozen,
    GradeForbids,
    OfferUnknown,
    PeerRefused,
    PeopleAsked,
    ReasonMissing,
    TermsForbid,
    TermsInvalid,
    TransferStopped,
    WaitedTooLong,
)
from gongshu.share.looking import ANSWER_S
from gongshu.share.model import Agreement, AgreementStatus, Record
from gongshu.share.obtaining import obtain
from gongshu.share.tables import share_agreements
from gongshu.share.terms import Terms
from tests.integration.share.pantry import tell_end
from tests.integration.share.site import Site, orders

Sites = tuple[Site, Site]


def contract(sites: Sites, terms: Terms, dataset: DatasetId) -> Agreement:
    mill, shop = sites
    mill.share.offer(dataset, terms, mill.li)
    asked = shop.share.negotiate(mill.party, dataset, shop.li)
    done = shop.share.wait_for(asked.process_id, {State.FINALIZED}, 20)
    return shop.share.agreement(done.agreement_id)


def started(sites: Sites, terms: Terms, dataset: DatasetId) -> Record:
    shop = sites[1]
    agreement = contract(sites, terms, dataset)
    asked = shop.share.transfer(agreement.agreement_id, shop.li)
    return shop.share.wait_for(asked.process_id, {State.STARTED}, 20)


def provider_transfer(sites: Sites) -> Record:
    return sites[0].share.transfers()[0]


def test_a_dataset_travels_from_one_node_to_the_other_and_keeps_its_origin(sites: Sites) -> None:
    mill, shop = sites
    dataset = mill.publish()
    terms = Terms(parties=frozenset({shop.party}), uses_max=2, columns=frozenset({"part_number", "quantity"}))
    assert mill.share.preview(dataset, terms, shop.party, mill.li).column_names == ["part_number", "quantity"]
    transfer = started(sites, terms, dataset)
    kept = shop.share.pull_into(transfer.process_id, "mill_orders", shop.li)
    entry = shop.catalogue.dataset(kept)
    assert entry.origin == f"partner:{mill.party}"
    stored = shop.gate.read(shop.li, DatasetQuery(kept), purpose="quality").read_all()
    assert stored.select(["part_number", "quantity"]).equals(orders().select(["part_number", "quantity"]))
    served, pulled = mill.share.deliveries()[0], shop.share.deliveries()[0]
    assert (served.rows, served.outcome, pulled.rows, pulled.stored_as) == (1000, "complete", 1000, kept)
    assert pulled.agreement_id == transfer.agreement_id
    assert mill.share.agreement(transfer.agreement_id).uses_left == 1
    actions = {entry.action for entry in mill.audit.entries(limit=500)}
    assert {"offer.published", "negotiation.finalized", "transfer.started", "data.delivered"} <= actions


def test_the_third_use_over_a_limit_of_two_is_refused(sites: Sites) -> None:
    transfer = started(sites, Terms(uses_max=2), sites[0].publish())
    shop = sites[1].share
    assert shop.pull(transfer.process_id, sites[1].li).num_rows == 1000
    assert shop.pull(transfer.process_id, sites[1].li).num_rows == 1000
    with pytest.raises(PeerRefused, match="2 uses are used up"):
        shop.pull(transfer.process_id, sites[1].li)
    refusals = sites[0].audit.entries(action="data.refused")
    assert refusals[0].outcome == "denied"


def test_ten_at_once_share_two_uses(sites: Sites) -> None:
    transfer = started(sites, Terms(uses_max=2), sites[0].publish())
    outcomes: list[bool] = []

    def pull() -> None:
        try:
            sites[1].share.pull(transfer.process_id, sites[1].li)
            outcomes.append(True)
        except PeerRefused:
            outcomes.append(False)

    threads = [threading.Thread(target=pull) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 8 + [True] * 2
    assert sites[0].share.agreement(transfer.agreement_id).uses == 2


def test_only_the_agreed_purpose_columns_and_rows_are_served(sites: Sites) -> None:
    shop = sites[1]
    terms = Terms(purposes=frozenset({"quality"}), columns=frozenset({"quantity"}), rows_max=10)
    transfer = started(sites, terms, sites[0].publish())
    for purpose in ("", "marketing"):
        with pytest.raises(PeerRefused, match="purpose"):
            shop.share.pull(transfer.process_id, shop.li, purpose=purpose)
    with pytest.raises(PeerRefused, match="part_number"):
        shop.share.pull(transfer.process_id, shop.li, purpose="quality", columns=["part_number"])
    table = shop.share.pull(transfer.process_id, shop.li, purpose="quality")
    assert (table.column_names, table.num_rows) == (["quantity"], 10)
    assert sites[0].share.agreement(transfer.agreement_id).uses == 1


def test_nothing_flows_after_the_last_day(sites: Sites) -> None:
    mill, shop = sites
    terms = Terms(until=mill.clock() + timedelta(hours=1))
    transfer = started(sites, terms, mill.publish())
    mill.clock.ahead = shop.clock.ahead = timedelta(hours=2)
    with pytest.raises((PeerRefused, TransferStopped)):
        shop.share.pull(transfer.process_id, shop.li)
    with pytest.raises(TermsForbid, match="has ended"):
        shop.share.transfer(transfer.agreement_id, shop.li)
    ended = shop.share.wait_for(transfer.process_id, {State.TERMINATED}, 20)
    assert "ended at" in ended.reason


def test_a_party_that_is_not_named_does_not_see_the_offer(sites: Sites) -> None:
    mill, shop = sites
    mill.parties.add(type(mill.parties.all()[0])("urn:gongshu:party:other", "other", shop.keys.public_key_pem()))  # type: ignore[arg-type]
    dataset = mill.publish()
    mill.share.offer(dataset, Terms(parties=frozenset({"urn:gongshu:party:other"})), mill.li)  # type: ignore[arg-type]
    assert shop.share.catalogue_of(mill.party, shop.li).datasets == ()
    with pytest.raises(OfferUnknown):
        shop.share.negotiate(mill.party, dataset, shop.li)


def test_what_may_not_be_shared_cannot_be_offered(sites: Sites) -> None:
    mill, shop = sites
    unconfirmed = mill.store.write("drafts", orders(10), title="Drafts", origin="import:x")
    secret = mill.publish("secret", 10, grade=Grade.THREE)
    second = mill.publish("second", 10, grade=Grade.TWO)
    with pytest.raises(GradeForbids, match="only proposed"):
        mill.share.offer(unconfirmed, Terms(uses_max=1), mill.li)
    with pytest.raises(GradeForbids, match="三级"):
        mill.share.offer(secret, Terms(parties=frozenset({shop.party})), mill.li)
    with pytest.raises(GradeForbids, match="named parties"):
        mill.share.offer(second, Terms(uses_max=1), mill.li)
    with pytest.raises(GradeForbids, match="the place of"):
        mill.share.offer(second, Terms(parties=frozenset({shop.party})), mill.li)
    mill.share.desk.register_place(shop.party, "CN-33", "business licence, seen on paper", mill.li)
    mill.share.offer(second, Terms(parties=frozenset({shop.party})), mill.li)
    with pytest.raises(TermsInvalid):
        mill.share.offer(second, Terms(), mill.li)
    from gongshu.model.access import Role, Subject

    viewer = Subject(mill.li.subject_id, mill.party, frozenset({Role.VIEWER}))
    with pytest.raises(NotAllowed):
        mill.share.offer(second, Terms(parties=frozenset({shop.party})), viewer)
    foreign = Subject(mill.li.subject_id, shop.party, frozenset({Role.PRODUCT_OWNER}))
    with pytest.raises(Denied):
        mill.share.offer(second, Terms(parties=frozenset({shop.party})), foreign)


def test_data_regraded_to_three_stop_flowing_under_a_running_agreement(sites: Sites) -> None:
    mill, shop = sites
    dataset = mill.publish()
    transfer = started(sites, Terms(uses_max=9), dataset)
    shop.share.pull(transfer.process_id, shop.li)
    mill.confirm(dataset, Grade.THREE)
    with pytest.raises(PeerRefused, match="三级"):
        shop.share.pull(transfer.process_id, shop.li)


def test_suspension_stops_at_once_and_resumption_brings_a_new_token(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=9), mill.publish())
    before = shop.share.process(transfer.process_id).data_address
    address = read_data_address(_json(before))
    mine = provider_transfer(sites)
    mill.share.suspend(mine.process_id, mill.li, "maintenance")
    refused = httpx.get(address.endpoint, headers={"Authorization": address.authorization})
    assert refused.status_code in (401, 409)
    shop.share.wait_for(transfer.process_id, {State.SUSPENDED}, 20)
    with pytest.raises(TransferStopped):
        shop.share.pull(transfer.process_id, shop.li)
    mill.share.resume(mine.process_id, mill.li)
    resumed = shop.share.wait_for(transfer.process_id, {State.STARTED}, 20)
    assert resumed.data_address != before
    assert shop.share.pull(transfer.process_id, shop.li).num_rows == 1000


def test_a_consumer_suspends_and_resumes_too(sites: Sites) -> None:
    shop = sites[1]
    transfer = started(sites, Terms(uses_max=9), sites[0].publish())
    shop.share.suspend(transfer.process_id, shop.li)
    shop.share.wait_for(transfer.process_id, {State.SUSPENDED}, 20)
    shop.share.resume(transfer.process_id, shop.li)
    shop.share.wait_for(transfer.process_id, {State.STARTED}, 20)
    assert shop.share.pull(transfer.process_id, shop.li).num_rows == 1000


def test_a_retired_agreement_ends_its_transfers_on_both_sides(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=9), mill.publish())
    address = read_data_address(_json(shop.share.process(transfer.process_id).data_address))
    with pytest.raises(ReasonMissing):
        mill.share.retire(transfer.agreement_id, mill.li, " ")
    assert mill.share.agreement(transfer.agreement_id).status is AgreementStatus.ACTIVE
    mill.share.retire(transfer.agreement_id, mill.li, "breach of purpose")
    refused = httpx.get(address.endpoint, headers={"Authorization": address.authorization})
    assert refused.status_code in (401, 403, 409)
    ended = shop.share.wait_for(transfer.process_id, {State.TERMINATED}, 20)
    assert "breach of purpose" in ended.reason


def test_an_expired_token_is_renewed_once_by_whoever_needs_it(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=9), mill.publish())
    old = read_data_address(_json(shop.share.process(transfer.process_id).data_address))
    mill.clock.ahead = shop.clock.ahead = timedelta(seconds=400)
    refused = httpx.get(old.endpoint, headers={"Authorization": old.authorization})
    assert (refused.status_code, refused.json()["code"]) == (401, "share.data_token_invalid")
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(shop.share.pull(transfer.process_id, shop.li).num_rows))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1000] * 4


def test_csv_and_parquet_are_served_as_asked(sites: Sites) -> None:
    transfer = started(sites, Terms(uses_max=9), sites[0].publish())
    address = read_data_address(_json(sites[1].share.process(transfer.process_id).data_address))
    headers = {"Authorization": address.authorization}
    csv = httpx.get(address.endpoint, headers={**headers, "Accept": "text/csv"})
    parquet = httpx.get(address.endpoint, headers={**headers, "Accept": "application/vnd.apache.parquet"})
    assert pa_csv.read_csv(pa.BufferReader(csv.content)).num_rows == 1000
    assert pa_parquet.read_table(pa.BufferReader(parquet.content)).num_rows == 1000


def test_a_large_dataset_is_streamed_and_a_stop_cuts_the_stream(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=9), mill.publish(rows=2_000_000))
    address = read_data_address(_json(shop.share.process(transfer.process_id).data_address))
    headers = {"Authorization": address.authorization, "Accept": "application/vnd.apache.arrow.stream"}
    with httpx.stream("GET", address.endpoint, headers=headers, timeout=20) as response:
        parts = response.iter_bytes(65536)
        next(parts)
        mill.share.terminate(provider_transfer(sites).process_id, mill.li, "enough")
        with pytest.raises(httpx.HTTPError):
            deque(parts)
    assert mill.share.deliveries()[0].outcome == "stopped"


def test_a_large_dataset_arrives_whole(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(uses_max=9), mill.publish(rows=500_000))
    pulled = shop.share.pull(transfer.process_id, shop.li)
    assert pulled.sort_by("line_number").equals(orders(500_000))


def test_pages_of_a_catalogue_are_followed(sites: Sites) -> None:
    mill, shop = sites
    for number in range(55):
        mill.share.offer(mill.publish(f"set_{number:02}", 3), Terms(uses_max=1), mill.li)
    first = shop.share.catalogue_of(mill.party, shop.li)
    assert (len(first.datasets), bool(first.next_page)) == (50, True)
    second = shop.share.catalogue_of(mill.party, shop.li, page=first.next_page)
    assert [d.dataset_id for d in second.datasets] == [f"set_{n}" for n in range(50, 55)]
    assert not second.next_page
    again = shop.share.catalogue_of(mill.party, shop.li, page=second.previous_page)
    assert (again.datasets, again.previous_page) == (first.datasets, "")
    assert [d.dataset_id for d in shop.share.catalogue_of(mill.party, shop.li, search="SET_07").datasets] == ["set_07"]


def test_a_person_approves_and_another_declines(sites: Sites) -> None:
    from gongshu.share.automation import ASK_FIRST

    mill, shop = sites
    dataset = mill.publish()
    mill.share.offer(dataset, Terms(uses_max=1), mill.li, rules=ASK_FIRST)
    for answer, state in (("approve", State.FINALIZED), ("decline", State.TERMINATED)):
        asked = shop.share.negotiate(mill.party, dataset, shop.li)
        waiting = _waiting(mill)
        getattr(mill.share, answer)(waiting.process_id, mill.li)
        done = shop.share.wait_for(asked.process_id, {state}, 20)
        assert done.state is state


def test_who_asks_again_while_a_person_has_to_answer_asks_for_no_second_contract(sites: Sites) -> None:
    from gongshu.share.automation import ASK_FIRST

    mill, shop = sites
    dataset = mill.publish()
    offer = mill.share.offer(dataset, Terms(uses_max=1), mill.li, rules=ASK_FIRST)
    for _ in range(2):
        with pytest.raises(WaitedTooLong, match=r"the other side has to answer.*gongshu share negotiations"):
            obtain(shop.share, mill.party, dataset, shop.li, timeout_s=0.3)
    assert len(shop.share.negotiations()) == 1
    shop.clock.ahead += timedelta(seconds=ANSWER_S)
    with pytest.raises(PeopleAsked, match=r"one of its people has to\. .* by itself; see `gongshu share negotiations`"):
        obtain(shop.share, mill.party, dataset, shop.li)
    mill.share.withdraw(offer.offer_id, mill.li)
    mill.share.offer(dataset, Terms(uses_max=2), mill.li)
    newest = mill.share.offer(dataset, Terms(uses_max=2), mill.li)
    got = obtain(shop.share, mill.party, dataset, shop.li)
    (made,) = (record for record in shop.share.negotiations() if record.agreement_id == got.agreement_id)
    assert made.offer_id == newest.offer_id, "two offers that say the same are one to who asks"
    assert shop.share.agreement(got.agreement_id).terms.uses_max == 2, "other terms are asked for anew"
    with shop.database.begin() as connection:
        mine = share_agreements.c.agreement_id == got.agreement_id
        connection.execute(sa.update(share_agreements).where(mine).values(status=AgreementStatus.DISPUTED))
    asked = len(shop.share.negotiations())
    with pytest.raises(ContractFrozen, match="evidence settle"):
        obtain(shop.share, mill.party, dataset, shop.li)
    assert len(shop.share.negotiations()) == asked, "a dispute is not passed by with another contract"


def test_a_counter_offer_can_be_accepted(sites: Sites) -> None:
    mill, shop = sites
    dataset = mill.publish()
    mill.share.offer(dataset, Terms(uses_max=1), mill.li)
    asked = shop.share.negotiate(mill.party, dataset, shop.li, terms=Terms(uses_max=9))
    mill.share.counter(_waiting(mill).process_id, Terms(uses_max=4), mill.li)
    shop.share.wait_for(asked.process_id, {State.OFFERED}, 20)
    shop.share.approve(_waiting(shop).process_id, shop.li)
    done = shop.share.wait_for(asked.process_id, {State.FINALIZED}, 20)
    assert mill.share.agreement(done.agreement_id).terms == shop.share.agreement(done.agreement_id).terms
    assert shop.share.agreement(done.agreement_id).uses_left == 4


def test_waiting_says_why_it_does_not_go_on(sites: Sites) -> None:
    from gongshu.share.automation import ASK_FIRST

    mill, shop = sites
    dataset = mill.publish()
    mill.share.offer(dataset, Terms(uses_max=1), mill.li, rules=ASK_FIRST)
    asked = shop.share.negotiate(mill.party, dataset, shop.li)
    with pytest.raises(WaitedTooLong, match="REQUESTED"):
        shop.share.wait_for(asked.process_id, {State.FINALIZED}, 1)


def _waiting(site: Site) -> Record:
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = site.share.negotiations(waiting=True)
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("nothing waits for a person")


def _json(text: str) -> dict[str, object]:
    import orjson

    document: dict[str, object] = orjson.loads(text)
    return document


def test_a_copy_tells_its_provider_of_each_reading_and_of_its_deletion(sites: Sites) -> None:
    mill, shop = sites
    transfer = started(sites, Terms(no_onward=True, legal_only=frozenset({"no_onward"})), mill.publish())
    agreement = transfer.agreement_id
    kept = shop.share.pull_into(transfer.process_id, "mill_orders", shop.li)
    shop.gate.read(shop.li, DatasetQuery(kept), purpose="quality").read_all()
    told = wait_until(lambda: [r for r in mill.keeping.receipts(agreement) if r.body["operation"] == "read"])
    assert [(r.body["rows"], r.body["purpose"], r.body["role"]) for r in told] == [
        (1000, "quality", "product_owner+steward")
    ]
    shown = httpx.get(f"{mill.address}/api/v1/share/receipts/{agreement}", timeout=10).json()
    assert shown["faults"] == []
    assert "read" in {receipt["operation"] for receipt in shown["receipts"]}
    (line,) = httpx.get(f"{shop.address}/api/v1/share/kept", timeout=10).json()
    assert (line["dataset_id"], line["rows"], line["agreements"]) == (kept, 1000, [agreement])
    mill.share.retire(agreement, mill.li, "over")
    tell_end(mill, shop)
    for site in sites:
        site.clock.ahead += timedelta(minutes=2)  # the job looks for what is owed once a minute
    assert wait_until(lambda: [d for d in mill.keeping.deletions() if d.state == "proved"])
    (ours,) = wait_until(lambda: httpx.get(f"{shop.address}/api/v1/share/deletions", timeout=10).json())
    assert ours["files"] == 1
    with pytest.raises(Denied, match="deleted"):
        shop.gate.read(shop.li, DatasetQuery(kept), purpose="quality")
    assert shop.share.agreement(agreement).reason == "the other side ended it: over"
    for path in ("/share/usage", "/share/deletions"):
        assert httpx.post(f"{mill.address}{path}", content=b"{}", timeout=10).status_code in (401, 403, 404)


def wait_until(look: Callable[[], list[Any]]) -> list[Any]:
    """Return what comes to be seen, however busy the machine is."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found
