"""The publish loop against a server that is a list of answers: order, gaps, acknowledgements, limits."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from asyncua.ua.ua_binary import struct_to_binary

from gongshu.gather.connector import Loss, Tag
from gongshu.gather.connectors.opcua.config import OpcUaConfig
from gongshu.gather.connectors.opcua.pump import PublishPump
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.gather.connectors.opcua.subscription import Item, Subscription
from gongshu.gather.errors import LinkLost
from gongshu.model.reading import ValueType

NOW = datetime(2026, 11, 2, tzinfo=UTC)
CONFIG = OpcUaConfig.model_validate({"url": "opc.tcp://h:1", "anonymous": True, "publishes_in_flight": 4})


def message(sequence: int, *values: int, status: int = 0) -> Any:
    found = ua.NotificationMessage()
    found.SequenceNumber = sequence
    if values:
        change = ua.DataChangeNotification()
        for value in values:
            item = ua.MonitoredItemNotification()
            item.ClientHandle = 0
            stamp = datetime.fromtimestamp(value, UTC)
            item.Value = ua.DataValue(ua.Variant(value, ua.VariantType.Int32), ua.StatusCode(status), stamp)
            change.MonitoredItems.append(item)
        found.NotificationData = [change]
    return found


class Far:
    """Answers publish requests from a list, then never again."""

    resumed = False
    received_bytes = 0

    def __init__(self, *answers: Any, kept: dict[int, Any] | None = None, at_most: int = 99) -> None:
        self._answers = list(answers)
        self._kept = kept or {}
        self._at_most = at_most
        self._open = 0
        self.most_open = 0
        self.acknowledged: list[int] = []

    async def send(self, request: Any, *, timeout_s: float | None = None) -> bytes:
        if isinstance(request, ua.RepublishRequest):
            number = request.Parameters.RetransmitSequenceNumber
            if number not in self._kept:
                raise ua.UaStatusCodeError(ua.StatusCodes.BadMessageNotAvailable)
            again = ua.RepublishResponse()
            again.NotificationMessage = self._kept[number]
            return bytes(struct_to_binary(again))
        self.acknowledged += [a.SequenceNumber for a in request.Parameters.SubscriptionAcknowledgements]
        if self._open >= self._at_most:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyPublishRequests)
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            await asyncio.sleep(0)
            if not self._answers:
                await asyncio.Event().wait()
            answer = ua.PublishResponse()
            answer.Parameters.SubscriptionId = 7
            answer.Parameters.NotificationMessage = self._answers.pop(0)
            return bytes(struct_to_binary(answer))
        finally:
            self._open -= 1

    async def keep_renewed(self) -> None:
        await asyncio.Event().wait()


class Near:
    """A feed that stores at once, or when told to."""

    def __init__(self, *, hold: bool = False) -> None:
        self._hold = hold
        self.held: list[Callable[[], None]] = []
        self.values: list[int] = []
        self.losses: list[Loss] = []
        self.replayed = 0

    def tag(self, tag: Tag) -> int:
        return 0

    async def put(self, batch: pa.RecordBatch, *, acknowledge: Any = None, once: Any = None) -> None:
        self.values += batch.column("value_int").to_pylist()
        if acknowledge:
            self.held.append(acknowledge) if self._hold else acknowledge()

    def lose(self, loss: Loss) -> None:
        self.losses.append(loss)

    def bad_input(self, count: int = 1) -> None: ...

    def received(self, size_bytes: int) -> None: ...

    def recovered(self) -> None:
        self.replayed += 1

    def alive(self) -> None: ...


def subscription() -> Subscription:
    item = Item(Tag("i=1", "x", ValueType.INT64), ua.NodeId(1))
    return Subscription(7, 1000.0, (item,), {}, np.ones(1, np.bool_))


async def pumped(far: Far, near: Near, known: Subscription | None = None, last: dict[str, int] | None = None) -> Any:
    pump = PublishPump(far, known or subscription(), near, CONFIG, lambda: NOW, last or {})  # type: ignore[arg-type]
    task = asyncio.create_task(pump.run())
    for _ in range(100):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return pump


async def test_several_requests_wait_at_the_server() -> None:
    far = Far(message(1, 10))
    await pumped(far, Near())
    assert far.most_open == CONFIG.publishes_in_flight


async def test_a_gap_is_asked_for_again_and_stands_in_its_place() -> None:
    far, near = Far(message(1, 10), message(3, 30), kept={2: message(2, 20)}), Near()
    await pumped(far, near)
    assert (sorted(near.values), near.losses) == ([10, 20, 30], [])


async def test_a_gap_that_the_server_forgot_is_a_loss() -> None:
    near = Near()
    await pumped(Far(message(1, 10), message(3, 30)), near)
    assert [loss.reason for loss in near.losses] == ["sequence gap"]


async def test_a_keep_alive_shows_a_gap_too() -> None:
    near = Near()
    await pumped(Far(message(1, 10), message(3), kept={2: message(2, 20)}), near)
    assert near.values == [10, 20]


async def test_a_repeated_message_is_delivered_once() -> None:
    near = Near()
    await pumped(Far(message(1, 10), message(1, 10), message(2, 20)), near)
    assert near.values == [10, 20]


async def test_only_what_is_on_disk_is_acknowledged() -> None:
    far, near, known = Far(message(1, 10), message(2, 20)), Near(hold=True), subscription()
    await pumped(far, near, known)
    assert far.acknowledged == []
    near.held[0]()
    following = Far(message(3, 30))
    await pumped(following, near, known)
    assert following.acknowledged == [1]


async def test_a_server_that_takes_fewer_requests_gets_fewer_and_no_acknowledgement_is_lost() -> None:
    known = subscription()
    known.acknowledgements = [5]
    far = Far(*[message(n, n) for n in range(1, 20)], at_most=2)
    near = Near()
    pump = await pumped(far, near, known)
    assert pump.in_flight_max == 2
    assert near.values == list(range(1, 20))
    assert 5 in far.acknowledged


async def test_an_overflow_is_a_loss_of_that_tag() -> None:
    near = Near()
    await pumped(Far(message(1, 10, status=0x480)), near)
    assert [(loss.reason, loss.address) for loss in near.losses] == [("device overflow", "i=1")]
    assert near.values == [10]


async def test_the_value_from_before_the_outage_is_not_repeated() -> None:
    near = Near()
    await pumped(Far(message(1, 10), message(2, 11)), near, last={"i=1": 10_000_000})
    assert near.values == [11]


async def test_a_session_that_went_on_replays_what_was_missed_and_says_so() -> None:
    known = subscription()
    known.sequence.expected = 2
    far = Far(message(3, 30), kept={2: message(2, 20)})
    far.resumed = True
    near = Near()
    await pumped(far, near, known)
    assert (near.values, near.replayed, near.losses) == ([20, 30], 1, [])


async def test_a_subscription_that_never_answers_is_none_to_come_back_to() -> None:
    assert not (await pumped(Far(), Near())).was_answered
    assert (await pumped(Far(message(1)), Near())).was_answered


async def test_a_subscription_that_the_server_ended_is_a_lost_link() -> None:
    ended = message(1)
    change = ua.StatusChangeNotification()
    change.Status = ua.StatusCode(ua.StatusCodes.BadTimeout)
    ended.NotificationData = [change]
    pump = PublishPump(Far(ended), subscription(), Near(), CONFIG, lambda: NOW, {})  # type: ignore[arg-type]
    with pytest.raises(LinkLost):
        await pump.run()
