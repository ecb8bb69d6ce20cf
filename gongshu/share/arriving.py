"""The consumer's way to data: addresses that transfers hand over, tokens that end, bodies that arrive."""

import io
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson

from gongshu.database import Database
from gongshu.share import processes as store
from gongshu.share.agreements import find_agreement, require_bound
from gongshu.share.data_wire import DataWire, problem_in
from gongshu.share.dsp.messages import EDC_NAMESPACE
from gongshu.share.dsp.reader import read_document
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.engine import Engine
from gongshu.share.errors import (
    MessageInvalid,
    MessageTooLarge,
    PeerAnswerInvalid,
    PeerRefused,
    ProcessUnknown,
    TransferStopped,
)
from gongshu.share.evidence.digest import Digest
from gongshu.share.model import Record
from gongshu.share.peer import HttpWire

ERROR_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Where to pull."""

    endpoint: str
    authorization: str
    refresh_endpoint: str


def read_data_address(document: dict[str, Any]) -> DataAddress:
    """Return the parts of a DataAddress that HTTP pull needs; missing ones are empty.

    EDC gives the endpoint as a property too, and all names in full. Its `authorization` is the whole header, although
    `authType` says bearer: its data plane refuses the same token behind the word Bearer. Source: EDC 0.14.1, recorded.
    """
    properties = {
        str(item.get("name")): str(item.get("value"))
        for item in document.get("endpointProperties") or []
        if isinstance(item, dict)
    }
    endpoint = str(document.get("endpoint") or properties.get(f"{EDC_NAMESPACE}endpoint", ""))
    token, scheme = properties.get("authorization"), properties.get("authType", "").lower()
    if token is None:
        header = properties.get(f"{EDC_NAMESPACE}authorization", "")
    else:
        header = f"Bearer {token}" if scheme == "bearer" and not token.lower().startswith("bearer ") else token
    return DataAddress(endpoint, header, properties.get("refreshEndpoint", ""))


class DataAccess:
    """Fetches from providers for one node."""

    def __init__(self, database: Database, engine: Engine, wire: HttpWire, data_wire: DataWire) -> None:
        self._database = database
        self._engine = engine
        self._wire = wire
        self._data_wire = data_wire
        self._renewals: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def started(self, transfer_id: str) -> Record:
        """Return a transfer of ours as consumer through which data flow. Raises: ProcessUnknown, TransferStopped."""
        record = self._engine.record(transfer_id)
        if record.kind is not Kind.TRANSFER or record.side is not Side.CONSUMER:
            raise ProcessUnknown(process_id=transfer_id[:200])
        if record.state is not State.STARTED or record.held:
            raise TransferStopped(transfer_id=transfer_id, reason=record.reason or f"it is {record.state}")
        with self._database.connect() as connection:
            require_bound(find_agreement(connection, record.agreement_id))
        return record

    def renew(self, record: Record) -> Record:
        """Return the transfer with a new data address; one request at a time, and who waited takes the new one.

        Raises: TransferStopped, PeerRefused, PeerAnswerInvalid, PeerUnreachable.
        """
        with self._renewals[record.process_id]:
            current = self.started(record.process_id)
            if current.data_address and current.data_address != record.data_address:
                return current
            known = read_data_address(orjson.loads(record.data_address)) if record.data_address else None
            if known is None or not known.refresh_endpoint:
                raise TransferStopped(transfer_id=record.process_id, reason="its token ended and cannot be renewed")
            reply = self._wire.post_to(record.counterparty, known.refresh_endpoint)
            what = "the renewal of the token"
            if not reply.is_ok:
                raise PeerRefused(
                    party=record.counterparty, what=what, status_code=reply.status_code, reason=problem_in(reply.body)
                )
            try:
                document = read_document(reply.body)
            except MessageInvalid as cause:
                raise PeerAnswerInvalid(party=record.counterparty, what=what, reason=str(cause)) from cause
            with self._database.begin() as connection:
                address = {"data_address": orjson.dumps(document).decode()}
                store.update_process(connection, record.process_id, address)
            return self._engine.record(record.process_id)

    @contextmanager
    def fetch(
        self, record: Record, query: Sequence[tuple[str, str]], headers: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """Yield the provider's answer with its body still to come.

        Raises: TokenRefused; PeerRefused with the provider's reason; PeerUnreachable, also in the middle;
            PeerAnswerInvalid if its token is none.
        """
        address = read_data_address(orjson.loads(record.data_address))
        if not (address.authorization.isascii() and address.authorization.isprintable()):
            raise PeerAnswerInvalid(party=record.counterparty, what="the transfer", reason="its token is no header")
        target = f"{address.endpoint}?{urlencode(query)}" if query else address.endpoint
        own = {"Authorization": address.authorization, "Accept-Encoding": "identity"}
        with self._data_wire.fetch(record.counterparty, target, {**headers, **own}) as response:
            if response.status_code == 401:
                raise TokenRefused
            if not response.is_success:
                raise PeerRefused(
                    party=record.counterparty,
                    what="the data request",
                    status_code=response.status_code,
                    reason=refusal_in(response),
                )
            if packed := response.headers.get("content-encoding", "identity").strip().lower().replace("identity", ""):
                # It would inflate without a bound, and we did not ask for it.
                reason = f"its content encoding is {packed[:60]!r}, not identity"
                raise PeerAnswerInvalid(party=record.counterparty, what="the data request", reason=reason)
            yield response


class TokenRefused(Exception):  # a step between two modules, no error that anybody sees
    """The provider did not take the token."""


class Arriving(io.RawIOBase):
    """The body of a response as a file that Arrow reads from."""

    def __init__(self, response: httpx.Response, bytes_max: int) -> None:
        super().__init__()
        self._bytes_max = bytes_max
        self._parts: Iterator[bytes] = response.iter_raw()
        self._rest = b""
        self.size_bytes = 0
        """What has arrived so far."""
        self._hashed = Digest()
        self._is_wanted = True

    @property
    def sha256(self) -> str:
        """Over the bytes that have arrived so far."""
        return self._hashed.hexdigest()

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """While this lasts; who reads it in another thread when it ends in an error reads on no longer."""
        try:
            yield
        except BaseException:
            self._is_wanted = False
            raise

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has arrived; 0 at the end. Raises: MessageTooLarge; OSError once nobody wants it."""
        if not self._is_wanted:
            raise OSError("nobody wants the rest")
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest, self.size_bytes = part, self.size_bytes + len(part)
            self._hashed.update(part)
            if self.size_bytes > self._bytes_max:
                raise MessageTooLarge(limit_bytes=self._bytes_max)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def refusal_in(response: httpx.Response) -> str:
    """Return what a refusal says, shortened, reading no more of it than that."""
    body = b""
    for part in response.iter_raw():
        body += part
        if len(body) > ERROR_BYTES_MAX:
            break
    return problem_in(body)
