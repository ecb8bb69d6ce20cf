"""The hub's calls to another node: the only place of this room that opens a connection."""

import json
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from gongshu.hub.canonical import Document
from gongshu.hub.errors import AddressUnsafe, FarSideRefused, FarSideSilent
from gongshu.secure.hurry import HurriedTransport, all_within

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ANSWER_BYTES_MAX = 1024 * 1024
"""An agreement is the longest answer, a few kilobytes. Ours."""
LATER_STATUSES = frozenset({401, 408, 425, 429})
"""Answers that time can change: clocks that differ, haste. Any other 4xx stays as it is."""


class HubClient:
    """Posts JSON to the hub routes of other nodes, bounded in size and time as a whole, and follows no redirects."""

    def __init__(self, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s

    def post(self, address: str, path: str, body: Document, *, what: str, authorization: str = "") -> Mapping[str, Any]:
        """Return the far side's JSON answer.

        Raises: AddressUnsafe, FarSideSilent (try later), FarSideRefused (do not).
        Cost: one network call.
        """
        url = require_safe(address) + path
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": authorization} if authorization else {})
        transport = HurriedTransport(_authorities(), httpx.Limits())
        try:
            with (
                all_within(self._timeout_s),
                httpx.Client(transport=transport, timeout=self._timeout_s, trust_env=False) as client,
                client.stream("POST", url, json=body, headers=headers, follow_redirects=False) as answer,
            ):
                said = _read_bounded(answer)
        except httpx.HTTPError as cause:
            raise FarSideSilent(address=address, what=what, reason=type(cause).__name__) from cause
        if said is None:
            raise FarSideSilent(address=address, what=what, reason=f"its answer is over {ANSWER_BYTES_MAX} bytes")
        if answer.is_success:
            return _json_of(said, address, what)
        reason = _reason_of(answer.status_code, said)
        if answer.is_client_error and answer.status_code not in LATER_STATUSES:
            raise FarSideRefused(address=address, what=what, reason=reason)
        raise FarSideSilent(address=address, what=what, reason=reason)


@cache
def _authorities() -> ssl.SSLContext:
    """Read once: it takes a fiftieth of a second, longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


def require_safe(address: str) -> str:
    """Return the address without a closing slash: `https`, or plain `http` to this machine.

    Raises: AddressUnsafe.
    """
    parts = urlsplit(address)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not is_safe or not parts.hostname or parts.username or parts.query:
        raise AddressUnsafe(address=address[:200])
    return address.rstrip("/")


def _read_bounded(answer: httpx.Response) -> bytes | None:
    """Return the body as it came, None if it is too long; one that is packed would inflate without a bound."""
    body = b""
    for part in answer.iter_raw():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            return None
    return body


def _json_of(said: bytes, address: str, what: str) -> Mapping[str, Any]:
    try:
        body = json.loads(said)
    except (ValueError, RecursionError) as cause:
        raise FarSideSilent(address=address, what=what, reason="the answer is not JSON") from cause
    if not isinstance(body, dict):
        raise FarSideSilent(address=address, what=what, reason="the answer is not an object")
    return body


def _reason_of(status_code: int, said: bytes) -> str:
    try:
        body = json.loads(said)
    except (ValueError, RecursionError):
        body = None
    detail = str(body.get("detail", "")) if isinstance(body, dict) else ""
    return f"{status_code} {detail[:500]}".strip()
