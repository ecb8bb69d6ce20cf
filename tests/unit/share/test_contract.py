"""Contract documents: one canonical form, signatures that hold or do not, and forms that people read."""

import base64
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.model.dataset import Column
from gongshu.model.ids import PartyId
from gongshu.secure.keys import KeyStore
from gongshu.share.contract import (
    Attachment,
    Contract,
    ContractParty,
    Json,
    Replaced,
    canonical_bytes,
    columns_hash,
    contract_document,
    document_hash,
    read_contract,
)
from gongshu.share.contract_check import check_chain, check_contract
from gongshu.share.contract_signing import sign_contract
from gongshu.share.terms import Terms
from tests.unit.share.test_odrl import any_terms

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
MILL, SHOP = PartyId("urn:gongshu:party:mill"), PartyId("urn:gongshu:party:shop")

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyStore, KeyStore]:
    folder: Path = tmp_path_factory.mktemp("keys")
    return KeyStore(folder / "mill"), KeyStore(folder / "shop")


def contract_of(keys: tuple[KeyStore, KeyStore], terms: Terms, **changes: Any) -> Contract:
    mill, shop = keys
    made = Contract(
        agreement_id="urn:a:1",
        version=1,
        replaces=None,
        provider=ContractParty(MILL, mill.fingerprint()),
        consumer=ContractParty(SHOP, shop.fingerprint()),
        dataset="orders",
        columns_hash="0" * 64,
        terms=terms,
        agreement_hash="1" * 64,
        agreed_at=NOW,
        environment="both_nodes",
        evidence=("audit_log",),
        attachments=(Attachment("标准.pdf", "application/pdf", "2" * 64, 10),),
    )
    return replace(made, **changes)


def signed(keys: tuple[KeyStore, KeyStore], document: Json) -> list[dict[str, str]]:
    return [sign_contract(document, key, party, NOW) for key, party in zip(keys, (MILL, SHOP), strict=True)]


def shuffled(value: Any, random: Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        random.shuffle(names)
        return {name: shuffled(value[name], random) for name in names}
    return [shuffled(item, random) for item in value] if isinstance(value, list) else value


@given(plain, st.randoms())
def test_the_canonical_form_does_not_depend_on_the_order_of_keys(value: Any, random: Random) -> None:
    assert canonical_bytes(shuffled(value, random)) == canonical_bytes(value)


def test_keys_are_sorted_by_utf16_and_texts_escaped_as_the_standard_says() -> None:
    # Source: RFC 8785, section 3.2.3 (the sorting example) and section 3.2.2.2.
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = canonical_bytes(dict.fromkeys(keys, 1)).decode()
    assert written == '{"\\r":1,"1":1,"\u0080":1,"\u00f6":1,"\u20ac":1,"\U0001f600":1,"\ufb33":1}'
    assert canonical_bytes('"\\\b\f\n\r\t\x0f\x7f/').decode() == '"\\"\\\\\\b\\f\\n\\r\\t\\u000f\x7f/"'


@pytest.mark.parametrize("value", [1.5, 2**53, {1: 2}, {"a": b"x"}, "\ud800", float("nan")])
def test_what_has_no_one_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_bytes(value)


@given(any_terms)
def test_a_contract_survives_its_document(terms: Terms) -> None:
    party = ContractParty(MILL, "")
    made = Contract("a", 2, Replaced("b", "3" * 64), party, party, "d", "", terms, "", NOW, "provider_only", ("meter",))
    read = read_contract(contract_document(made))
    assert read == made
    assert document_hash(contract_document(read)) == document_hash(contract_document(made))


def test_both_signatures_hold_and_the_verifier_needs_nothing_of_ours(keys: tuple[KeyStore, KeyStore]) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2, purposes=frozenset({"质量"}))))
    known = {str(MILL): keys[0].fingerprint(), str(SHOP): keys[1].fingerprint()}
    both = signed(keys, document)
    assert check_contract(shuffled(document, Random(1)), both, known_keys=known) == []
    assert check_contract(document, both[:1], both=False) == []
    assert check_contract(document, both[:1]) == [f"{SHOP} has not signed"]
    assert len(check_contract(document, [], both=False)) == 2
    imported = (Path(__file__).parents[3] / "gongshu/share/contract_check.py").read_text(encoding="utf-8")
    assert "gongshu." not in imported.replace("gongshu-contract", "")


PLACES: list[tuple[Any, ...]] = [
    ("id",),
    ("version",),
    ("parties", "consumer", "id"),
    ("parties", "consumer", "key"),
    ("object", "columns_hash"),
    ("terms", "uses_max"),
    ("agreement_hash",),
    ("agreed_at",),
    ("environment",),
]


@pytest.mark.parametrize("place", PLACES, ids="/".join)
def test_any_change_is_found(keys: tuple[KeyStore, KeyStore], place: tuple[str, ...]) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2)))
    both = signed(keys, document)
    changed = deepcopy(document)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = 3 if isinstance(inner[place[-1]], int) else str(inner[place[-1]]) + "0"
    assert check_contract(changed, both)


@pytest.mark.parametrize("name", ["party", "key", "public_key", "signed_at", "signature"])
def test_any_change_of_a_signature_is_found(keys: tuple[KeyStore, KeyStore], name: str) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2)))
    both = signed(keys, document)
    other = {"signed_at": "2026-11-02T08:00:01.000000Z", "signature": base64.b64encode(b"0" * 64).decode()}
    both[1] = both[1] | {name: other.get(name, both[0][name] + "")}
    assert check_contract(document, both)


@pytest.mark.parametrize(
    "statement",
    [None, {}, [], {"party": 5}, dict.fromkeys(("party", "key", "public_key", "signed_at", "signature"), "x")],
)
def test_odd_signatures_are_faults_and_no_errors(keys: tuple[KeyStore, KeyStore], statement: Any) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2)))
    assert check_contract(document, [*signed(keys, document), statement])
    assert check_contract({**document, "x": 1.5}, signed(keys, document))
    assert check_contract(statement, [])


def test_a_key_that_is_not_the_known_one_is_not_believed(keys: tuple[KeyStore, KeyStore]) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2)))
    assert check_contract(document, signed(keys, document), known_keys={str(MILL): keys[0].fingerprint()})


def test_one_party_cannot_sign_for_both(keys: tuple[KeyStore, KeyStore]) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2)))
    mill = sign_contract(document, keys[0], MILL, NOW)
    assert f"{MILL} signed twice" in check_contract(document, [mill, mill])
    assert check_contract(document, [mill, sign_contract(document, keys[0], SHOP, NOW)])


def test_a_chain_of_versions_holds_only_whole_and_in_order(keys: tuple[KeyStore, KeyStore]) -> None:
    chain = [contract_document(contract_of(keys, Terms(uses_max=1)))]
    for number in (2, 3):
        before = Replaced(chain[-1]["id"], document_hash(chain[-1]))
        made = contract_of(
            keys, Terms(uses_max=number), agreement_id=f"urn:a:{number}", version=number, replaces=before
        )
        chain.append(contract_document(replace(made, agreed_at=NOW + timedelta(days=number))))
    assert check_chain(chain) == []
    assert check_chain(chain[1:])
    assert check_chain([chain[0], chain[2]])
    assert check_chain([{**chain[0], "environment": "x"}, *chain[1:]])
    assert check_chain([{}])


@pytest.mark.parametrize("change", [{"x": 1}, {"terms": {}}, {"parties": []}, {"version": "1"}, {"format": "other"}])
def test_a_document_of_another_form_is_not_read(keys: tuple[KeyStore, KeyStore], change: Json) -> None:
    document = contract_document(contract_of(keys, Terms(uses_max=2)))
    with pytest.raises(ValueError):
        read_contract(document | change)


def test_withheld_columns_leave_no_trace_in_the_hash_of_the_object() -> None:
    part, price, cost = Column("part", "VARCHAR"), Column("price", "DOUBLE"), Column("cost", "DOUBLE")
    terms = Terms(columns=frozenset({"part", "price"}))
    assert columns_hash([part, price, cost], terms) == columns_hash([part, price], terms)
    assert columns_hash([part, cost], Terms()) != columns_hash([part, price], Terms())
