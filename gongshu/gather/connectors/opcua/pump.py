"""The publish loop: several requests wait at the server, so that it always has one to answer.

With one request in flight, as asyncua has it, a server under load fills its queues during each round trip and drops
values. Here a request goes out for each answer that has been put into the feed: when storing is slow, requests stop,
and the server's queues, whose overflow is visible, take the pressure. See docs/decisions/0015-own-publish-loop.md.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt

from gongshu.gather.batch import micros, native_batch
from gongshu.gather.connector import Feed, Loss
from gongshu.gather.connectors.opcua.config import OpcUaConfig
from gongshu.gather.connectors.opcua.datavalue import Rows
from gongshu.gather.connectors.opcua.link import Link, translated
from gongshu.gather.connectors.opcua.messages import Notification, PublishAnswer, decode_publish, decode_republish
from gongshu.gather.connectors.opcua.sdk import ua
from gongshu.gather.connectors.opcua.subscription import Subscription
from gongshu.gather.errors import DecodeError, LinkLost

_SILENCE_FACTOR = 1.5
_TRANSIENT = {ua.StatusCodes.BadTimeout, ua.StatusCodes.BadRequestTimeout}


class PublishPump:
    """Runs one subscription over one link, into one feed."""

    def __init__(
        self, link: Link, subscription: Subscription, feed: Feed, config: OpcUaConfig, clock: Callable[[], datetime],
        last_us: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._link = link
        self._subscription = subscription
        self._feed = feed
        self._config = config
        self._clock = clock
        self._limit = config.publishes_in_flight
        self._waiting: set[asyncio.Task[bytes | None]] = set()
        self._received_bytes = 0
        self._replaying = link.resumed
        self.was_answered = False
        """True once the server has answered for this subscription over this link."""
        self._tags = np.array([feed.tag(item.tag) for item in subscription.items], np.int32)
        self._last_us = np.array([last_us.get(item.tag.address, _NEVER) for item in subscription.items], np.int64)

    @property
    def in_flight_max(self) -> int:
        """How many requests the server takes at once, as far as is known."""
        return self._limit

    def last_times(self) -> dict[str, int]:
        """Return the newest source time delivered, by address, in microseconds since 1970."""
        items = self._subscription.items
        return {item.tag.address: int(us) for item, us in zip(items, self._last_us, strict=True) if us != _NEVER}

    async def run(self) -> None:
        """Deliver until cancelled. Raises: LinkLost."""
        await self._put_refused()
        renewing = asyncio.create_task(self._link.keep_renewed())
        silence_s = self._subscription.keep_alive_s * _SILENCE_FACTOR + self._config.timeout_s
        try:
            while True:
                while len(self._waiting) < self._limit:
                    self._waiting.add(asyncio.create_task(self._publish()))
                done, _ = await asyncio.wait(
                    {*self._waiting, renewing}, timeout=silence_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    raise self._lost(f"no answer to {len(self._waiting)} publish requests in {silence_s:.0f} s")
                with translated(self._config):
                    if renewing in done:
                        renewing.result()
                    finished = [task for task in self._waiting if task in done]
                    self._waiting -= done
                    failures = [failure for task in finished if (failure := task.exception())]
                    answered = [task.result() for task in finished if not task.exception()]
                    await self._take_all([body for body in answered if body is not None])
                    if failures:
                        raise failures[0]
        finally:
            for task in (*self._waiting, renewing):
                task.cancel()
            await asyncio.gather(*self._waiting, renewing, return_exceptions=True)

    async def _publish(self) -> bytes | None:
        """Send one request with all acknowledgements that wait; None if the server has enough of them."""
        numbers, self._subscription.acknowledgements = self._subscription.acknowledgements, []
        request = ua.PublishRequest()
        for number in numbers:
            acknowledgement = ua.SubscriptionAcknowledgement()
            acknowledgement.SubscriptionId = self._subscription.subscription_id
            acknowledgement.SequenceNumber = number
            request.Parameters.SubscriptionAcknowledgements.append(acknowledgement)
        try:
            return await self._link.send(request, timeout_s=0)
        except ua.UaStatusCodeError as fault:
            if fault.code == ua.StatusCodes.BadTooManyPublishRequests:
                self._subscription.acknowledgements += numbers
                self._limit = max(1, self._limit - 1)
                return None
            if fault.code in _TRANSIENT:
                return None
            raise

    async def _take_all(self, bodies: list[bytes]) -> None:
        received, self._received_bytes = self._link.received_bytes - self._received_bytes, self._link.received_bytes
        self._feed.received(received)
        answers: list[PublishAnswer] = []
        for body in bodies:
            try:
                answers.append(decode_publish(body))
            except DecodeError:
                self._unreadable(1)
        mine = [answer for answer in answers if answer.subscription_id == self._subscription.subscription_id]
        self.was_answered |= bool(mine)
        for answer in sorted(mine, key=lambda answer: answer.notification.sequence):
            await self._take(answer.notification)

    async def _take(self, notification: Notification) -> None:
        log = self._subscription.sequence
        number = notification.sequence
        arrival = log.keep_alive(number) if notification.is_keep_alive else log.notification(number)
        complete = not arrival.jumped
        if arrival.jumped:
            self._feed.lose(Loss("sequence gap", end=self._clock()))
        for missing in arrival.missing:
            complete &= await self._again(missing)
        if notification.is_keep_alive:
            self._feed.alive()
        elif not arrival.repeated:
            await self._deliver(notification)
        if self._replaying:
            # Said after the first value, with which the link counts as back.
            self._replaying = False
            if complete:
                self._feed.recovered()

    async def _again(self, number: int) -> bool:
        """Ask for a message that did not come; False, and a loss, if the server no longer has it."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = self._subscription.subscription_id
        request.Parameters.RetransmitSequenceNumber = number
        try:
            again = decode_republish(await self._link.send(request))
            if again.sequence != number:  # some servers answer with an empty message
                raise DecodeError(what=f"message {number}", seen=str(again.sequence), reason="another one came")
        except (ua.UaStatusCodeError, DecodeError) as cause:
            gone = isinstance(cause, DecodeError) or cause.code == ua.StatusCodes.BadMessageNotAvailable
            if not gone:
                raise
            self._feed.lose(Loss("sequence gap", end=self._clock()))
            return False
        await self._deliver(again)
        return True

    async def _deliver(self, notification: Notification) -> None:
        arrival_us = micros(self._clock())
        if notification.unreadable:
            self._unreadable(notification.unreadable)
        parts = [part for rows in notification.rows if len(part := self._known(rows))]
        for part in parts[:-1]:
            await self._feed.put(part.batch(self._tags, arrival_us=arrival_us))
        if parts:
            await self._feed.put(
                parts[-1].batch(self._tags, arrival_us=arrival_us),
                acknowledge=partial(self._subscription.on_disk, notification.sequence),
            )
        else:
            self._subscription.on_disk(notification.sequence)
            self._feed.alive()
        for code in notification.status_changes:
            if code >> 30 or code == ua.StatusCodes.GoodSubscriptionTransferred:
                raise self._lost(f"the server ended the subscription ({ua.status_codes.get_name_and_doc(code)[0]})")

    def _known(self, rows: Rows) -> Rows:
        """Leave out what came before the link was lost, and what has no tag; count what the server dropped."""
        inside = rows.handle < len(self._tags)
        if not inside.all():
            self._feed.bad_input(int((~inside).sum()))
            rows = rows.select(inside)
        fresh = self._subscription.fresh
        first = fresh[rows.handle]
        if first.any():
            again = first & rows.has_source & (rows.source_us == self._last_us[rows.handle])
            fresh[rows.handle] = False
            if again.any():
                rows = rows.select(~again)
        self._last_us[rows.handle[rows.has_source]] = rows.source_us[rows.has_source]
        self._say_overflow(rows.overflowed())
        if rows.refused:
            self._feed.bad_input(sum(rows.refused.values()))
        return rows

    def _say_overflow(self, handles: npt.NDArray[np.int64]) -> None:
        if not len(handles):
            return
        items = self._subscription.items
        one = len(set(handles.tolist())) == 1
        address = items[int(handles[0])].tag.address if one else ""
        self._feed.lose(Loss("device overflow", end=self._clock(), address=address))

    async def _put_refused(self) -> None:
        """Say of each variable that the server would not watch, why: as a reading with the server's own status."""
        refused = self._subscription.refused
        if refused and not self._link.resumed:
            numbers = [int(self._tags[handle]) for handle in refused]
            await self._feed.put(native_batch(numbers, arrival_us=micros(self._clock()), status=list(refused.values())))

    def _unreadable(self, count: int) -> None:
        self._feed.bad_input(count)
        self._feed.lose(Loss("undecodable", end=self._clock()))

    def _lost(self, reason: str) -> LinkLost:
        return LinkLost(endpoint=self._config.endpoint, reason=reason)


_NEVER = np.iinfo(np.int64).min
