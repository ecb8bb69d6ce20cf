"""Where a push goes: the data address of a transfer request, ours written, others' read. Pure.

Two forms are in use. Ours has `endpoint` and the properties `authorization` and `authType`; EDC leaves `endpoint` out,
calls the type `HttpData` and keeps `baseUrl`, `authKey` and `authCode` as properties with full names. What we write
holds both, so that an EDC can push to us; what we read may be either. See decision 0064.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gongshu.share.addresses import join
from gongshu.share.dsp.messages import EDC_NAMESPACE, HTTP_ENDPOINT
from gongshu.share.encoding import Encoding, encoding_of
from gongshu.share.errors import MessageInvalid
from gongshu.share.terms import LIST_MAX, NAME_MAX

Json = dict[str, Any]

EDC_HTTP = "HttpData"
"""Source: Eclipse EDC, HttpDataAddressSchema and the HTTP sink of its data plane: baseUrl, path, method (POST where
none is named), authKey, authCode, contentType, header:<name>."""
METHODS = ("POST", "PUT")
HEADER_MAX = 8192
HEADERS_MAX = 20
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = frozenset(
    (
        *("host", "connection", "keep-alive", "upgrade", "te", "trailer", "expect", "cookie", "idempotency-key"),
        *("content-length", "content-type", "content-encoding", "transfer-encoding"),
        *("proxy-authorization", "proxy-connection"),
    )
)
"""Headers that the other side does not set in our requests."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that takes rows."""

    address: str
    method: str
    headers: Mapping[str, str]
    """What the place asks for, with its token."""
    encoding: Encoding
    purpose: str
    """What the consumer says the rows are for; a contract may demand it."""
    columns: tuple[str, ...]
    """Columns asked for by name; empty means all that the contract allows."""


def build_destination(
    *, endpoint: str, token: str, encoding: Encoding, purpose: str = "", columns: tuple[str, ...] = ()
) -> Json:
    """Return the data address that asks for a push to our own inbox."""
    properties = {
        "authorization": token,
        "authType": "bearer",
        f"{EDC_NAMESPACE}baseUrl": endpoint,
        f"{EDC_NAMESPACE}method": "POST",
        f"{EDC_NAMESPACE}authKey": "Authorization",
        f"{EDC_NAMESPACE}authCode": f"Bearer {token}",
        f"{EDC_NAMESPACE}contentType": encoding.media_type,
    }
    if purpose:
        properties["purpose"] = purpose
    if columns:
        properties["columns"] = orjson.dumps(columns).decode()
    return {
        "@type": "DataAddress",
        "endpointType": EDC_HTTP,
        "endpoint": endpoint,
        "endpointProperties": [
            {"@type": "EndpointProperty", "name": name, "value": value} for name, value in properties.items()
        ],
    }


def read_destination(document: Any) -> Destination:
    """Return where a transfer request wants its rows.

    Raises: MessageInvalid with what is missing or not understood; a destination is never guessed.
    """
    if not isinstance(document, dict):
        raise _unusable("a push needs a dataAddress")
    if document.get("endpointType") not in (EDC_HTTP, EDC_NAMESPACE + EDC_HTTP, HTTP_ENDPOINT):
        raise _unusable(f"its endpointType is neither {EDC_HTTP} nor {HTTP_ENDPOINT}")
    known = _properties(document)
    base = str(document.get("endpoint") or known.get("baseUrl", ""))
    if not base:
        raise _unusable("it names no endpoint and no baseUrl")
    method = known.get("method", "POST").upper()
    if method not in METHODS:
        raise _unusable(f"its method is none of {', '.join(METHODS)}")
    purpose = known.get("purpose", "")
    if len(purpose) > NAME_MAX:
        raise _unusable(f"its purpose is over {NAME_MAX} characters")
    path = known.get("path", "")
    return Destination(
        address=join(base, path) if path else base,
        method=method,
        headers=_headers(known),
        encoding=_encoding(known.get("contentType", "")),
        purpose=purpose,
        columns=_columns(known.get("columns", "")),
    )


def _properties(document: Json) -> dict[str, str]:
    found = {}
    for item in document.get("endpointProperties") or []:
        if isinstance(item, dict) and isinstance(item.get("value"), str):
            name = str(item.get("name")).removeprefix(EDC_NAMESPACE).removeprefix("edc:")
            found[name] = item["value"]
    return found


def _headers(known: Mapping[str, str]) -> dict[str, str]:
    headers = {name.removeprefix("header:"): value for name, value in known.items() if name.startswith("header:")}
    if "authCode" in known:
        headers[known.get("authKey", "Authorization")] = known["authCode"]
    elif "authKey" in known or "secretName" in known:
        raise _unusable("its secret lies in a vault that we cannot read; give it as authCode")
    elif "authorization" in known:
        token = known["authorization"]
        is_bare = known.get("authType", "").lower() == "bearer" and not token.lower().startswith("bearer ")
        headers["Authorization"] = f"Bearer {token}" if is_bare else token
    if len(headers) > HEADERS_MAX:
        raise _unusable(f"it asks for over {HEADERS_MAX} headers")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise _unusable("it asks for a header that is not its to set")
        if len(value) > HEADER_MAX or not (value.isascii() and value.isprintable()):
            raise _unusable("a value it asks for is no header")
    return headers


def _encoding(media_type: str) -> Encoding:
    if not media_type:
        return Encoding.ARROW
    found = encoding_of(media_type, default=None)
    if found is None:
        raise _unusable("its contentType is none of " + ", ".join(each.media_type for each in Encoding))
    return found


def _columns(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not 0 < len(names) <= LIST_MAX:
        raise _unusable("its columns are no JSON list of names")
    if not all(isinstance(name, str) and 0 < len(name) <= NAME_MAX for name in names):
        raise _unusable("its columns are no JSON list of names")
    return tuple(names)


def _unusable(reason: str) -> MessageInvalid:
    return MessageInvalid(what="TransferRequestMessage", reason=reason)
