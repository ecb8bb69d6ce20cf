"""The wire for data: rows to and from another party's node, as long as they take, never redirected.

Apart from `peer`, whose requests are short and prove who we are: data travel with the token that the far end gave out
for one transfer, and only to addresses of that party.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext

import httpx

from gongshu.model.ids import PartyId
from gongshu.secure.hurry import all_within, answer_within
from gongshu.share.data_addresses import DataAddresses
from gongshu.share.dsp.reader import read_document
from gongshu.share.errors import MessageInvalid, PeerUnreachable
from gongshu.share.ports import Reply

CONNECT_S = 5.0
QUIET_S = 60.0
"""A far end that sends or takes nothing for so long has lost us."""
ANSWER_S = 600.0
"""After the last byte of a push the receiver stores what it got, and answers then."""
ANSWER_BYTES_MAX = 64 * 1024


class DataWire:
    """Moves rows for one node."""

    def __init__(
        self,
        addresses: DataAddresses,
        client_of: Callable[[PartyId], httpx.Client],
        *,
        head_s: float = QUIET_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`client_of` gives the client that believes this party's certificate; it follows no redirects.

        Units: `head_s` from a request for rows to the end of the answer's head, and again to that of a refusal;
            `answer_s` from the last byte of a push to that of its answer.
        """
        self._addresses = addresses
        self._client_of = client_of
        self._head_s = head_s
        self._answer_s = answer_s

    @contextmanager
    def fetch(self, party: PartyId, address: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Yield a response whose body is read as it arrives; the caller bounds it. A refusal comes within its time.

        Raises: PartyUnknown, AddressRefused; PeerUnreachable when the connection fails, also in the middle.
        """
        self._addresses.require_own(party, address)
        client = self._client_of(party)
        timeout = httpx.Timeout(QUIET_S, connect=CONNECT_S)
        request = client.build_request("GET", address, headers=dict(headers), timeout=timeout)
        with _translated(party, address):
            with answer_within(self._head_s):
                response = client.send(request, stream=True)
            with closing(response), nullcontext() if response.is_success else all_within(self._head_s):
                yield response

    def send(
        self, party: PartyId, address: str, *, method: str, headers: Mapping[str, str], pieces: Iterator[bytes]
    ) -> Reply:
        """Send a body as it is made and return the answer, of which at most 64 KiB are read.

        No piece is asked for before a connection stands.
        Raises: PartyUnknown, AddressRefused; PeerUnreachable; whatever `pieces` raises, the body is cut off then.
        """
        self._addresses.require_own(party, address)
        timeout = httpx.Timeout(self._answer_s, connect=CONNECT_S, write=QUIET_S)
        with (
            _translated(party, address),
            answer_within(self._answer_s),
            self._client_of(party).stream(
                method, address, content=pieces, headers=dict(headers), timeout=timeout
            ) as response,
        ):
            body = b""
            for part in response.iter_raw():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    break
            names = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, body[:ANSWER_BYTES_MAX], names)


@contextmanager
def _translated(party: PartyId, address: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as cause:
        reason = str(cause)[:200] or type(cause).__name__
        raise PeerUnreachable(party=party, address=address[:200], reason=reason) from cause


def problem_in(body: bytes) -> str:
    """Return what an answer says went wrong, shortened."""
    try:
        document = read_document(body)
    except MessageInvalid:
        return "no reason given"
    said = document.get("detail") or document.get("reason") or document.get("errors")  # the last one is EDC's
    return str(said or "no reason given")[:500]
