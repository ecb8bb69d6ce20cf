"""Which message belongs to which path, and which status answers which error: the binding, without a web framework."""

import re

from gongshu.errors import Damaged, GongshuError, NotAuthenticated, TooLarge, Unavailable
from gongshu.share.dsp.states import Move
from gongshu.share.errors import DatasetNotOffered, MessageTooSlow, ProcessUnknown

FIRST = {
    "/negotiations/request": Move.REQUEST.message_type,
    "/negotiations/offers": Move.OFFER.message_type,
    "/transfers/request": Move.TRANSFER_REQUEST.message_type,
}
"""Paths that begin a process."""

NEXT = {
    "/negotiations/{pid}/request": Move.REQUEST.message_type,
    "/negotiations/{pid}/offers": Move.OFFER.message_type,
    "/negotiations/{pid}/events": Move.ACCEPT.message_type,
    "/negotiations/{pid}/agreement": Move.AGREE.message_type,
    "/negotiations/{pid}/agreement/verification": Move.VERIFY.message_type,
    "/negotiations/{pid}/termination": Move.TERMINATE.message_type,
    "/transfers/{pid}/start": Move.START.message_type,
    "/transfers/{pid}/suspension": Move.SUSPEND.message_type,
    "/transfers/{pid}/completion": Move.COMPLETE.message_type,
    "/transfers/{pid}/termination": Move.TRANSFER_TERMINATE.message_type,
}
"""Paths that go on with one; `pid` is our own id, whichever side we are."""


def route_of(path: str) -> tuple[str, str | None]:
    """Return the message type and our pid of an unquoted path below the base; no pid where a process begins.

    >>> route_of("/negotiations/urn:uuid:1/events")
    ('ContractNegotiationEventMessage', 'urn:uuid:1')

    Raises: KeyError if there is no such path.
    """
    if path in FIRST:
        return FIRST[path], None
    match = re.fullmatch(r"(/\w+)/([^/]+)(/[\w/]+)", path)
    if match is None:
        raise KeyError(path)
    return NEXT[f"{match[1]}/{{pid}}{match[3]}"], match[2]


def status_of(error: GongshuError) -> int:
    """Return the HTTP status of an error on a protocol endpoint.

    Only what another party cannot mend by itself is a 5xx: connectors take every 4xx for final.
    """
    if isinstance(error, NotAuthenticated | ProcessUnknown | DatasetNotOffered):
        return 404
    if isinstance(error, TooLarge | Unavailable | Damaged):
        return error.status
    return 408 if isinstance(error, MessageTooSlow) else 400
