"""The tolerant reader and the strict writer, against the official schemas and examples."""

import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongshu.share.dsp.messages import (
    CONTEXT,
    build_catalog_error,
    build_catalog_request,
    build_data_address,
    build_message,
    build_process_error,
    build_state,
    build_versions,
    encode,
)
from gongshu.share.dsp.reader import DEPTH_MAX, read_document, read_message
from gongshu.share.dsp.schema import FILE_OF_TYPE, find_fault
from gongshu.share.dsp.states import Kind, Move, State
from gongshu.share.errors import MessageInvalid

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.json"))
ODRL = "http://www.w3.org/ns/odrl/2/"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_official_example_is_read_and_unchanged(file: Path) -> None:
    raw = file.read_bytes()
    document = orjson.loads(raw)
    message_type = document.get("@type", "VersionResponse")
    assert find_fault(document, message_type) is None
    read = read_document(raw)
    assert find_fault(read, message_type) is None
    assert read == document


CONTENT: dict[Move, dict[str, Any]] = {
    Move.REQUEST: {"offer": {"@id": "o", "@type": "Offer", "target": "d", "permission": [{"action": "use"}]}},
    Move.OFFER: {"offer": {"@id": "o", "@type": "Offer", "target": "d", "permission": [{"action": "use"}]}},
    Move.AGREE: {
        "agreement": {
            "@id": "a",
            "@type": "Agreement",
            "target": "d",
            "assigner": "p",
            "assignee": "c",
            "timestamp": "2026-11-02T08:00:00Z",
            "permission": [{"action": "use"}],
        }
    },
    Move.TRANSFER_REQUEST: {"agreementId": "a", "format": "HttpData-PULL", "callbackAddress": "http://a"},
    Move.START: {"dataAddress": build_data_address(endpoint="http://a/share/data/1", token="t", valid_s=300)},
    Move.START_ANEW: {"dataAddress": build_data_address(endpoint="http://a/share/data/1", token="t", valid_s=300)},
    Move.TERMINATE: {"reason": ["because"]},
    Move.SUSPEND: {"reason": ["because"]},
}


@pytest.mark.parametrize("move", Move)
def test_every_message_we_write_holds_to_the_schema_and_reads_back(move: Move) -> None:
    document = build_message(
        move, message_id="urn:uuid:1", provider_pid="p", consumer_pid="c", content=CONTENT.get(move)
    )
    assert find_fault(document, move.message_type) is None
    inbound = read_message(encode(document), move.message_type)
    assert inbound.move is {Move.START_ANEW: Move.START}.get(move, move), "both starts look alike"
    assert inbound.message_id == "urn:uuid:1"


def test_every_other_document_we_write_holds_to_the_schema() -> None:
    for kind in Kind:
        state = State.REQUESTED
        document = build_state(kind, provider_pid="p", consumer_pid="c", state=state)
        assert find_fault(document, document["@type"]) is None
        error = build_process_error(kind, provider_pid="p", consumer_pid="c", code="x", reason="y")
        assert find_fault(error, error["@type"]) is None
    assert find_fault(build_catalog_error(code="x", reason="y"), "CatalogError") is None
    assert find_fault(build_catalog_request(), "CatalogRequestMessage") is None
    assert find_fault(build_catalog_request([{"search": "x"}]), "CatalogRequestMessage") is None
    assert find_fault(build_versions(service_id="s"), "VersionResponse") is None


def test_every_type_has_a_schema_that_refuses_an_empty_object() -> None:
    assert all(find_fault({}, message_type) for message_type in FILE_OF_TYPE)


def request(**changes: Any) -> dict[str, Any]:
    document = build_message(
        Move.REQUEST,
        message_id="m",
        provider_pid=None,
        consumer_pid="c",
        content={**CONTENT[Move.REQUEST], "callbackAddress": "http://a"},
    )
    return {**document, **changes}


def permission(constraint: Any) -> dict[str, Any]:
    return {"@id": "o", "@type": "Offer", "target": "d", "permission": [{"action": "use", "constraint": constraint}]}


@pytest.mark.parametrize(
    "offer",
    [
        permission([{"leftOperand": {"@id": f"{ODRL}count"}, "operator": {"@id": f"{ODRL}lteq"}, "rightOperand": "2"}]),
        permission({"leftOperand": "odrl:count", "operator": "odrl:lteq", "rightOperand": {"@value": "2"}}),
        permission([{"leftOperand": ["count"], "operator": ["lteq"], "rightOperand": {"@value": 2}}]),
        {
            "@id": "o",
            "@type": "odrl:Offer",
            "odrl:target": {"@id": "d"},
            f"{ODRL}permission": {
                "odrl:action": {"@id": "odrl:use"},
                "odrl:constraint": {
                    "odrl:leftOperand": {"@id": "odrl:count"},
                    "odrl:operator": {"@id": "odrl:lteq"},
                    "odrl:rightOperand": "2",
                },
            },
        },
    ],
    ids=["ids", "single", "arrays", "prefixed"],
)
def test_other_connectors_forms_of_the_same_offer_read_alike(offer: dict[str, Any]) -> None:
    inbound = read_message(encode(request(offer=offer)), "ContractRequestMessage")
    constraint = inbound.document["offer"]["permission"][0]["constraint"][0]
    assert constraint["operator"] == "lteq"
    assert constraint["leftOperand"] in ("count", "odrl:count", f"{ODRL}count")
    assert constraint["rightOperand"] in ("2", ["2"])
    assert inbound.document["offer"]["target"] == "d"


def test_a_second_context_and_a_lone_context_string_are_taken() -> None:
    for context in ([CONTEXT, "https://w3id.org/edc/dspace/v0.0.1"], CONTEXT):
        read_message(encode(request(**{"@context": context})), "ContractRequestMessage")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"@type": "ContractRequestMessage"}',
        encode(request(**{"@context": ["https://elsewhere.example/context"]})),
        encode(request(**{"@type": "CatalogRequestMessage"})),
        encode(request(consumerPid=7)),
        encode(request(consumerPid="a\x00b")),
        encode({**request(), "dspace:consumerPid": "another"}),
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 500_000,
    ],
    ids=range(12),
)
def test_what_is_no_message_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(MessageInvalid) as caught:
        read_message(raw, "ContractRequestMessage")
    assert len(str(caught.value)) < 700


def test_depth_is_bounded_exactly() -> None:
    def nested(depth: int) -> bytes:
        return json.dumps({"a": [[]]} if depth == 0 else {"x": nest(depth - 2)}).encode()

    def nest(depth: int) -> Any:
        return [] if depth == 0 else [nest(depth - 1)]

    read_document(nested(DEPTH_MAX))
    with pytest.raises(MessageInvalid, match="deeper"):
        read_document(nested(DEPTH_MAX + 1))


def test_a_fault_names_the_place_and_not_the_secret() -> None:
    start = build_message(Move.START, message_id="m", provider_pid="p", consumer_pid="c")
    start["dataAddress"] = {"@type": "DataAddress", "endpointType": 7, "endpointProperties": [{"value": "s3cret"}]}
    with pytest.raises(MessageInvalid) as caught:
        read_message(encode(start), "TransferStartMessage")
    assert "dataAddress" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_document_or_a_refusal(raw: bytes) -> None:
    try:
        read_document(raw)
    except MessageInvalid:
        return


@pytest.mark.parametrize("constraint", [[{}] * 20_000, [{"and": [{}] * 20_000}]], ids=["side by side", "within one"])
def test_a_message_of_many_faults_is_refused_at_once(constraint: Any) -> None:
    offer = {"@id": "o", "@type": "Offer", "target": "t", "permission": [{"action": "use", "constraint": constraint}]}
    message = {"@context": [CONTEXT], "@type": "ContractRequestMessage", "consumerPid": "c", "offer": offer}
    raw = encode({**message, "callbackAddress": "http://shop.example"})
    before_s = time.process_time()
    with pytest.raises(MessageInvalid, match="too many parts"):
        read_message(raw, "ContractRequestMessage")
    assert time.process_time() - before_s < 1  # gathering all of them takes four seconds
