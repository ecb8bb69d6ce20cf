"""Entries on their way: sent until acknowledged, taken once, and refused with a reason when they cannot be believed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongshu.share.errors import MessageInvalid
from gongshu.share.evidence.entries import ENTRY_DOMAIN
from gongshu.share.keeping.chain import canonical, sign
from gongshu.share.ports import Reply
from tests.unit.share.evidence_world import CONTRACT, MILL, Office, Street


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.close()


def sent(office: Office) -> list[dict[str, Any]]:
    """What the office would send now, without anybody taking it."""
    caught: list[dict[str, Any]] = []

    def post(party: str, path: str, body: bytes) -> Reply:
        caught.extend(orjson.loads(body)["entries"])
        return Reply(503)

    kept, office.post = office.post, post
    office.evidence.step()
    office.post = kept
    return caught


def given(street: Street, entries: list[dict[str, Any]], sender: str = MILL) -> dict[str, Any]:
    return street.shop.evidence.take(sender, orjson.dumps({"entries": entries}))  # type: ignore[arg-type]


def signed(office: Office, body: dict[str, Any]) -> dict[str, Any]:
    return {"body": body, "signature": sign(ENTRY_DOMAIN, canonical(body), office.keys.sign)}


def reason_of(answer: dict[str, Any]) -> str:
    assert answer["accepted"] == []
    (refused,) = answer["refused"]
    return str(refused["reason"])


def test_taking_the_same_entries_twice_changes_nothing(street: Street) -> None:
    street.mill.deliver("key-1")
    entries = sent(street.mill)
    assert given(street, entries) == given(street, entries)
    assert street.shop.stands() == {"key-1": "waiting_ours"}


def test_what_was_not_acknowledged_is_sent_again_in_order(street: Street) -> None:
    street.is_cut = True
    for number in range(3):
        street.mill.deliver(f"key-{number}")
    street.meet()
    street.is_cut = False
    street.clock.forward(minutes=5)
    street.meet(1)
    assert set(street.shop.stands()) == {"key-0", "key-1", "key-2"}


def test_a_receiver_that_lacks_entries_says_which_and_gets_them(street: Street) -> None:
    street.mill.deliver("key-1")
    first = sent(street.mill)
    street.mill.deliver("key-2")
    street.clock.forward(hours=1)
    both = sent(street.mill)
    assert given(street, both[1:]) == {"accepted": [], "expected": {CONTRACT: 1}}
    assert len(given(street, [*first, *both[1:]])["accepted"]) == 2


def test_a_forged_an_altered_and_a_borrowed_entry_are_refused(street: Street) -> None:
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    altered = {"body": {**entry["body"], "rows": 1}, "signature": entry["signature"]}
    assert "not signed" in reason_of(given(street, [altered]))
    assert "not signed" in reason_of(given(street, [signed(street.shop, entry["body"])]))
    street.sign("urn:uuid:contract-2")
    borrowed = {**entry["body"], "contract": "urn:uuid:contract-2"}
    assert "another text" in reason_of(given(street, [{"body": borrowed, "signature": entry["signature"]}]))
    other_text = signed(street.mill, {**entry["body"], "contract_hash": "0" * 64})
    assert "another text" in reason_of(given(street, [other_text]))
    assert street.shop.stands() == {}


def test_only_the_other_side_of_a_contract_may_tell_about_it(street: Street) -> None:
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    answer = street.mill.evidence.take(street.shop.party, orjson.dumps({"entries": [entry]}))
    assert "no contract with its sender" in reason_of(answer)


def test_a_chain_that_forks_is_refused(street: Street) -> None:
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    given(street, [entry])
    fork = signed(street.mill, {**entry["body"], "rows": 11})
    assert "signed two" in reason_of(given(street, [fork]))
    follows = {**entry["body"], "delivery": "key-2", "sequence": 2, "previous": "0" * 64}
    assert "does not follow" in reason_of(given(street, [signed(street.mill, follows)]))


def test_a_second_line_for_one_delivery_and_words_about_nothing_are_refused(street: Street) -> None:
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    (digest,) = given(street, [entry])["accepted"]
    again = {**entry["body"], "sequence": 2, "previous": digest}
    assert "second line" in reason_of(given(street, [signed(street.mill, again)]))
    head = {name: entry["body"][name] for name in ("contract", "contract_hash", "author", "at")}
    about = {**head, "sequence": 2, "previous": digest, "line": "", "own": ""}
    nothing = {**about, "kind": "dispute", "delivery": "key-9", "reason": "so"}
    assert "nobody has told" in reason_of(given(street, [signed(street.mill, nothing)]))
    wrong = {**about, "kind": "agree", "delivery": "key-1", "line": "f" * 64, "own": digest}
    assert "another line" in reason_of(given(street, [signed(street.mill, wrong)]))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": True},
        {"rows": -1},
        {"rows": 2**60},
        {"rows": "10"},
        {"kind": "gift"},
        {"delivery": ""},
        {"delivery": "x" * 300},
        {"sequence": 0},
        {"more": 1},
        {"at": None},
    ],
)
def test_entries_of_another_form_are_refused(street: Street, change: dict[str, Any]) -> None:
    street.mill.deliver("key-1")
    (entry,) = sent(street.mill)
    reason_of(given(street, [signed(street.mill, {**entry["body"], **change})]))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"entries": 1}', b'{"entries": []}', b'{"entries":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
)
def test_a_message_that_is_none_is_refused(street: Street, body: bytes) -> None:
    with pytest.raises(MessageInvalid):
        street.shop.evidence.take(MILL, body)


def test_a_part_that_is_no_entry_is_refused_alone(street: Street) -> None:
    street.mill.deliver("key-1")
    answer = given(street, [*sent(street.mill), 7])  # type: ignore[list-item]
    assert len(answer["accepted"]) == 1
    assert len(answer["refused"]) == 1
