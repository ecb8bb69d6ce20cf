"""The hub's calls to another node: the only place of this room that opens a connection."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from gongshu.hub.canonical import Document
from gongshu.hub.errors import AddressUnsafe, FarSideRefused, FarSideSilent

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LATER_STATUSES = frozenset({401, 408, 425, 429})
"""Answers that time can change: clocks that differ, haste. Any other 4xx stays as it is."""


class HubClient:
    """Posts JSON to the hub routes of other nodes, with time bounds and without following redirects."""

    def __init__(self, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s

    def post(self, address: str, path: str, body: Document, *, what: str, authorization: str = "") -> Mapping[str, Any]:
        """Return the far side's JSON answer.

        Raises: AddressUnsafe, FarSideSilent (try later), FarSideRefused (do not).
        Cost: one network call.
        """
        url = require_safe(address) + path
        headers = {"Authorization": authorization} if authorization else {}
        try:
            with httpx.Client(timeout=self._timeout_s, follow_redirects=False, trust_env=False) as client:
                answer = client.post(url, json=body, headers=headers)
        except httpx.HTTPError as cause:
            raise FarSideSilent(address=address, what=what, reason=type(cause).__name__) from cause
        if answer.is_success:
            return _json_of(answer, address, what)
        reason = _reason_of(answer)
        if answer.is_client_error and answer.status_code not in LATER_STATUSES:
            raise FarSideRefused(address=address, what=what, reason=reason)
        raise FarSideSilent(address=address, what=what, reason=reason)


def require_safe(address: str) -> str:
    """Return the address without a closing slash: `https`, or plain `http` to this machine.

    Raises: AddressUnsafe.
    """
    parts = urlsplit(address)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not is_safe or not parts.hostname or parts.username or parts.query:
        raise AddressUnsafe(address=address[:200])
    return address.rstrip("/")


def _json_of(answer: httpx.Response, address: str, what: str) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError as cause:
        raise FarSideSilent(address=address, what=what, reason="the answer is not JSON") from cause
    if not isinstance(body, dict):
        raise FarSideSilent(address=address, what=what, reason="the answer is not an object")
    return body


def _reason_of(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        body = None
    detail = str(body.get("detail", "")) if isinstance(body, dict) else ""
    return f"{answer.status_code} {detail[:500]}".strip()
