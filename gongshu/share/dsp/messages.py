"""The strict writer: every message we send, as plain compact JSON with the one official context."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from gongshu.share.dsp.states import Kind, Move, State

CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
VERSION = "2025-1"
PATH = "/dsp/2025-1"
"""Where our own endpoints stand below the node's address; others' are read from their version document."""

HTTP_ENDPOINT = "https://w3id.org/idsa/v4.1/HTTP"
"""The endpoint type of HTTP pull in use among connectors."""
FORMAT_PULL = "HttpData-PULL"
EDC_NAMESPACE = "https://w3id.org/edc/v0.0.1/ns/"
"""Of the names that EDC gives to the parts of a data address."""
FORMAT_PUSH = "HttpData-PUSH"
"""The two finite formats, as other connectors name them: the consumer fetches, or the provider delivers."""
FORMAT_STREAM = "HttpStream-PULL"
"""Ours, of the same form (kind-direction): rows as they come, until somebody ends it. See decision 0065."""

ANSWERS = "urn:gongshu:answers"
"""In a message of a transfer: the `@id` of the receiver's newest message that its sender had taken; decision 0056."""

Json = dict[str, Any]


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that go on the wire."""
    return orjson.dumps(document)


def build_message(
    move: Move,
    *,
    message_id: str,
    provider_pid: str | None,
    consumer_pid: str | None,
    content: Mapping[str, Any] | None = None,
    answers: str | None = None,
) -> Json:
    """Return one process message; `content` holds the fields beside the two process ids.

    A pid that is not known yet is left out: the first message of a process cannot name the peer's.
    """
    document: Json = {"@context": [CONTEXT], "@id": message_id, "@type": move.message_type}
    if provider_pid is not None and move is not Move.TRANSFER_REQUEST:
        document["providerPid"] = provider_pid
    if consumer_pid is not None:
        document["consumerPid"] = consumer_pid
    if move in (Move.ACCEPT, Move.FINALIZE):
        document["eventType"] = move.value.split(" ")[1]
    if answers is not None:
        document[ANSWERS] = answers
    return document | dict(content or {})


def build_state(kind: Kind, *, provider_pid: str, consumer_pid: str, state: State) -> Json:
    """Return the ContractNegotiation or TransferProcess that answers a GET or a first request."""
    name = "ContractNegotiation" if kind is Kind.NEGOTIATION else "TransferProcess"
    return {
        "@context": [CONTEXT],
        "@type": name,
        "providerPid": provider_pid,
        "consumerPid": consumer_pid,
        "state": state.value,
    }


def build_process_error(kind: Kind, *, provider_pid: str, consumer_pid: str, code: str, reason: str) -> Json:
    """Return the error body of a process endpoint; the schema demands both pids, known or not."""
    name = "ContractNegotiationError" if kind is Kind.NEGOTIATION else "TransferError"
    return {
        "@context": [CONTEXT],
        "@type": name,
        "providerPid": provider_pid,
        "consumerPid": consumer_pid,
        "code": code,
        "reason": [reason],
    }


def build_catalog_error(*, code: str, reason: str) -> Json:
    """Return the error body of a catalogue endpoint."""
    return {"@context": [CONTEXT], "@type": "CatalogError", "code": code, "reason": [reason]}


def build_catalog_request(filters: Sequence[Json] = ()) -> Json:
    """Return a catalogue request; the filter is left out when there is none."""
    document: Json = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
    return document | {"filter": list(filters)} if filters else document


def build_versions(*, service_id: str) -> Json:
    """Return the version document: this implementation speaks 2025-1 and nothing older."""
    return {"protocolVersions": [{"version": VERSION, "path": PATH, "binding": "HTTPS", "serviceId": service_id}]}


def build_data_address(*, endpoint: str, token: str, valid_s: int) -> Json:
    """Return where and with which token the consumer may pull.

    Written twice: an EDC keeps only properties whose names are its own in full, and hands them to its user.
    """
    properties = {
        f"{EDC_NAMESPACE}endpoint": endpoint,
        f"{EDC_NAMESPACE}authorization": token,
        f"{EDC_NAMESPACE}authType": "bearer",
        "authorization": token,
        "authType": "bearer",
        "expiresIn": str(valid_s),
        "refreshEndpoint": f"{endpoint}/token",
    }
    return {
        "@type": "DataAddress",
        "endpointType": HTTP_ENDPOINT,
        "endpoint": endpoint,
        "endpointProperties": [
            {"@type": "EndpointProperty", "name": name, "value": value} for name, value in properties.items()
        ],
    }


def path_of(move: Move, peer_pid: str | None) -> str:
    """Return the path, below the peer's base, that takes this message.

    >>> path_of(Move.VERIFY, "urn:uuid:1"), path_of(Move.OFFER, None)
    ('/negotiations/urn%3Auuid%3A1/agreement/verification', '/negotiations/offers')
    """
    if peer_pid is None:
        return {
            Move.REQUEST: "/negotiations/request",
            Move.OFFER: "/negotiations/offers",
            Move.TRANSFER_REQUEST: "/transfers/request",
        }[move]
    pid = quote(peer_pid, safe="")
    return {
        Move.REQUEST: f"/negotiations/{pid}/request",
        Move.OFFER: f"/negotiations/{pid}/offers",
        Move.ACCEPT: f"/negotiations/{pid}/events",
        Move.AGREE: f"/negotiations/{pid}/agreement",
        Move.VERIFY: f"/negotiations/{pid}/agreement/verification",
        Move.FINALIZE: f"/negotiations/{pid}/events",
        Move.TERMINATE: f"/negotiations/{pid}/termination",
        Move.TRANSFER_REQUEST: "/transfers/request",
        Move.START: f"/transfers/{pid}/start",
        Move.START_ANEW: f"/transfers/{pid}/start",
        Move.SUSPEND: f"/transfers/{pid}/suspension",
        Move.COMPLETE: f"/transfers/{pid}/completion",
        Move.TRANSFER_TERMINATE: f"/transfers/{pid}/termination",
    }[move]


def state_path(kind: Kind, peer_pid: str) -> str:
    """Return the path, below the peer's base, that shows the state of a process."""
    return f"/{'negotiations' if kind is Kind.NEGOTIATION else 'transfers'}/{quote(peer_pid, safe='')}"
