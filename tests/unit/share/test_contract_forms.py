"""Contracts as people and other systems read them: every term in words, and 数字合约 with nothing left unsaid."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given

from gongshu.secure.keys import KeyStore
from gongshu.share.contract import Replaced, contract_document, document_hash
from gongshu.share.contract_book import SignedContract
from gongshu.share.contract_check import check_contract
from gongshu.share.contract_forms import OPEN, contract_text, digital_contract, five_elements
from gongshu.share.contract_words import LANGUAGES, describe_class, describe_term, describe_terms, length_text
from gongshu.share.enforcement import enforcement_of
from gongshu.share.terms import Terms
from tests.unit.share.test_contract import NOW, contract_of, signed
from tests.unit.share.test_odrl import any_terms
from tests.unit.share.test_terms import FULL


@given(any_terms)
def test_every_term_that_restricts_is_said_in_both_languages(terms: Terms) -> None:
    chinese, english = (describe_terms(terms, language) for language in LANGUAGES)
    restricting = len(enforcement_of(terms))
    assert len(chinese) == len(english) == max(1, restricting)
    assert all(line.endswith(".") for line in english)


def test_each_class_and_each_field_has_words() -> None:
    for clause in enforcement_of(FULL):
        for language in LANGUAGES:
            assert describe_class(clause, language)
            assert "{" not in describe_term(FULL, clause.term, language)
    assert describe_terms(Terms(unrestricted=True), "zh") == ["未声明限制"]
    assert length_text(60, "en") == "1 minute"
    assert length_text(3600, "zh") == "1 小时"


def test_the_five_elements_are_always_there() -> None:
    empty = five_elements(Terms(unrestricted=True), NOW)
    assert empty == {
        "次数": OPEN,
        "期限": OPEN,
        "用途": OPEN,
        "域内": OPEN,
        "禁止再分发": OPEN,
        "未声明限制": True,
    }
    full = five_elements(replace(FULL, until=NOW + timedelta(days=1)), NOW)
    assert OPEN not in full.values()
    assert full["期限"]["止"] == (NOW + timedelta(seconds=60)).isoformat()
    assert full["未声明限制"] is False
    assert five_elements(Terms(duration_s=5), NOW)["期限"]["起"] == OPEN


@pytest.mark.parametrize("count", [1, 2])
def test_a_contract_is_shown_with_what_its_signatures_are_worth(tmp_path: Path, count: int) -> None:
    keys = (KeyStore(tmp_path / "mill"), KeyStore(tmp_path / "shop"))
    made = contract_of(keys, FULL, version=2, replaces=Replaced("urn:a:0", "9" * 64))
    document = contract_document(made)
    statements = tuple(signed(keys, document)[:count])
    kept = SignedContract(
        made,
        document,
        document_hash(document),
        statements,
        tuple(check_contract(document, statements, both=count == 2)),
    )
    shown = digital_contract(kept)
    assert shown["双方签名"] is (count == 2)
    assert len(shown["签名"]) == count
    assert len(shown["执行方式"]) == len(enforcement_of(FULL))
    assert shown["替代"]["合约编号"] == "urn:a:0"
    assert len(shown["其他约定"]) == len(enforcement_of(FULL)) - 7
    chinese, english = contract_text(kept, "zh"), contract_text(kept, "en")
    assert ("双方签名有效" in chinese) is (count == 2)
    assert ("both signatures hold" in english) is (count == 2)
    assert "标准.pdf" in chinese
    assert "urn:gongshu:party:shop" in english


def test_a_contract_without_a_version_before_says_so(tmp_path: Path) -> None:
    keys = (KeyStore(tmp_path / "mill"), KeyStore(tmp_path / "shop"))
    made = contract_of(keys, Terms(unrestricted=True), attachments=())
    kept = SignedContract(made, contract_document(made), "", (), ("nobody has signed",))
    assert digital_contract(kept)["替代"] == "无"
    assert "nobody has signed" in contract_text(kept, "en")
