"""Fetching documents of other parties: bounded in size and time, without redirects, only from whom we know."""

import threading
import time
import weakref
from typing import Protocol

import httpx

from gongshu.secure.errors import PeerTokenRejected
from gongshu.secure.hurry import HurriedTransport, all_within
from gongshu.secure.parties import Party
from gongshu.secure.peer_tls import TlsSettings, client_context
from gongshu.secure.reach import OutsideTransport

ANSWER_BYTES_MAX = 1024 * 1024
ANSWER_S = 8.0
CONNECT_S = 4.0
"""Bounds of one question; a proof takes at most four. Chosen by us."""


class Fetch(Protocol):
    """What the scheme needs of the network."""

    def __call__(self, party: Party, address: str, *, body: bytes | None = None, authorization: str = "") -> bytes:
        """Return the answer of a party's host to GET, or to POST with this body.

        Raises: PeerTokenRejected when there is none.
        """


class HttpFetch:
    """Implements `Fetch` over HTTP."""

    def __init__(self, tls: TlsSettings) -> None:
        self._tls = tls
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._clients)

    def __call__(self, party: Party, address: str, *, body: bytes | None = None, authorization: str = "") -> bytes:
        """Return the answer. Raises: PeerTokenRejected."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Authorization": authorization}
        deadline, parts, size = time.monotonic() + ANSWER_S, [], 0
        method = "GET" if body is None else "POST"
        try:
            with (
                all_within(ANSWER_S),
                self._client(party).stream(method, address, content=body, headers=headers) as response,
            ):
                if not response.is_success:
                    raise PeerTokenRejected(reason=f"{address[:200]} answers with status {response.status_code}")
                if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                    # It would inflate without a bound, and we did not ask for it.
                    raise PeerTokenRejected(reason=f"{address[:200]} answers with a packed body")
                for part in response.iter_raw():
                    size += len(part)
                    if size > ANSWER_BYTES_MAX or time.monotonic() > deadline:
                        raise PeerTokenRejected(reason=f"{address[:200]} answers too long or too slowly")
                    parts.append(part)
        except httpx.HTTPError as cause:
            raise PeerTokenRejected(reason=f"{address[:200]} does not answer") from cause
        return b"".join(parts)

    def _client(self, party: Party) -> httpx.Client:
        with self._lock:
            key = f"{'listed ' if party.space else ''}{party.certificate}"
            found = self._clients.get(key)
            if found is None:
                verify = client_context(self._tls, certificate=party.certificate, pin=party.certificate_pin)
                limits = httpx.Limits(max_connections=32)
                found = httpx.Client(
                    transport=OutsideTransport(verify, limits, self._tls.inside)
                    if party.space
                    else HurriedTransport(verify, limits),
                    follow_redirects=False,
                    trust_env=False,
                    timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
                )
                self._clients[key] = found
            return found


def _close_all(clients: dict[str, httpx.Client]) -> None:
    for client in clients.values():
        client.close()
