"""The wire: requests to other parties' nodes over HTTP, each with a token of its own, bounded in size and time."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx

from gongshu.model.ids import PartyId
from gongshu.secure.hurry import HurriedTransport, all_within
from gongshu.secure.parties import PartyRegistry
from gongshu.secure.peer_identity import PeerIdentities, request_line
from gongshu.secure.peer_tls import TlsSettings, client_context
from gongshu.secure.reach import OutsideTransport
from gongshu.share.addresses import is_under, join
from gongshu.share.dsp.messages import VERSION
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.schema import find_fault
from gongshu.share.errors import AddressRefused, MessageInvalid, PeerAnswerInvalid, PeerUnreachable
from gongshu.share.ports import Clock, Reply

ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""A catalogue page of 50 datasets with 1000 columns each is under 4 MiB. Chosen by us."""
CONNECT_S = 5.0
ANSWER_S = 15.0
"""Bounds of one request as a whole; both below the outbox's lease."""
TIMEOUT = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
LIMITS = httpx.Limits(max_connections=32, keepalive_expiry=30.0)
BASE_KEPT = timedelta(minutes=10)


class HttpWire:
    """Implements `ports.Wire`."""

    def __init__(
        self, parties: PartyRegistry, identities: PeerIdentities, clock: Clock, *, tls: TlsSettings | None = None
    ) -> None:
        self._parties = parties
        self._identities = identities
        self._clock = clock
        self._bases: dict[tuple[PartyId, str], tuple[str, datetime]] = {}
        self._lock = threading.Lock()
        self._tls = tls or TlsSettings()
        self._clients: dict[str, _Client] = {}
        """By where the party came from and its registered certificate; parties without one share a client."""
        self._finalizer = weakref.finalize(self, _close_all, self._clients)

    def close(self) -> None:
        """Close the connections; whoever forgets it has them closed when the object goes."""
        self._finalizer()

    def why_not_standing(self, party: PartyId) -> str | None:
        """Return why what the party proved when it last asked does not hold any more, None while it does."""
        return self._identities.why_not_standing(party)

    def post(self, party: PartyId, base: str, path: str, body: bytes) -> Reply:
        """Send one message. Raises: PartyUnknown, PeerUnreachable, PeerAnswerInvalid."""
        return self._call_under(party, "POST", base, path, body)

    def get(self, party: PartyId, base: str, path: str) -> Reply:
        """Ask for a document. Raises: PartyUnknown, PeerUnreachable, PeerAnswerInvalid."""
        return self._call_under(party, "GET", base, path, b"")

    def post_to(self, party: PartyId, address: str, body: bytes = b"") -> Reply:
        """Send a request to a full address that the party gave: the next page, the renewal of a token.

        Raises: AddressRefused, and as `post`.
        """
        self._require_own(party, address)
        return self._send(party, *self._proven(party, "POST", address, body))

    def base_of(self, party: PartyId) -> str:
        """Return the address of the party's endpoints of version 2025-1, read from its version document."""
        registered = self._parties.get(party).address
        key = (party, registered)
        with self._lock:
            found = self._bases.get(key)
        if found is not None and found[1] > self._clock():
            return found[0]
        path = self._read_path(party, registered)
        base = join(registered, path) if path else registered.removesuffix("/")
        with self._lock:
            self._bases[key] = (base, self._clock() + BASE_KEPT)
        return base

    def _read_path(self, party: PartyId, registered: str) -> str:
        if not registered:
            raise PeerUnreachable(party=party, address="(none)", reason="no address is registered")
        what = "the version document"
        asked = _ask("GET", join(registered, "/.well-known/dspace-version"), b"")
        reply = self._send(party, self.client_of(party), asked)
        if reply.status_code in (404, 405):
            return ""  # no document: the registered address is the base itself, as other connectors name it
        try:
            document = read_document(reply.body)
        except MessageInvalid as cause:
            raise PeerAnswerInvalid(party=party, what=what, reason=str(cause)) from cause
        fault = find_fault(document, "VersionResponse")
        if not reply.is_ok or fault:
            raise PeerAnswerInvalid(party=party, what=what, reason=fault or f"status {reply.status_code}")
        for version in document["protocolVersions"]:
            path = str(version["path"])
            if version["version"] == VERSION and is_under(join(registered, path), registered):
                return path
        raise PeerAnswerInvalid(party=party, what=what, reason=f"it does not offer {VERSION}")

    def _call_under(self, party: PartyId, method: str, base: str, path: str, body: bytes) -> Reply:
        """Ask under the base that is given, or, where it is none of the party's any more, under the one it shows."""
        with self._parties.one_look():
            asked = None
            if base and is_under(base, self._parties.get(party).address):
                asked = self._proven(party, method, join(base, path), body)
        return self._send(party, *(asked or self._proven(party, method, join(self.base_of(party), path), body)))

    def _require_own(self, party: PartyId, address: str) -> None:
        if not is_under(address, self._parties.get(party).address, query_allowed=True):
            raise AddressRefused(party=party, address=address[:200])

    def _proven(self, party: PartyId, method: str, address: str, body: bytes) -> tuple["_Client", httpx.Request]:
        """Return a request with our proof of identity, and the client for it."""
        request = _ask(method, address, body)
        with self._parties.one_look():
            client = self.client_of(party)
            line = request_line(method, request.url.raw_path.decode("ascii"))
            request.headers.update(self._identities.headers_for(party, body if method == "POST" else None, line))
        return client, request

    def _send(self, party: PartyId, client: "_Client", request: httpx.Request) -> Reply:
        address, deadline = str(request.url), time.monotonic() + ANSWER_S
        try:
            with all_within(ANSWER_S), client.ask(request) as response:
                if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                    # It would inflate without a bound, and we did not ask for it.
                    raise PeerUnreachable(party=party, address=address[:200], reason="its answer is packed")
                content = _read_bounded(response, deadline, lambda: self._too_much(party, address))
                names = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, content, names)
        except httpx.HTTPError as cause:
            raise PeerUnreachable(party=party, address=address[:200], reason=_said(cause)) from cause

    def client_of(self, party: PartyId) -> "_Client":
        """Return the client that takes this party's certificate and no other. Raises: PartyUnknown, PartyInvalid."""
        registered = self._parties.get(party)
        with self._lock:
            # Of an address that came by a trust list nobody here has looked where it leads.
            key = f"{'listed ' if registered.space else ''}{registered.certificate}"
            found = self._clients.get(key)
            if found is None:
                verify = client_context(self._tls, certificate=registered.certificate, pin=registered.certificate_pin)
                found = _Client(
                    OutsideTransport(verify, LIMITS, self._tls.inside)
                    if registered.space
                    else HurriedTransport(verify, LIMITS)
                )
                self._clients[key] = found
            return found

    def _too_much(self, party: PartyId, address: str) -> PeerUnreachable:
        reason = f"its answer is over {ANSWER_BYTES_MAX} bytes or takes over {ANSWER_S:.0f} s"
        return PeerUnreachable(party=party, address=address[:200], reason=reason)


class _Client(httpx.Client):
    """Follows no redirect, asks no environment for a proxy."""

    def __init__(self, transport: httpx.HTTPTransport) -> None:
        super().__init__(transport=transport, follow_redirects=False, trust_env=False, timeout=TIMEOUT)
        self._direct = transport

    @contextmanager
    def ask(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """Yield the response to one message, past the client's cookies, redirects and hooks: a third of its time."""
        response = self._direct.handle_request(request)
        try:
            yield response
        finally:
            response.close()


def _ask(method: str, address: str, body: bytes) -> httpx.Request:
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "gongshu"}
    if body:
        headers["Content-Type"] = "application/json"
    return httpx.Request(
        method, address, content=body or None, headers=headers, extensions={"timeout": TIMEOUT.as_dict()}
    )


def _close_all(clients: dict[str, _Client]) -> None:
    for client in clients.values():
        client.close()


def _read_bounded(response: httpx.Response, deadline: float, too_much: Callable[[], Exception]) -> bytes:
    parts, size = [], 0
    for part in response.iter_raw():
        size += len(part)
        if size > ANSWER_BYTES_MAX or time.monotonic() > deadline:
            raise too_much()
        parts.append(part)
    return b"".join(parts)


def _said(cause: httpx.HTTPError) -> str:
    return str(cause)[:200] or type(cause).__name__
