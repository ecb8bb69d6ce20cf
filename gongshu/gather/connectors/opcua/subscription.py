"""One subscription at the server: made in bulk, and remembered so that a new connection can go on with it.

Source: OPC 10000-4 §5.12.2 CreateMonitoredItems, §5.13.2 CreateSubscription, §7.22.2 DataChangeFilter.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from gongshu.gather.connector import Tag
from gongshu.gather.connectors.opcua.config import Deadband, OpcUaConfig, Trigger
from gongshu.gather.connectors.opcua.link import Link
from gongshu.gather.connectors.opcua.sdk import NodeId, ua
from gongshu.gather.connectors.opcua.sequence import SequenceLog

NOTIFICATIONS_PER_PUBLISH = 10_000
_KEEP_ALIVE_S = 5.0
_LIFETIME_PER_KEEP_ALIVE = 3
"""The least that the standard allows. Source: OPC 10000-4 §5.13.2."""


@dataclass(frozen=True, slots=True)
class Item:
    """One variable to watch; its client handle is its position."""

    tag: Tag
    node: NodeId | None
    """None if the server does not have its namespace."""


@dataclass(slots=True)
class Subscription:
    """What is known of a subscription, over several connections."""

    subscription_id: int
    keep_alive_s: float
    """At the latest so often the server says something."""
    items: tuple[Item, ...]
    refused: dict[int, int]
    """Status codes of the items that the server would not watch, by handle."""
    fresh: npt.NDArray[np.bool_]
    """Items whose first value has not come: it may be one that came before the connection was lost."""
    sequence: SequenceLog = field(default_factory=SequenceLog)
    acknowledgements: list[int] = field(default_factory=list)
    """Sequence numbers that are on disk and that the server may forget; they go out with the next request."""

    def on_disk(self, sequence: int) -> None:
        """Note that the server may forget this message."""
        self.acknowledgements.append(sequence)


async def create_subscription(link: Link, config: OpcUaConfig, items: tuple[Item, ...]) -> Subscription:
    """Make a subscription with all items at the server, `items_per_call` in a request.

    Raises: asyncua's errors: call within `translated`.
    """
    interval_s = config.publishing_interval_ms / 1000
    wanted_s = min(_KEEP_ALIVE_S, config.silent_after_s / 3 or _KEEP_ALIVE_S)
    request = ua.CreateSubscriptionRequest()
    request.Parameters.RequestedPublishingInterval = config.publishing_interval_ms
    request.Parameters.RequestedMaxKeepAliveCount = max(1, round(wanted_s / interval_s))
    request.Parameters.RequestedLifetimeCount = max(
        _LIFETIME_PER_KEEP_ALIVE * request.Parameters.RequestedMaxKeepAliveCount,
        round(config.session_keep_s / interval_s),
    )
    request.Parameters.MaxNotificationsPerPublish = NOTIFICATIONS_PER_PUBLISH
    request.Parameters.PublishingEnabled = True
    answer = struct_from_binary(ua.CreateSubscriptionResponse, Buffer(await link.send(request))).Parameters
    refused: dict[int, int] = {}
    known = [(handle, item.node) for handle, item in enumerate(items) if item.node is not None]
    for start in range(0, len(known), config.items_per_call):
        part = known[start : start + config.items_per_call]
        results = await link.session.create_monitored_items(_items(config, answer.SubscriptionId, part))
        refused |= {
            handle: result.StatusCode.value
            for (handle, _), result in zip(part, results, strict=True)
            if result.StatusCode.is_bad()
        }
    refused |= {h: ua.StatusCodes.BadNodeIdUnknown for h, item in enumerate(items) if item.node is None}
    return Subscription(
        subscription_id=answer.SubscriptionId,
        keep_alive_s=answer.RevisedPublishingInterval * answer.RevisedMaxKeepAliveCount / 1000,
        items=items,
        refused=refused,
        fresh=np.ones(len(items), np.bool_),
    )


def _items(
    config: OpcUaConfig, subscription_id: int, part: list[tuple[int, NodeId]]
) -> ua.CreateMonitoredItemsParameters:
    parameters = ua.CreateMonitoredItemsParameters()
    parameters.SubscriptionId = subscription_id
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    parameters.ItemsToCreate = [_item(config, handle, node) for handle, node in part]
    return parameters


def _item(config: OpcUaConfig, handle: int, node: NodeId) -> ua.MonitoredItemCreateRequest:
    watch = ua.MonitoringParameters()
    watch.ClientHandle = handle
    watch.SamplingInterval = config.sampling_interval_ms
    watch.QueueSize = config.queue_size
    watch.DiscardOldest = True
    watch.Filter = _filter(config)
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor.NodeId = node
    item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    item.MonitoringMode = ua.MonitoringMode.Reporting
    item.RequestedParameters = watch
    return item


def _filter(config: OpcUaConfig) -> ua.DataChangeFilter | None:
    if config.trigger is Trigger.STATUS_VALUE and config.deadband is Deadband.NONE:
        return None  # that is the server's default, and some take no filter at all
    wanted = ua.DataChangeFilter()
    wanted.Trigger = (
        ua.DataChangeTrigger.StatusValue
        if config.trigger is Trigger.STATUS_VALUE
        else ua.DataChangeTrigger.StatusValueTimestamp
    )
    wanted.DeadbandType = {Deadband.NONE: 0, Deadband.ABSOLUTE: 1, Deadband.PERCENT: 2}[config.deadband]
    wanted.DeadbandValue = config.deadband_value
    return wanted
