"""Where a push may go: both forms are read, nothing is guessed, and nobody makes us call or say what is not theirs."""

from typing import Any

import pytest

from gongshu.share.destination import build_destination, read_destination
from gongshu.share.dsp.messages import EDC_NAMESPACE, HTTP_ENDPOINT
from gongshu.share.dsp.schema import find_fault
from gongshu.share.encoding import Encoding
from gongshu.share.errors import MessageInvalid


def address(kind: str = "HttpData", endpoint: str = "", **properties: str) -> dict[str, Any]:
    named = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in properties.items()]
    found: dict[str, Any] = {"@type": "DataAddress", "endpointType": kind, "endpointProperties": named}
    return found | ({"endpoint": endpoint} if endpoint else {})


def edc(**properties: str) -> dict[str, Any]:
    return address(**{EDC_NAMESPACE + name: value for name, value in properties.items()})


def test_what_we_write_is_valid_and_reads_back_in_both_forms() -> None:
    made = build_destination(
        endpoint="http://a/share/inbox/1", token="t", encoding=Encoding.CSV, purpose="quality", columns=("a, b", "c")
    )
    message = {
        "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
        "@type": "TransferRequestMessage",
        "agreementId": "a",
        "format": "HttpData-PUSH",
        "callbackAddress": "http://a",
        "consumerPid": "c",
        "dataAddress": made,
    }
    assert find_fault(message, "TransferRequestMessage") is None
    found = read_destination(made)
    assert (found.address, found.method, found.encoding) == ("http://a/share/inbox/1", "POST", Encoding.CSV)
    assert (found.headers, found.purpose, found.columns) == ({"Authorization": "Bearer t"}, "quality", ("a, b", "c"))
    as_edc = {k: v for k, v in made.items() if k != "endpoint"}
    assert read_destination(as_edc) == found


def test_the_form_of_edc_is_read() -> None:
    found = read_destination(
        edc(baseUrl="http://b:1/in", path="rows", method="put", authKey="X-Key", authCode="s", contentType="text/csv")
    )
    assert (found.address, found.method, found.headers) == ("http://b:1/in/rows", "PUT", {"X-Key": "s"})
    assert found.encoding is Encoding.CSV
    plain = read_destination(edc(baseUrl="http://b", **{"header:X-Two": "2"}))
    assert (plain.headers, plain.encoding) == ({"X-Two": "2"}, Encoding.ARROW)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "needs a dataAddress"),
        (address("AmazonS3"), "endpointType"),
        (edc(), "no endpoint"),
        (edc(baseUrl="http://b", method="DELETE"), "method"),
        (edc(baseUrl="http://b", contentType="text/html"), "contentType"),
        (edc(baseUrl="http://b", authKey="X"), "vault"),
        (edc(baseUrl="http://b", secretName="s"), "vault"),
        (edc(baseUrl="http://b", authKey="Host", authCode="evil"), "not its to set"),
        (edc(baseUrl="http://b", authKey="content-Length", authCode="0"), "not its to set"),
        (edc(baseUrl="http://b", authKey="X\r\nY", authCode="0"), "not its to set"),
        (edc(baseUrl="http://b", authKey="X", authCode="a\r\nHost: evil"), "no header"),
        (address(HTTP_ENDPOINT, "http://b", authorization="ä"), "no header"),
        (address(HTTP_ENDPOINT, "http://b", columns="a"), "columns"),
        (address(HTTP_ENDPOINT, "http://b", columns="[1]"), "columns"),
        (address(HTTP_ENDPOINT, "http://b", purpose="x" * 201), "purpose"),
        (edc(baseUrl="http://b", **{f"header:X-{i}": "1" for i in range(21)}), "headers"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_its_reason(document: Any, reason: str) -> None:
    with pytest.raises(MessageInvalid, match=reason):
        read_destination(document)
