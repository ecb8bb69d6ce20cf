"""The columnar shape of readings, from the wire to the page."""

from enum import StrEnum

import pyarrow as pa

READING_SCHEMA = pa.schema(
    [
        pa.field("series_id", pa.int32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("time_is_source", pa.bool_(), nullable=False),
        pa.field("arrival_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value_double", pa.float64()),
        pa.field("value_int", pa.int64()),
        pa.field("value_text", pa.string()),
        pa.field("status", pa.uint32(), nullable=False),
    ]
)
"""One row is one reading. `time` is the device's own time where the protocol has one (`time_is_source`), otherwise the
arrival time; both are aware UTC. At most one of the three value columns is set; none means the device gave no value.
`status` is an OPC UA StatusCode (OPC 10000-4 §7.39): 0 is good; bad readings are kept with their status.
See docs/decisions/0053-time-of-a-reading.md.
"""

STATUS_GOOD = 0x00000000
STATUS_UNCERTAIN = 0x40000000
STATUS_BAD = 0x80000000
STATUS_BAD_NO_COMMUNICATION = 0x80310000
STATUS_BAD_NODE_ID_UNKNOWN = 0x80340000
STATUS_BAD_NOT_CONNECTED = 0x808A0000
STATUS_BAD_OUT_OF_RANGE = 0x803C0000
STATUS_UNCERTAIN_LAST_USABLE_VALUE = 0x40900000
"""The codes that our own connectors set. Source: OPC 10000-6, StatusCode.csv."""


class ValueType(StrEnum):
    """What a series holds, and so which value column its readings use; nothing is rounded on the way.

    bool and the integers up to 64 bits: `value_int`. uint64 above 2^63-1: decimal digits in `value_text`.
    float32 and float64: `value_double`. text: `value_text`. bytes: base64 in `value_text`. array and structure: JSON
    in `value_text`, with integers and floats written so that they read back to the same value.
    """

    BOOL = "bool"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    TEXT = "text"
    BYTES = "bytes"
    ARRAY = "array"
    STRUCTURE = "structure"
    TIME = "time"


class Quality(StrEnum):
    """The severity of a status: its two highest bits. Source: OPC 10000-4 §7.39.1."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


def quality_of(status: int) -> Quality:
    """Return the severity of an OPC UA status code; the reserved pattern 11 counts as bad.

    >>> quality_of(0x40900000).value
    'uncertain'
    """
    return (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)[(status >> 30) & 0b11]
