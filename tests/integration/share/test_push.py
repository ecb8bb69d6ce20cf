"""Rows carried to the consumer: by two real nodes, and by a hand that cuts, repeats and forges."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest

from gongshu.govern.errors import DatasetUnknown
from gongshu.model.ids import DatasetId
from gongshu.secure.gate import DatasetQuery
from gongshu.share import processes as store
from gongshu.share.automation import Rules
from gongshu.share.destination import build_destination, read_destination
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.states import State
from gongshu.share.encoding import Encoding, encode_batches
from gongshu.share.errors import InboxBusy, MessageInvalid, WaitedTooLong
from gongshu.share.model import Record
from gongshu.share.pushing import LEASE
from gongshu.share.receiving import Opening
from gongshu.share.terms import Terms
from tests.integration.share.site import Site, orders, two_sites
from tests.integration.share.test_end_to_end import contract

Sites = tuple[Site, Site]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with two_sites(tmp_path_factory.mktemp("push")) as sites:
        yield sites


def opening(
    name: str, *, purpose: str = "", encoding: Encoding = Encoding.ARROW, columns: tuple[str, ...] = ()
) -> Opening:
    return Opening(name, "", purpose, columns, encoding)


def pushed(sites: Sites, terms: Terms, dataset: str, wanted: Opening) -> Record:
    shop = sites[1]
    agreement = contract(sites, terms, dataset)  # type: ignore[arg-type]
    asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=wanted)
    return shop.share.wait_for(asked.process_id, {State.COMPLETED, State.TERMINATED}, 30)


def rows_of(site: Site, name: str) -> pa.Table:
    return site.gate.read(site.li, DatasetQuery(DatasetId(name)), purpose="quality").read_all()


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_push_brings_the_rows_counts_one_use_and_completes(pair: Sites, encoding: Encoding) -> None:
    mill, shop = pair
    dataset = mill.publish(f"push_{encoding}")
    terms = Terms(uses_max=1, purposes=frozenset({"quality"}), columns=frozenset({"part_number", "quantity"}))
    done = pushed(pair, terms, dataset, opening(f"got_{encoding}", purpose="quality", encoding=encoding))
    assert (done.state, done.reason) == (State.COMPLETED, "")
    kept = rows_of(shop, f"got_{encoding}").sort_by([("part_number", "ascending"), ("quantity", "ascending")])
    sent = orders().select(["part_number", "quantity"])
    assert kept.select(["part_number", "quantity"]).equals(
        sent.sort_by([("part_number", "ascending"), ("quantity", "ascending")])
    )
    served = mill.share.deliveries(agreement_id=done.agreement_id)[0]
    taken = shop.share.deliveries(agreement_id=done.agreement_id)[0]
    assert (served.rows, served.outcome, taken.rows, taken.stored_as) == (1000, "complete", 1000, f"got_{encoding}")
    assert mill.share.agreement(done.agreement_id).uses == 1
    assert [item.name for item in shop.folder.glob("spool/*")] == []


def ready_inbox(sites: Sites, name: str) -> tuple[Record, str, dict[str, str]]:
    """A started push whose provider never carries anything: the test is the provider."""
    mill, shop = sites
    dataset = mill.publish(name)
    agreement = contract(sites, Terms(unrestricted=True), dataset)
    mill.share.set_transfer_rules(agreement.agreement_id, Rules(), mill.li)
    asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=opening(f"got_{name}"))
    shop.share.wait_for(asked.process_id, {State.REQUESTED}, 20)
    record = shop.share.process(asked.process_id)
    shop_side = {"state": State.STARTED}
    with shop.database.begin() as connection:
        store.update_process(connection, record.process_id, shop_side)
    destination = read_destination(orjson.loads(record.data_address))
    return record, destination.address, dict(destination.headers)


def arrow(rows: int = 10) -> bytes:
    table = orders(rows)
    return b"".join(encode_batches(table.schema, iter(table.to_batches()), Encoding.ARROW))


def deliver(address: str, headers: dict[str, str], body: Any, *, key: str = "k1") -> httpx.Response:
    sent = {**headers, "Content-Type": Encoding.ARROW.media_type, "Idempotency-Key": key}
    return httpx.post(address, content=body, headers=sent, timeout=20, trust_env=False)


def test_an_inbox_takes_one_delivery_and_confirms_its_repetition_without_effect(pair: Sites) -> None:
    _, shop = pair
    record, address, headers = ready_inbox(pair, "once")
    assert deliver(address, {"Authorization": "Bearer wrong"}, arrow()).status_code == 401
    assert deliver(address, {}, arrow()).status_code == 401
    assert deliver(address + "x", headers, arrow()).status_code == 401
    assert deliver(address, headers, arrow()).json()["rows"] == 10
    assert deliver(address, headers, arrow(999)).status_code == 200
    assert deliver(address, headers, arrow(999), key="k2").status_code == 409
    assert rows_of(shop, "got_once").num_rows == 10
    assert [line.rows for line in shop.share.deliveries(agreement_id=record.agreement_id)] == [10]


def test_what_is_cut_forged_or_too_much_leaves_nothing(pair: Sites) -> None:
    _, shop = pair
    _, address, headers = ready_inbox(pair, "cut")
    body = arrow(5000)

    def torn() -> Iterator[bytes]:
        yield body[:-100]
        raise httpx.WriteError("the cable is cut")

    with pytest.raises(httpx.HTTPError):
        deliver(address, headers, torn())
    for broken in (body[:-8], body[:200], b"", b"\xff\xff\xff\xff" + b"x" * 100, b"PAR1"):
        until_free(partial(deliver, address, headers, broken), 400)
    with pytest.raises(DatasetUnknown):
        shop.catalogue.dataset(DatasetId("got_cut"))
    assert until_free(lambda: deliver(address, headers, body), 200).json()["rows"] == 5000


def until_free(send: Callable[[], httpx.Response], status_code: int) -> httpx.Response:
    """A cut connection is noticed a moment later; until then the inbox says that it is busy."""
    deadline = time.monotonic() + 60
    while (answer := send()).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.status_code == status_code, answer.text
    return answer


def test_a_push_whose_answer_was_lost_is_repeated_under_its_key_and_counts_once(pair: Sites) -> None:
    mill, shop = pair
    dataset = mill.publish("lost")
    agreement = contract(pair, Terms(uses_max=1), dataset)
    shop_key, real = [], shop.share.flows.inboxes.admit

    def lose_the_answer(*args: Any, push_key: str, **kwargs: Any) -> Any:
        shop_key.append(push_key)
        arrival = real(*args, push_key=push_key, **kwargs)
        if len(shop_key) == 1:
            finish = arrival.finish

            def kept_but_lost() -> Any:
                finish()
                raise InboxBusy(transfer_id="x", reason="the answer is lost")

            arrival.finish = kept_but_lost  # type: ignore[method-assign]
        return arrival

    shop.share.flows.inboxes.admit = lose_the_answer  # type: ignore[method-assign]
    try:
        asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=opening("kept_once"))
        done = shop.share.wait_for(asked.process_id, {State.COMPLETED}, 30)
    finally:
        shop.share.flows.inboxes.admit = real  # type: ignore[method-assign]
    assert len(shop_key) == 2
    assert shop_key[0] == shop_key[1] != ""
    assert mill.share.agreement(done.agreement_id).uses == 1
    assert [line.rows for line in shop.share.deliveries(agreement_id=done.agreement_id)] == [1000]


def test_many_pushes_at_once_share_the_uses_there_are(pair: Sites) -> None:
    mill, shop = pair
    agreement = contract(pair, Terms(uses_max=3), mill.publish("raced"))
    asked = [
        shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=opening(f"raced_{i}"))
        for i in range(6)
    ]
    ends = [shop.share.wait_for(a.process_id, {State.COMPLETED, State.TERMINATED}, 60).state for a in asked]
    assert sorted(ends) == [State.COMPLETED] * 3 + [State.TERMINATED] * 3
    assert mill.share.agreement(agreement.agreement_id).uses == 3


def test_a_push_whose_carrier_was_killed_in_the_middle_goes_on_and_counts_once(pair: Sites) -> None:
    mill, shop = pair
    agreement = contract(pair, Terms(uses_max=1), mill.publish("killed"))
    mill.share.flows.stop()
    try:
        asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=opening("kept_killed"))
        shop.share.wait_for(asked.process_id, {State.STARTED}, 20)
        ours = next(t for t in mill.share.transfers() if t.peer_pid == asked.process_id)
        mill.share.wait_for(ours.process_id, {State.STARTED}, 20)
        (killed,) = mill.share.flows.pusher.claim_due()
        document = orjson.loads(mill.share.process(ours.process_id).data_address)
        begun = mill.share.delivery.open_push(killed.record, read_destination(document))
        assert next(begun.pieces)
        assert mill.share.flows.pusher.claim_due() == []
        mill.clock.ahead = shop.clock.ahead = LEASE + timedelta(seconds=1)
        mill.share.flows.start()
        shop.share.wait_for(asked.process_id, {State.COMPLETED}, 20)
    finally:
        mill.clock.ahead = shop.clock.ahead = timedelta()
        mill.share.flows.start()
    assert mill.share.agreement(agreement.agreement_id).uses == 1
    (taken,) = shop.share.deliveries(agreement_id=agreement.agreement_id)
    assert (taken.rows, taken.request_key) == (1000, killed.push_key)


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/in", "http://169.254.169.254/", "file:///etc/passwd"])
def test_a_push_goes_to_no_address_but_the_partys(pair: Sites, place: str) -> None:
    mill, shop = pair
    agreement = contract(pair, Terms(unrestricted=True), mill.publish(f"elsewhere_{len(place)}"))
    real = shop.share.flows.inboxes.open
    elsewhere = build_destination(endpoint=place, token="t", encoding=Encoding.ARROW)
    shop.share.flows.inboxes.open = lambda *_: orjson.dumps(elsewhere).decode()  # type: ignore[method-assign]
    try:
        asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=opening("nowhere"))
        with pytest.raises(WaitedTooLong, match="address_refused"):
            shop.share.wait_for(asked.process_id, {State.STARTED}, 20)
    finally:
        shop.share.flows.inboxes.open = real  # type: ignore[method-assign]


def test_what_answers_a_push_is_not_told_to_who_named_the_address(pair: Sites) -> None:
    mill, shop = pair
    agreement = contract(pair, Terms(unrestricted=True), mill.publish("overheard"))
    real = shop.share.flows.inboxes.admit

    def answer(*_: Any, **__: Any) -> Any:
        raise MessageInvalid(what="delivery", reason="inner words")

    shop.share.flows.inboxes.admit = answer  # type: ignore[method-assign]
    try:
        asked = shop.share.transfer(agreement.agreement_id, shop.li, format=FORMAT_PUSH, opening=opening("overheard"))
        ended = shop.share.wait_for(asked.process_id, {State.TERMINATED}, 30)
    finally:
        shop.share.flows.inboxes.admit = real  # type: ignore[method-assign]
    assert "status 400" in ended.reason
    assert "inner words" not in ended.reason
    (given_up,) = mill.audit.entries(action="push.given_up", object=ended.peer_pid)
    assert "inner words" in str(given_up.details)


def test_who_delivers_learns_nothing_of_the_names_that_are_taken_here(pair: Sites) -> None:
    _, shop = pair
    shop.publish("got_inner")
    _, address, headers = ready_inbox(pair, "inner")
    answer = deliver(address, headers, arrow(10))
    assert answer.status_code == 409
    assert "copy_forbidden" in answer.text
    assert "origin" not in answer.text
    (entry,) = shop.audit.entries(action="data.not_kept")
    assert "another origin" in str(entry.details)
