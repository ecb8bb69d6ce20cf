"""A cancellation that comes in the moment of the broker's answer."""

import asyncio
from typing import Any, cast

import aiomqtt
import pytest

from gongshu.gather.connectors.mqtt.config import MqttConfig
from gongshu.gather.connectors.mqtt.link import BrokerLink


class LateClient:
    """Waits for the broker's answer as aiomqtt does."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

    async def subscribe(self, topics: object, timeout: float) -> list[int]:
        return await asyncio.wait_for(self.answer, timeout)

    async def publish(self, topic: str, payload: bytes, *, timeout: float, **_: Any) -> None:
        await asyncio.wait_for(self.answer, timeout)


@pytest.mark.parametrize("says", ["subscribe", "publish"])
async def test_a_cancellation_in_the_moment_of_the_answer_is_not_forgotten(says: str) -> None:
    config = MqttConfig.model_validate(
        {"url": "mqtt://127.0.0.1:1883", "plaintext": True, "anonymous": True, "payload": "sparkplug", "groups": ["g"]}
    )
    client = LateClient()
    link = BrokerLink(config, cast("aiomqtt.Client", client), cast("Any", None))
    saying = link.subscribe(["a"]) if says == "subscribe" else link.publish("a", b"", qos=1, retain=False)
    task = asyncio.ensure_future(saying)
    await asyncio.sleep(0)
    client.answer.set_result([0])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
