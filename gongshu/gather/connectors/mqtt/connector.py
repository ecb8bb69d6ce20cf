"""The connector itself: connects, subscribes, reads messages by their form, acknowledges what is on disk."""

import asyncio
import json
import uuid
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, cast

import aiomqtt
import pyarrow as pa

from gongshu.errors import Unavailable
from gongshu.gather.batch import BatchBuilder, micros
from gongshu.gather.connector import ConnectorBase, ConnectorConfig, Context, Feed, Finding, Loss, ProbeReport, Tag
from gongshu.gather.connectors.mqtt.config import MqttConfig, PayloadForm
from gongshu.gather.connectors.mqtt.host import SparkplugHost, rebirth_request
from gongshu.gather.connectors.mqtt.link import BrokerLink, Session, body_of, connect
from gongshu.gather.connectors.mqtt.model import Outcome, Sample
from gongshu.gather.connectors.mqtt.plain import JsonReader
from gongshu.gather.connectors.mqtt.topics import NAMESPACE, filter_of, state_topic
from gongshu.gather.errors import ConfigWrong, LinkLost
from gongshu.model.reading import STATUS_GOOD, STATUS_UNCERTAIN_LAST_USABLE_VALUE

_MESSAGES_AT_ONCE = 500
_TICK_S = 0.25


class _Reader(Protocol):
    def receive(self, topic: str, body: bytes, now: datetime) -> Outcome: ...

    def tick(self, now: datetime) -> Outcome: ...


class _Plain:
    """JSON messages stand alone: time passing changes nothing."""

    def __init__(self, config: MqttConfig) -> None:
        self._reader = JsonReader(config.json_maps)

    def receive(self, topic: str, body: bytes, _now: datetime) -> Outcome:
        return self._reader.read(topic, body)

    def tick(self, _now: datetime) -> Outcome:
        return Outcome()


def open_mqtt(config: ConnectorConfig, context: Context) -> "MqttConnector":
    """Return a connector, not yet open."""
    return MqttConnector(cast(MqttConfig, config), context)


class MqttConnector(ConnectorBase):
    """See `gongshu.gather.connector.Connector` and `Subscribes`."""

    def __init__(self, config: MqttConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._link: BrokerLink | None = None
        self._born_ms = 0
        self._numbers: dict[str, tuple[Tag, int]] = {}

    async def open(self) -> None:
        """See `Connector.open`."""
        if self._link is None:
            self._born_ms = micros(self._context.clock()) // 1000
            self._link = await connect(self._config, self._session())

    async def close(self) -> None:
        """See `Connector.close`. A host application says that it goes before it goes."""
        link, self._link = self._link, None
        if link is None:
            return
        closing = asyncio.create_task(self._leave(link))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    async def probe(self) -> ProbeReport:
        """See `Connector.probe`. It uses a client id of its own, so that a running collection is not pushed off."""
        session = Session(f"gongshu-probe-{uuid.uuid4().hex[:12]}", 0)
        link = await connect(self._config, session)
        try:
            refused = await link.subscribe(self._filters())
        finally:
            await link.close()
        protection = "TLS" if self._config.is_encrypted else "readable on the wire"
        return ProbeReport(
            (
                Finding("reachable", True, self._config.endpoint),
                Finding("protocol", True, f"MQTT {self._config.version.value}, {protection}"),
                Finding("login", True, self._config.login),
                Finding("least_privilege", None, "MQTT does not say what a login may publish; ask the broker's owner"),
                Finding("tags", not refused, f"refused: {', '.join(refused)}" if refused else "may subscribe to all"),
            )
        )

    async def subscribe(self, feed: Feed) -> None:
        """See `Subscribes.subscribe`."""
        link = self._require_link()
        self._numbers = {}
        reader = self._reader()
        refused = await link.subscribe(self._filters())
        if refused:
            raise ConfigWrong(
                what=self._config.endpoint, field="json_maps", reason=f"the broker refuses {', '.join(refused)}"
            )
        await self._say_state(link, online=True)
        feed.alive()
        watching = asyncio.create_task(self._watch(link, feed, reader))
        receiving = asyncio.create_task(self._receive(link, feed, reader))
        try:
            done, _ = await asyncio.wait({watching, receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (watching, receiving):
                task.cancel()
            await asyncio.gather(watching, receiving, return_exceptions=True)

    async def _receive(self, link: BrokerLink, feed: Feed, reader: _Reader) -> None:
        while True:
            messages = await link.messages(_MESSAGES_AT_ONCE)
            outcome = Outcome()
            for message in messages:
                await self._read(link, message, reader, outcome)
            acknowledge = partial(link.acknowledge, [(message.mid, message.qos) for message in messages])
            await self._deliver(link, feed, outcome)
            await feed.put(self._batch(feed, outcome.samples), acknowledge=acknowledge)

    async def _read(self, link: BrokerLink, message: aiomqtt.Message, reader: _Reader, outcome: Outcome) -> None:
        topic = str(message.topic)
        body = body_of(message)
        if self._config.host_id and topic == state_topic(self._config.host_id):
            if not _is_online(body):  # somebody, perhaps our own late will, says that we are gone
                await self._say_state(link, online=True)
            return
        if len(body) > self._config.payload_max_bytes:
            outcome.unusable += 1
            outcome.lost_messages += 1
            return
        found = reader.receive(topic, body, self._context.clock())
        if message.retain and self._config.payload is PayloadForm.JSON:
            found.samples = [_aged(sample) for sample in found.samples]
        outcome.samples += found.samples
        outcome.rebirths += found.rebirths
        outcome.lost_messages += found.lost_messages
        outcome.unusable += found.unusable
        outcome.refused += found.refused

    async def _watch(self, link: BrokerLink, feed: Feed, reader: _Reader) -> None:
        """Let time pass for messages that wait for others, and pass on that the broker answers pings."""
        heard_s = link.last_heard_s
        while True:
            await asyncio.sleep(_TICK_S)
            link.require_sound()
            if (now_s := link.last_heard_s) not in (None, heard_s):
                heard_s = now_s
                feed.alive()
            outcome = reader.tick(self._context.clock())
            await self._deliver(link, feed, outcome)

    async def _deliver(self, link: BrokerLink, feed: Feed, outcome: Outcome) -> None:
        """Count what is not a value, and ask for the births that are missing."""
        received_bytes, dropped = link.take_counts()
        feed.received(received_bytes)
        now = self._context.clock()
        if outcome.unusable:
            feed.bad_input(outcome.unusable)
        if dropped:
            feed.lose(Loss("queue full", end=now))
        if outcome.lost_messages:
            feed.lose(Loss("sequence gap", end=now))
        for address in outcome.refused:
            feed.lose(Loss("type not supported", end=now, address=address))
        for group, node in outcome.rebirths:
            await link.publish(f"{NAMESPACE}/{group}/NCMD/{node}", rebirth_request(now), qos=0, retain=False)

    def _batch(self, feed: Feed, samples: list[Sample]) -> pa.RecordBatch:
        builder = BatchBuilder()
        arrival_us = micros(self._context.clock())
        over = 0
        for sample in samples:
            number = self._number(feed, sample.tag)
            if number is None:
                over += 1
                continue
            builder.add(number, sample.value, arrival_us=arrival_us, source_us=sample.time_us, status=sample.status)
        if over:
            feed.lose(Loss("more series than `tags_max`", over, end=self._context.clock()))
        return builder.finish()

    def _number(self, feed: Feed, tag: Tag) -> int | None:
        """The tag's number; None for a new one over the bound."""
        known = self._numbers.get(tag.address)
        if known is not None and known[0] is tag:
            return known[1]
        if known is None and len(self._numbers) >= self._config.tags_max:
            return None
        number = feed.tag(tag)
        self._numbers[tag.address] = tag, number
        return number

    def _reader(self) -> _Reader:
        if self._config.payload is PayloadForm.JSON:
            return _Plain(self._config)
        return SparkplugHost(
            reorder=timedelta(seconds=self._config.reorder_s),
            rebirth_every=timedelta(seconds=self._config.rebirth_every_s),
            tags_max=self._config.tags_max,
        )

    def _session(self) -> Session:
        client_id = self._config.client_id or f"gongshu-{self._context.source_id}"
        if self._config.payload is PayloadForm.JSON:
            return Session(client_id, self._config.session_keep_s)
        # A Sparkplug host starts clean. Source: Sparkplug 3.0, tck-id-message-flow-phid-sparkplug-clean-session.
        will = (state_topic(self._config.host_id), self._state(online=False)) if self._config.host_id else None
        return Session(client_id, 0, will)

    def _filters(self) -> list[str]:
        if self._config.payload is PayloadForm.JSON:
            return list(dict.fromkeys(filter_of(rule.topic) for rule in self._config.json_maps))
        filters = [f"{NAMESPACE}/{group}/#" for group in self._config.groups] or [f"{NAMESPACE}/+/+/#"]
        return [*filters, state_topic(self._config.host_id)] if self._config.host_id else filters

    def _state(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._born_ms}).encode()

    async def _say_state(self, link: BrokerLink, *, online: bool) -> None:
        if self._config.host_id:
            await link.publish(state_topic(self._config.host_id), self._state(online=online), qos=1, retain=True)

    async def _leave(self, link: BrokerLink) -> None:
        try:
            await self._say_state(link, online=False)
        except Unavailable:
            pass  # the broker does not listen any more; it publishes our will
        finally:
            await link.close()

    def _require_link(self) -> BrokerLink:
        if self._link is None:
            raise LinkLost(endpoint=self._config.endpoint, reason="it is not open")
        return self._link


def _aged(sample: Sample) -> Sample:
    """A retained message without a time may be of any age: usable, but not good."""
    if sample.time_us is None and sample.status == STATUS_GOOD:
        return Sample(sample.tag, sample.value, None, STATUS_UNCERTAIN_LAST_USABLE_VALUE)
    return sample


def _is_online(body: bytes) -> bool:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("online") is True
