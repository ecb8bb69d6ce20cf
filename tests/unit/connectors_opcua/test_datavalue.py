"""The decoder of DataValues against asyncua's own encoder, and against bytes that are nothing."""

import contextlib
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gongshu.gather.connectors.opcua.datavalue import OVERFLOW, STATUS_BAD_NOT_SUPPORTED, Rows, decode_values
from gongshu.gather.connectors.opcua.messages import decode_publish
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.gather.connectors.opcua.variant import ticks_text
from gongshu.gather.errors import DecodeError

Columns = tuple[float | None, int | None, str | None]
T = ua.VariantType
NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, UTC)

scalars = st.one_of(
    st.tuples(st.just(T.Boolean), st.booleans()),
    st.tuples(st.just(T.SByte), st.integers(-128, 127)),
    st.tuples(st.just(T.Int16), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(T.UInt32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(T.Int64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(T.UInt64), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(T.Float), st.floats(width=32)),
    st.tuples(st.just(T.Double), st.floats()),
    st.tuples(st.just(T.String), st.text()),
    st.tuples(st.just(T.ByteString), st.binary()),
)
values = st.tuples(scalars, st.sampled_from([0, 0x40000000, 0x80340000, OVERFLOW]), st.booleans())


def encode(items: list[Any]) -> bytes:
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 7
    response.Parameters.NotificationMessage.SequenceNumber = 3
    change = ua.DataChangeNotification()
    for handle, value in enumerate(items):
        item = ua.MonitoredItemNotification()
        item.ClientHandle, item.Value = handle, value
        change.MonitoredItems.append(item)
    response.Parameters.NotificationMessage.NotificationData = [change]
    return bytes(struct_to_binary(response))


def columns(rows: Rows) -> list[Columns]:
    tags = np.arange(len(rows), dtype=np.int32)
    return [(r["value_double"], r["value_int"], r["value_text"]) for r in rows.batch(tags, arrival_us=0).to_pylist()]


def expected(kind: Any, value: Any) -> Columns:
    import base64

    if isinstance(value, float):
        return value, None, None
    if isinstance(value, bytes):
        return None, None, base64.b64encode(value).decode()
    if isinstance(value, str):
        return None, None, value
    return (None, int(value), None) if value < 2**63 else (None, None, str(value))


def same(ours: Columns, theirs: Columns) -> bool:
    return all(a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))
               for a, b in zip(ours, theirs, strict=True))  # fmt: skip


@given(st.lists(values, max_size=40), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_every_value_decodes_to_what_was_encoded_alone_and_in_runs(items: list[Any], repeat: int) -> None:
    items = [item for item in items for _ in range(repeat)]
    encoded = [
        ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), SourceTimestamp=NOW if timed else None)
        for (kind, value), status, timed in items
    ]
    (rows,) = decode_publish(encode(encoded)).notification.rows
    assert rows.handle.tolist() == list(range(len(items)))
    for seen, ((kind, value), _, _) in zip(columns(rows), items, strict=True):
        assert same(seen, expected(kind, value)), (kind, value)
    assert rows.status.tolist() == [status for _, status, _ in items]
    times = rows.batch(np.zeros(len(items), np.int32), arrival_us=0).column("source_time").to_pylist()
    assert times == [NOW if timed else None for *_, timed in items]


@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
@example(b"\x01\x1a\x00\x00\x00\x80", 2, False)
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_rows_or_a_value_error(body: bytes, count: int, with_handle: bool) -> None:
    try:
        rows, at = decode_values(body, 0, len(body), count, with_handle=with_handle)
    except ValueError:
        return
    assert len(rows) == count
    assert at <= len(body)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_an_answer_or_a_decode_error(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_publish(body)


def test_every_cut_of_a_message_is_noticed() -> None:
    body = encode([ua.DataValue(ua.Variant(float(i), T.Double), SourceTimestamp=NOW) for i in range(20)])
    for size in range(len(body) - 8):
        try:
            answer = decode_publish(body[:size])
        except DecodeError:
            continue
        assert answer.notification.unreadable == 1, size


def test_a_spoilt_part_does_not_hide_the_sequence_number() -> None:
    body = bytearray(encode([ua.DataValue(ua.Variant("x" * 50, T.String))]))
    at = body.index(b"xxxx") - 4
    body[at : at + 4] = (10**9).to_bytes(4, "little")
    notification = decode_publish(bytes(body)).notification
    assert (notification.sequence, notification.unreadable, notification.rows) == (3, 1, ())


def test_times_keep_their_hundred_nanoseconds_and_for_ever_is_no_time() -> None:
    assert ticks_text(116444736000000001) == "1970-01-01T00:00:00.0000001Z"
    endless = ua.DataValue(ua.Variant(1, T.Int32), SourceTimestamp=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    (rows,) = decode_publish(encode([endless])).notification.rows
    assert not rows.has_source.any()


def test_arrays_and_structures_arrive_as_json() -> None:
    unit = ua.EUInformation(NamespaceUri="u", UnitId=7, DisplayName=ua.LocalizedText("kW"))
    shaped = ua.Variant([[1, 2], [3, 4]], T.Int32, [2, 2])
    moments = ua.Variant([NOW, NOW + timedelta(seconds=1)], T.DateTime)
    (rows,) = decode_publish(encode([ua.DataValue(v) for v in (ua.Variant(unit), shaped, moments)])).notification.rows
    texts = [text for _, _, text in columns(rows)]
    assert texts[0] is not None
    assert '"UnitId":7' in texts[0]
    assert texts[1:] == ["[[1,2],[3,4]]", '["2026-03-04T05:06:07.8901230Z","2026-03-04T05:06:08.8901230Z"]']


def test_an_unknown_structure_keeps_its_bytes_and_its_type() -> None:
    opaque = ua.ExtensionObject(TypeId=ua.NodeId(5001, 3), Body=b"\x01\x02")
    (rows,) = decode_publish(encode([ua.DataValue(ua.Variant(opaque))])).notification.rows
    assert columns(rows)[0][2] == '{"type":"ns=3;i=5001","body":"AQI="}'


def test_a_type_that_no_series_can_hold_is_refused_by_name() -> None:
    inner = ua.Variant(ua.DataValue(ua.Variant(1, T.Int32)), T.DataValue)
    (rows,) = decode_publish(encode([ua.DataValue(inner)])).notification.rows
    assert rows.refused == {"DataValue": 1}
    assert rows.status.tolist() == [STATUS_BAD_NOT_SUPPORTED]
    assert columns(rows) == [(None, None, None)]


def test_overflow_is_seen_where_the_server_sets_it() -> None:
    encoded = [ua.DataValue(ua.Variant(1, T.Int32), ua.StatusCode(s)) for s in (0, OVERFLOW, 0x80 | 0x80000000)]
    (rows,) = decode_publish(encode(encoded)).notification.rows
    assert rows.overflowed().tolist() == [1]


@pytest.mark.parametrize("count", [-1, 10**9])
def test_a_count_that_the_bytes_cannot_hold_is_refused_before_anything_is_allocated(count: int) -> None:
    with pytest.raises(ValueError):
        decode_values(b"\0" * 50, 0, 50, count, with_handle=False)
