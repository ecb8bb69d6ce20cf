"""Frames between node and worker: one byte of kind, eight of length, then the payload. No I/O here."""

import struct
from enum import IntEnum

HEADER = struct.Struct("<BQ")
FRAME_BYTES_MAX = 1 << 32
"""No batch is larger; a greater length means that the stream is out of step."""


class Kind(IntEnum):
    """What a frame holds."""

    REQUEST = 1
    """JSON, node to worker."""
    SCHEMA = 2
    """An Arrow IPC schema message."""
    BATCH = 3
    """An Arrow IPC record batch message."""
    DONE = 4
    """JSON; the result is complete."""
    ERROR = 5
    """JSON; there is no more."""
    STALE = 6
    """Empty; files or log entries of the plan are gone: plan again."""
    READY = 7
    """Empty; the worker has started."""


def header(kind: Kind, length: int) -> bytes:
    """Return the nine bytes before a payload.

    >>> header(Kind.DONE, 2).hex()
    '040200000000000000'
    """
    return HEADER.pack(kind, length)


def parse_header(data: bytes | memoryview) -> tuple[Kind, int]:
    """Return (kind, payload length).

    Raises: ValueError if the bytes are no header of ours.
    """
    kind, length = HEADER.unpack(data)
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes")
    return Kind(kind), length
