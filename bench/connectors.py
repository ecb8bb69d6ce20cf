"""What a collector's process carries: OPC UA and MQTT into a feed that only counts, beside the library's own way.

The far ends run in this process or beside it on the same processors, so wall figures are
theirs too: the figure to compare is values for each processor-second of the decoding and queueing.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from bench.result import Result
from gongshu.gather.batch import BatchBuilder
from gongshu.gather.connectors.mqtt.config import JsonMap
from gongshu.gather.connectors.mqtt.datatypes import DataType
from gongshu.gather.connectors.mqtt.host import SparkplugHost
from gongshu.gather.connectors.mqtt.model import Sample
from gongshu.gather.connectors.mqtt.payload import Payload
from gongshu.gather.connectors.mqtt.plain import JsonReader
from gongshu.gather.connectors.opcua.messages import decode_publish
from gongshu.gather.connectors.opcua.sdk import ua

NOW = datetime(2026, 11, 2, tzinfo=UTC)
_VALUES = 1000


def bench_connectors(seconds: int) -> list[Result]:  # noqa: ARG001  its messages hold 1,000 values each
    """Values for each processor-second from the bytes of a message to Arrow, without the far end."""
    return [
        *_opcua("values of one type", lambda i: ua.Variant(i * 0.5, ua.VariantType.Double)),
        *_opcua("types mixed value by value", _mixed),
        *_sparkplug(),
        *_json(),
    ]


def _mixed(i: int) -> Any:
    if i % 2:
        return ua.Variant(i * 0.5, ua.VariantType.Double)
    return ua.Variant(i, ua.VariantType.Int32) if i % 3 else ua.Variant("on", ua.VariantType.String)


def _opcua(what: str, variant: Callable[[int], Any]) -> list[Result]:
    change = ua.DataChangeNotification()
    for handle in range(_VALUES):
        item = ua.MonitoredItemNotification()
        item.ClientHandle, item.Value = handle, ua.DataValue(variant(handle), SourceTimestamp=NOW)
        change.MonitoredItems.append(item)
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 1
    response.Parameters.NotificationMessage.NotificationData = [change]
    body = struct_to_binary(response)
    tags = np.arange(_VALUES, dtype=np.int32)

    def ours() -> None:
        (rows,) = decode_publish(body).notification.rows
        rows.batch(tags, arrival_us=0)

    library = _per_second(lambda: struct_from_binary(ua.PublishResponse, Buffer(body)))
    return [_beside(f"OPC UA, {what}, bytes to Arrow", _per_second(ours), "asyncua, bytes to objects", library)]


def _sparkplug() -> list[Result]:
    host = SparkplugHost(reorder=timedelta(seconds=2), rebirth_every=timedelta(seconds=10), tags_max=_VALUES)
    birth = Payload(timestamp=1, seq=0)
    for alias in range(_VALUES):
        birth.metrics.add(name=f"m{alias}", alias=alias, datatype=DataType.DOUBLE, double_value=0.0)
    host.receive("spBv1.0/g/NBIRTH/n", birth.SerializeToString(), NOW)
    bodies = []
    for seq in range(256):
        data = Payload(timestamp=2, seq=seq)
        for alias in range(_VALUES):
            data.metrics.add(alias=alias, timestamp=2, double_value=alias * 0.5)
        bodies.append(data.SerializeToString())
    turn = iter(range(1, 10**9))

    def ours() -> None:
        _build(host.receive("spBv1.0/g/NDATA/n", bodies[next(turn) % 256], NOW).samples)

    bare = _per_second(lambda: Payload.FromString(bodies[0]))
    return [_beside("Sparkplug, 1,000 metrics a message, bytes to Arrow", _per_second(ours), "protobuf parse", bare)]


def _json() -> list[Result]:
    reader = JsonReader([JsonMap.model_validate({"topic": "{name}", "time": "t", "time_form": "milliseconds"})])
    body = json.dumps({"t": 1, **{f"m{i}": i * 0.5 for i in range(_VALUES)}}).encode()
    ours = _per_second(lambda: _build(reader.read("x", body).samples))
    return [
        _beside(
            "JSON, 1,000 values a message, bytes to Arrow", ours, "json.loads", _per_second(lambda: json.loads(body))
        )
    ]


def _build(samples: list[Sample]) -> None:
    builder = BatchBuilder()
    for number, sample in enumerate(samples):
        builder.add(number, sample.value, arrival_us=0, source_us=sample.time_us, status=sample.status)
    assert builder.finish().num_rows == _VALUES


def _per_second(work: Callable[[], object], enough_s: float = 1.0) -> float:
    """Values for each second of this processor's time."""
    work()
    rounds, start_s = 0, time.process_time()
    while (spent_s := time.process_time() - start_s) < enough_s:
        work()
        rounds += 1
    return rounds * _VALUES / spent_s


def _beside(what: str, measured: float, reference: str, bare: float) -> Result:
    return Result(what, measured, "values/cpu-s", f"{reference}: {bare:,.0f} values/cpu-s", measured / bare)
