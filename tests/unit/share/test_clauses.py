"""The clause table: each requirement of the Dataspace Protocol, the module that keeps it, and the test that says so."""

import ast
import csv
from functools import cache
from pathlib import Path

import pytest

from gongshu.share.dsp.api import error_builder
from gongshu.share.dsp.messages import build_catalog_error
from gongshu.share.dsp.routes import FIRST, NEXT
from gongshu.share.dsp.schema import find_fault

ROOT = Path(__file__).parents[3]
EXCLUDED = "excluded: "


def rows() -> list[dict[str, str]]:
    with (ROOT / "docs/conformance/dsp-2025-1.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_clause_has_tests_that_exist_or_says_why_not() -> None:
    for row in rows():
        if row["test"].startswith(EXCLUDED):
            assert len(row["test"]) > len(EXCLUDED) + 10, row
            continue
        assert all((row["clause"], row["requirement"], row["test"])), row
        assert (ROOT / "gongshu" / row["module"].removeprefix("gongshu/")).is_file(), row
        for test in row["test"].split():
            file, _, name = test.partition("::")
            assert name in functions_in(file), f"{test} is not there"


def test_no_path_of_the_protocol_is_missing() -> None:
    said = " ".join(row["requirement"] for row in rows())
    for path in (*FIRST, *NEXT):
        assert f"POST {path} " in said, path


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"providerPid": 5}', b'{"consumerPid": "urn:c"}'])
@pytest.mark.parametrize("message_type", sorted({*FIRST.values(), *NEXT.values()}))
def test_an_error_body_is_as_specified(message_type: str, body: bytes) -> None:
    document = error_builder(message_type, "urn:p")(body, "share.message_invalid", "it is not JSON")
    name = "TransferError" if message_type.startswith("Transfer") else "ContractNegotiationError"
    assert document["@type"] == name
    assert find_fault(document, name) is None
    assert (document["code"], document["reason"]) == ("share.message_invalid", ["it is not JSON"])
    assert find_fault(build_catalog_error(code="c", reason="r"), "CatalogError") is None
