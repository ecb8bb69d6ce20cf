"""Keeps the edge node on an MQTT broker: birth, data on change, rebirth when asked, death when it goes."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aiomqtt

from gongshu.simulate.edge_node import GROUP, EdgeNode, Values, command_topic, death_topic

RETRY_S = 2.0
BIRTH_DEATH_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to be let in."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def topics(self) -> str:
        """The filter that covers everything the plant publishes."""
        return f"spBv1.0/{GROUP}/#"


class PlantSparkplug:
    """The publisher; `run` ends only by cancellation."""

    def __init__(self, broker: Broker, read: Callable[[], tuple[Values, datetime]], *, every_s: float) -> None:
        self._broker = broker
        self._read = read
        self._every_s = every_s
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Publish, and connect again two seconds after a lost broker, with the next birth-death number."""
        from gongshu.gather.connectors.mqtt import sparkplug_b_pb2

        number = 0
        while True:
            node = EdgeNode(
                sparkplug_b_pb2.Payload,  # type: ignore[attr-defined]
                birth_death_number=number,
            )
            with contextlib.suppress(aiomqtt.MqttError):
                await self._publish(node)
            self.connected.clear()
            number = (number + 1) % BIRTH_DEATH_NUMBERS
            await asyncio.sleep(RETRY_S)

    async def _publish(self, node: EdgeNode) -> None:
        will = aiomqtt.Will(death_topic(), node.death(), qos=1, retain=False)
        broker = self._broker
        async with aiomqtt.Client(
            broker.host, broker.port, username=broker.user, password=broker.password, will=will
        ) as client:
            await client.subscribe(command_topic(), qos=1)
            rebirth = asyncio.Event()
            listener = asyncio.create_task(_listen(client, node, rebirth))
            try:
                await self._tell(client, node, rebirth)
            finally:
                listener.cancel()
                # A wanted disconnect makes the broker drop the will, so the death is told by hand.
                with contextlib.suppress(aiomqtt.MqttError):
                    await client.publish(death_topic(), node.death(), qos=1, retain=False)

    async def _tell(self, client: aiomqtt.Client, node: EdgeNode, rebirth: asyncio.Event) -> None:
        rebirth.set()
        while True:
            values, time = self._read()
            messages = node.births(values, time) if rebirth.is_set() else node.data(values, time)
            rebirth.clear()
            for topic, payload in messages:
                await client.publish(topic, payload, qos=0, retain=False)
            self.connected.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await rebirth.wait()


async def _listen(client: aiomqtt.Client, node: EdgeNode, rebirth: asyncio.Event) -> None:
    with contextlib.suppress(aiomqtt.MqttError):
        async for message in client.messages:
            if node.is_rebirth(bytes(message.payload)):
                rebirth.set()
