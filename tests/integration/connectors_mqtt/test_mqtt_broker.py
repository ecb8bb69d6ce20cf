"""Against Mosquitto: outages, crashes before storing, TLS, and messages that are too large."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from gongshu.gather.connector import Context
from gongshu.gather.connectors.mqtt import SPEC
from gongshu.gather.connectors.mqtt.config import MqttConfig
from gongshu.gather.connectors.mqtt.connector import MqttConnector
from gongshu.gather.connectors.opcua.trust import make_certificate
from gongshu.gather.errors import CertificateUntrusted
from gongshu.model.ids import SourceId
from gongshu.testing.run import Run, collecting
from tests.contract.connectors_mqtt.rig import PASSWORD, Broker, JsonRig

pytestmark = pytest.mark.mosquitto


async def say(rig: JsonRig, *numbers: int) -> None:
    for number in numbers:
        await rig.device.publish("plant/count", json.dumps({"v": number, "t": rig.now_us()}), qos=1)


def numbers(run: Run) -> list[Any]:
    return [seen.columns[1] for seen in run.of("plant/count")]


async def test_the_broker_keeps_what_comes_during_an_outage() -> None:
    async with JsonRig() as rig:
        config = rig.config(reconnect_min_s=0.05, reconnect_max_s=0.2)
        async with collecting(SPEC, config, rig.connector(config)) as run:
            await run.until(lambda r: r.counters.read, 8)
            await say(rig, *range(100))
            await run.until(lambda r: len(numbers(r)) >= 100, 8)
            await rig.cut()
            await say(rig, *range(100, 200))
            await rig.restore()
            await run.until(lambda r: 199 in numbers(r), 8)
        assert sorted(set(numbers(run))) == list(range(200))


async def test_what_was_not_stored_is_delivered_again_to_the_next_process() -> None:
    async with JsonRig() as rig:
        config = rig.config()
        async with collecting(SPEC, config, rig.connector(config)) as first:
            await first.until(lambda r: r.counters.read, 8)
            first.held.clear()
            await say(rig, *range(50))
            await first.until(lambda r: r.counters.queued or r.counters.bytes > 1000, 8)
            await rig.cut()  # as if the process had been killed: nothing is acknowledged any more
        await rig.restore()
        async with collecting(SPEC, config, rig.connector(config)) as second:
            await second.until(lambda r: len(set(numbers(r))) >= 50, 8)
        assert sorted(set(numbers(second))) == list(range(50))


async def test_more_than_the_brokers_own_window_is_in_flight() -> None:
    async with JsonRig() as rig:
        config = rig.config()
        async with collecting(SPEC, config, rig.connector(config)) as run:
            await run.until(lambda r: r.counters.read, 8)
            run.held.clear()
            await say(rig, *range(100))
            await run.until(lambda r: r.counters.bytes > 100 * 20, 8)
            run.held.set()
            await run.until(lambda r: len(numbers(r)) >= 100, 8)
        assert numbers(run) == list(range(100))


async def test_a_message_that_is_too_large_is_left_and_the_others_come() -> None:
    async with JsonRig() as rig:
        config = rig.config(payload_max_bytes=1000)
        async with collecting(SPEC, config, rig.connector(config)) as run:
            await run.until(lambda r: r.counters.read, 8)
            await rig.device.publish("plant/large", b"[" + b"1," * 5_000 + b"1]", qos=1)
            await say(rig, 1)
            await run.until(lambda r: numbers(r) == [1], 8)
            assert (run.counters.undecodable, run.counters.losses) == (1, 1)


async def test_garbage_payloads_are_counted_and_the_others_come() -> None:
    async with JsonRig() as rig:
        config = rig.config()
        async with collecting(SPEC, config, rig.connector(config)) as run:
            await run.until(lambda r: r.counters.read, 8)
            for body in (b"\xff\xfe", b"", b"{", b"[" * 50_000):
                await rig.device.publish("plant/garbage", body, qos=1)
            await say(rig, 1)
            await run.until(lambda r: numbers(r) == [1], 8)
            assert run.counters.undecodable == 4


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "10.9.8.7"])
async def test_tls_is_verified(tmp_path: Path, trusted: bool, host: str) -> None:
    identity, other = (make_certificate("urn:x", hosts=(host,), now=datetime.now(UTC), key_bits=2048) for _ in "ab")
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(identity.certificate.public_bytes(pem))
    (tmp_path / "other.pem").write_bytes(other.certificate.public_bytes(pem))
    key = identity.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    broker = Broker(tmp_path, f"certfile {tmp_path / 'cert.pem'}", f"keyfile {tmp_path / 'key.pem'}")
    broker.set_password("collector", PASSWORD)
    await broker.start()
    config = MqttConfig.model_validate(
        {
            "url": f"mqtts://127.0.0.1:{broker.port}", "username": "collector", "password": PASSWORD,
            "ca_file": str(tmp_path / ("cert.pem" if trusted else "other.pem")),
            "json_maps": [{"topic": "{name}"}],
        }
    )  # fmt: skip
    connector = MqttConnector(config, Context(SourceId("tls"), tmp_path, lambda: datetime.now(UTC)))
    try:
        if trusted and host == "127.0.0.1":
            async with connector:
                pass
        else:
            with pytest.raises(CertificateUntrusted):
                await connector.open()
    finally:
        await connector.close()
        broker.stop()
        await asyncio.sleep(0)
