"""What Eclipse EDC 0.14.1 really sends, as it was recorded, read by us; and what it needs in what we send."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from gongshu.share.arriving import read_data_address
from gongshu.share.catalog import read_catalog
from gongshu.share.destination import read_destination
from gongshu.share.dsp.messages import build_data_address
from gongshu.share.dsp.reader import read_document, read_message
from gongshu.share.encoding import Encoding
from gongshu.share.errors import TermsUnknown
from gongshu.share.filters import read_filter
from gongshu.share.odrl import read_terms
from gongshu.share.odrl_constraints import IN_FORCE
from gongshu.share.terms import Terms

RECORDED = Path(__file__).parent / "edc_0_14_1"
EDC = "https://w3id.org/edc/v0.0.1/ns/"


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def policy(constraint: dict[str, Any]) -> dict[str, Any]:
    return {"@type": "Offer", "permission": [{"action": "use", "constraint": [constraint]}]}


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.json")), ids=lambda file: file.stem)
def test_every_recorded_message_holds_to_the_schema(file: Path) -> None:
    message_type = orjson.loads(file.read_bytes())["@type"]
    assert read_message(file.read_bytes(), message_type).message_type == message_type


def test_the_catalogue_of_an_edc_is_read_with_titles_and_the_terms_that_can_be_kept() -> None:
    found = {dataset.dataset_id: dataset for dataset in read_catalog(read_document(recorded("catalog")))}
    assert found["readings"].title == "Readings of a mill"
    assert found["readings"].formats == ("HttpData-PULL", "HttpData-PUSH")
    assert found["readings"].offers[0].terms == Terms(unrestricted=True)
    assert found["dated"].offers[0].terms == Terms(until=datetime(2099, 1, 1, tzinfo=UTC))
    strange = found["strange"].offers[0]
    assert strange.terms is None
    assert "ContractReference" in strange.obstacle


def test_a_list_that_comes_back_as_one_text_is_the_list_again() -> None:
    offer = read_document(recorded("contract-request-message"))["offer"]
    assert read_terms(offer) == Terms(
        parties=frozenset({"edc-mill"}),  # type: ignore[arg-type]
        until=datetime(2099, 12, 31, tzinfo=UTC),
        uses_max=3,
        columns=frozenset({"part_number", "quantity"}),
    )


@pytest.mark.parametrize("text", ["[{", "[{}]", '[{"@value":{"a":1}}]', '[{"@value":"a","b":1}]', '[{"a":"b"}, 3]'])
def test_a_text_that_only_begins_like_a_list_stays_a_text(text: str) -> None:
    constraint = {"leftOperand": "odrl:purpose", "operator": "isAnyOf", "rightOperand": text}
    offer = read_document(orjson.dumps(policy(constraint)))
    assert offer["permission"][0]["constraint"][0]["rightOperand"] == text


def test_an_operand_that_edc_shortens_gets_its_whole_name_for_the_way_back() -> None:
    agreement = read_document(recorded("contract-agreement-message_dated"))["agreement"]
    assert agreement["permission"][0]["constraint"][0]["leftOperand"] == IN_FORCE
    assert read_terms(agreement).until == datetime(2099, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("operator", "right", "terms"),
    [
        ("lteq", "contractAgreement+2d", Terms(duration_s=172_800)),
        ("lteq", "contractagreement+90m", Terms(duration_s=5400)),
        ("gteq", "2026-01-01T00:00:00Z", Terms(not_before=datetime(2026, 1, 1, tzinfo=UTC))),
    ],
)
def test_edcs_own_term_of_time_is_a_term_of_ours(operator: str, right: str, terms: Terms) -> None:
    assert read_terms(policy({"leftOperand": IN_FORCE, "operator": operator, "rightOperand": right})) == terms


@pytest.mark.parametrize(
    ("operator", "right"),
    [
        ("gteq", "contractAgreement+2d"),
        ("lteq", "contractAgreement+0d"),
        ("lteq", "contractAgreement-2d"),
        ("lteq", "contractAgreement+99999999d"),
        ("lteq", "contractAgreement+2w"),
        ("eq", "2026-01-01T00:00:00Z"),
        ("lteq", "2026-01-01T00:00:00"),
        ("lteq", ["contractAgreement+2d"]),
    ],
)
def test_a_time_that_is_not_understood_is_refused(operator: str, right: Any) -> None:
    with pytest.raises(TermsUnknown):
        read_terms(policy({"leftOperand": IN_FORCE, "operator": operator, "rightOperand": right}))


def test_edcs_data_address_is_read_its_token_being_the_whole_header() -> None:
    address = read_data_address(read_document(recorded("transfer-start-message_pull"))["dataAddress"])
    assert address.endpoint.startswith("http://127.0.0.1:")
    assert address.endpoint.endswith("/public")
    assert (address.authorization, address.refresh_endpoint) == ("a-token", "")


def test_our_data_address_names_its_parts_for_an_edc_too() -> None:
    written = build_data_address(endpoint="http://a/share/data/1", token="t", valid_s=300)
    names = {item["name"]: item["value"] for item in written["endpointProperties"]}
    assert (names[f"{EDC}endpoint"], names[f"{EDC}authorization"]) == ("http://a/share/data/1", "t")
    assert read_data_address(written).authorization == "Bearer t"


def test_edcs_destination_of_a_push_is_read() -> None:
    asked = read_destination(read_document(recorded("transfer-request-message_push"))["dataAddress"])
    assert (asked.method, asked.encoding, dict(asked.headers)) == (
        "POST",
        Encoding.CSV,
        {"Authorization": "landing-token"},
    )
    assert asked.address.endswith("/landing")


def test_edcs_catalogue_filter_is_understood() -> None:
    assert read_filter(read_document(recorded("catalog-request-message"))["filter"]).search == ""
