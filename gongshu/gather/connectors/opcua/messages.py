"""The answers of a server, from bytes: to a publish, a republish, a read, a history read.

Only what is hot or where asyncua loses something is decoded here. Source: OPC 10000-4 §5.13.5 Publish, §5.13.6
Republish, §5.10.2 Read; OPC 10000-6 §5.2.
"""

from dataclasses import dataclass
from typing import Any

from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from gongshu.gather.connectors.opcua.datavalue import Rows, decode_values
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.gather.connectors.opcua.variant import SDK_FAULTS
from gongshu.gather.errors import DecodeError

_DATA_CHANGE = ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary
_STATUS_CHANGE = ua.ObjectIds.StatusChangeNotification_Encoding_DefaultBinary


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification message of a subscription."""

    sequence: int
    rows: tuple[Rows, ...]
    """One for each DataChangeNotification in it; empty for a keep-alive."""
    status_changes: tuple[int, ...] = ()
    """A bad one means that the subscription is gone."""
    unreadable: int = 0
    """Parts that could not be decoded."""

    @property
    def is_keep_alive(self) -> bool:
        """True if it carries nothing but the next sequence number."""
        return not self.rows and not self.status_changes and not self.unreadable


@dataclass(frozen=True, slots=True)
class PublishAnswer:
    """What a publish request brought."""

    subscription_id: int
    available: tuple[int, ...]
    """Sequence numbers that the server can still send again."""
    more: bool
    notification: Notification


def decode_publish(body: bytes) -> PublishAnswer:
    """Return the content of a PublishResponse.

    Raises: DecodeError; a notification inside that cannot be read is only counted, as the frame around it can.
    """
    try:
        buffer = _after_header(body)
        subscription_id = _uint32(buffer)
        available = tuple(_uint32(buffer) for _ in range(_count(buffer, 4)))
        more = bool(buffer.read(1)[0])
        return PublishAnswer(subscription_id, available, more, _notification(buffer, body))
    except SDK_FAULTS as cause:
        raise DecodeError(what="a publish response", seen=f"{len(body)} bytes", reason=str(cause)) from cause


def decode_republish(body: bytes) -> Notification:
    """Return the message of a RepublishResponse. Raises: DecodeError."""
    try:
        return _notification(_after_header(body), body)
    except SDK_FAULTS as cause:
        raise DecodeError(what="a republish response", seen=f"{len(body)} bytes", reason=str(cause)) from cause


def decode_read(body: bytes, expected: int) -> Rows:
    """Return the values of a ReadResponse, `expected` of them in the order asked. Raises: DecodeError."""
    try:
        buffer = _after_header(body)
        count = _count(buffer, 1)
        if count != expected:
            raise ValueError(f"{count} values instead of {expected}")
        rows, _ = decode_values(body, buffer.cur_pos, len(body), count, with_handle=False)
    except SDK_FAULTS as cause:
        raise DecodeError(what="a read response", seen=f"{len(body)} bytes", reason=str(cause)) from cause
    return rows


def decode_history(body: bytes) -> Rows:
    """Return the values of an encoded HistoryData. Raises: DecodeError."""
    try:
        buffer = Buffer(body)
        count = _count(buffer, 1)
        rows, _ = decode_values(body, buffer.cur_pos, len(body), count, with_handle=False)
    except SDK_FAULTS as cause:
        raise DecodeError(what="history data", seen=f"{len(body)} bytes", reason=str(cause)) from cause
    return rows


def _after_header(body: bytes) -> Buffer:
    """Skip the type and the response header; a service fault is raised as asyncua's own error by its number."""
    buffer = Buffer(body)
    nodeid_from_binary(buffer)
    header: Any = struct_from_binary(ua.ResponseHeader, buffer)
    header.ServiceResult.check()
    return buffer


def _notification(buffer: Buffer, body: bytes) -> Notification:
    sequence = _uint32(buffer)
    buffer.skip(8)  # publish time: the source time of the values is what counts
    rows: list[Rows] = []
    changes: list[int] = []
    unreadable = 0
    for _ in range(_count(buffer, 3)):
        kind = nodeid_from_binary(buffer)
        if buffer.read(1)[0] != 1:
            continue
        length = int.from_bytes(buffer.read(4), "little", signed=True)
        start = buffer.cur_pos
        buffer.skip(max(length, 0))
        try:
            if kind.Identifier == _DATA_CHANGE:
                count = int.from_bytes(body[start : start + 4], "little", signed=True)
                rows.append(decode_values(body, start + 4, start + length, max(count, 0), with_handle=True)[0])
            elif kind.Identifier == _STATUS_CHANGE:
                changes.append(int.from_bytes(body[start : start + 4], "little"))
        except ValueError:
            unreadable += 1
    return Notification(sequence, tuple(rows), tuple(changes), unreadable)


def _uint32(buffer: Buffer) -> int:
    return int.from_bytes(buffer.read(4), "little")


def _count(buffer: Buffer, size_min: int) -> int:
    """The length of an array, which cannot be more than the bytes that follow allow."""
    count = int.from_bytes(buffer.read(4), "little", signed=True)
    if count * size_min > len(buffer):
        raise ValueError(f"an array of {count} in {len(buffer)} bytes")
    return max(count, 0)
