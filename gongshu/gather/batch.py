"""The columnar shape of values between a connector and the intake: as READING_SCHEMA, but named by tag number.

A connector numbers its tags with `Feed.tag` and puts record batches of NATIVE_SCHEMA. Where a protocol hands over one
value at a time (a subscription, a message) `BatchBuilder.add` touches it once; from there on all is columnar.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from gongshu.model.reading import STATUS_GOOD

NATIVE_SCHEMA = pa.schema(
    [
        pa.field("tag", pa.int32(), nullable=False),
        pa.field("source_time", pa.timestamp("us", tz="UTC")),
        pa.field("arrival_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value_double", pa.float64()),
        pa.field("value_int", pa.int64()),
        pa.field("value_text", pa.string()),
        pa.field("status", pa.uint32(), nullable=False),
    ]
)
"""One row is one value of one tag. `tag` is the number that `Feed.tag` gave, or, in the answer of `Reads.read`, the
position in the question. `source_time` is null where the protocol carries none: never the arrival time in disguise.
At most one value column is set (`gongshu.model.reading.ValueType` says which); `status` is an OPC UA StatusCode."""

Value = float | int | bool | str | bytes | datetime | Sequence[object] | Mapping[str, object] | None
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return the whole microseconds from 1970 UTC to an aware time.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - _EPOCH) // _MICROSECOND


class BatchBuilder:
    """Collects single values and returns them as one record batch; not safe for several threads.

    Cost: about a microsecond a value; the Arrow arrays are built once, in `finish`.
    """

    def __init__(self) -> None:
        self._tags: list[int] = []
        self._source_us: list[int | None] = []
        self._arrival_us: list[int] = []
        self._doubles: list[float | None] = []
        self._ints: list[int | None] = []
        self._texts: list[str | None] = []
        self._statuses: list[int] = []

    def __len__(self) -> int:
        return len(self._tags)

    def add(
        self, tag: int, value: Value, *, arrival_us: int, source_us: int | None = None, status: int = STATUS_GOOD
    ) -> None:
        """Append one reading; nothing is rounded: integers beyond int64 become decimal digits in the text column.

        Units: `arrival_us` and `source_us` are microseconds since 1970 UTC, see `micros`.
        Raises: TypeError for a Python type that no value type covers; the connector must map it first.
        """
        double, integer, text = place_value(value)
        self._tags.append(tag)
        self._source_us.append(source_us)
        self._arrival_us.append(arrival_us)
        self._doubles.append(double)
        self._ints.append(integer)
        self._texts.append(text)
        self._statuses.append(status)

    def finish(self) -> pa.RecordBatch:
        """Return what was added as a record batch of NATIVE_SCHEMA and start anew."""
        batch = native_batch(
            self._tags,
            arrival_us=self._arrival_us,
            source_us=self._source_us,
            value_double=self._doubles,
            value_int=self._ints,
            value_text=self._texts,
            status=self._statuses,
        )
        self.__init__()  # type: ignore[misc]
        return batch


def native_batch(
    tag: object,
    *,
    arrival_us: object,
    source_us: object = None,
    value_double: object = None,
    value_int: object = None,
    value_text: object = None,
    status: object = STATUS_GOOD,
) -> pa.RecordBatch:
    """Return a record batch of NATIVE_SCHEMA from columns.

    Shape: each column is a sequence, a NumPy or an Arrow array of equal length; `arrival_us` and `status` may be one
    number for all rows; a column left out is null in every row. Times are microseconds since 1970 UTC.
    """
    tags = _column(tag, pa.int32(), None)
    rows = len(tags)
    return pa.RecordBatch.from_arrays(
        [
            tags,
            _column(source_us, pa.int64(), rows).cast(pa.timestamp("us", tz="UTC")),
            _column(arrival_us, pa.int64(), rows).cast(pa.timestamp("us", tz="UTC")),
            _column(value_double, pa.float64(), rows),
            _column(value_int, pa.int64(), rows),
            _column(value_text, pa.string(), rows),
            _column(status, pa.uint32(), rows),
        ],
        schema=NATIVE_SCHEMA,
    )


def place_value(value: Value) -> tuple[float | None, int | None, str | None]:
    """Return the value in the column it belongs to: (value_double, value_int, value_text).

    Raises: TypeError for a type that has no column.

    >>> place_value(True), place_value(2**64 - 1), place_value(b"ok")
    ((None, 1, None), (None, None, '18446744073709551615'), (None, None, 'b2s='))
    """
    match value:
        case None:
            return None, None, None
        case float():
            return value, None, None
        case int():  # bool too: True is 1
            return (None, int(value), None) if INT64_MIN <= value <= INT64_MAX else (None, None, str(value))
        case str():
            return None, None, value
        case bytes():
            return None, None, base64.b64encode(value).decode("ascii")
        case datetime():
            return None, None, _time_text(value)
        case Sequence() | Mapping():
            return None, None, json.dumps(value, ensure_ascii=False, default=_json_value, separators=(",", ":"))
    raise TypeError(f"no value column takes {type(value).__name__}")


def _json_value(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return _time_text(value)
    raise TypeError(f"no value column takes {type(value).__name__}")


def _time_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _column(values: object, kind: pa.DataType, rows: int | None) -> pa.Array:
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    if values is None:
        return pa.nulls(rows or 0, kind)
    if isinstance(values, int):
        return pa.repeat(pa.scalar(values, kind), rows or 0)
    return pa.array(values, kind)
