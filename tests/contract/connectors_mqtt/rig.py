"""Mosquitto as the broker, and what stands behind it: a device that writes JSON, and a Sparkplug edge node."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from gongshu.gather.batch import micros
from gongshu.gather.connector import ConnectorConfig
from gongshu.gather.connectors.mqtt import SPEC
from gongshu.gather.connectors.mqtt.config import MqttConfig
from gongshu.gather.connectors.mqtt.datatypes import DataType
from gongshu.gather.connectors.mqtt.payload import Payload
from gongshu.model.reading import Quality, ValueType
from gongshu.testing.rig import Native, TcpRig

PASSWORD = "s3cret-mqtt"


def mosquitto_path() -> str:
    """Return the broker's program, or skip the test where there is none."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("Mosquitto is not installed")
    return found


class Broker:
    """A Mosquitto process on a port of its own."""

    def __init__(self, folder: Path, *extra: str) -> None:
        self._program = mosquitto_path()
        self._folder = folder
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def set_password(self, name: str, password: str) -> None:
        file = self._folder / "passwords"
        file.touch(mode=0o600)
        subprocess.run(["mosquitto_passwd", "-b", str(file), name, password], check=True, capture_output=True)

    async def start(self) -> None:
        if not self.port:
            self.port = _free_port()
        lines = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"password_file {self._folder / 'passwords'}",
            "persistence false", "user root", f"log_dest file {self._folder / 'mosquitto.log'}", *self._extra,
        ]  # fmt: skip
        (self._folder / "mosquitto.conf").write_text("\n".join(lines))
        self._process = subprocess.Popen(  # noqa: ASYNC220 - starting takes no time
            [self._program, "-c", str(self._folder / "mosquitto.conf")], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(200):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise AssertionError((self._folder / "mosquitto.log").read_text())

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class MqttRig(TcpRig):
    """A broker behind a cable, and a device that talks to the broker directly."""

    spec = SPEC
    secrets = (PASSWORD, "wrong-password")

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker(self.folder)
        self._password = PASSWORD
        self._last_us = 0

    async def start(self) -> None:
        self.broker.set_password("collector", PASSWORD)
        self.broker.set_password("device", "device-s3cret")
        await self.broker.start()
        await self.lay_cable(self.broker.port)
        self.device = self.new_device()
        await self.device.__aenter__()

    def new_device(self, **fields: Any) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1", self.broker.port, username="device", password="device-s3cret", timeout=5, **fields
        )

    async def stop(self) -> None:
        await self.cable.cut()
        with suppress(aiomqtt.MqttError):
            await self.device.__aexit__(None, None, None)
        self.broker.stop()

    def fields(self, host: str, port: int) -> dict[str, object]:
        return {
            "url": f"mqtt://{host}:{port}", "plaintext": True, "username": "collector", "password": self._password,
            "timeout_s": self.timeout_s, "keep_alive_s": 1,
        }  # fmt: skip

    async def wrong_credentials(self) -> Sequence[ConnectorConfig]:
        return [
            self.config(password="wrong-password"),
            self.config(username="nobody"),
            self.config(username="", password="", anonymous=True),
        ]

    async def rotate(self) -> ConnectorConfig:
        self.broker.set_password("collector", "rotated-s3cret")
        self.broker.reload()
        await asyncio.sleep(0.2)
        return self.config(password="rotated-s3cret")

    async def fingerprint(self) -> object:
        """All that the broker retains."""
        found = {}
        async with self.new_device() as observer:
            await observer.subscribe("#")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    async for message in observer.messages:
                        if message.retain:
                            found[str(message.topic)] = message.payload
        return found

    def now_us(self) -> int:
        """A source time of its own for each message."""
        self._last_us = max(micros(datetime.now(UTC)), self._last_us + 1000)
        return self._last_us


class JsonRig(MqttRig):
    """A device that writes plain JSON, retained."""

    known = Native("plant/known", ValueType.FLOAT64, double=0.5)
    missing = "plant/no-such-topic"

    async def start(self) -> None:
        await super().start()
        await self._say("known", 0.5)

    def config_at(self, host: str, port: int, **overrides: object) -> ConnectorConfig:
        rule = {"topic": "plant/{name}", "value": "v", "time": "t", "time_form": "microseconds"}
        return MqttConfig.model_validate(self.fields(host, port) | {"json_maps": [rule]} | overrides)

    async def change(self, step: int) -> Native:
        await self._say("known", 1000.25 + step)
        return Native("plant/known", ValueType.FLOAT64, double=1000.25 + step)

    async def natives(self) -> Sequence[Native]:
        values: list[tuple[object, ValueType, dict[str, Any]]] = [
            (True, ValueType.BOOL, {"integer": 1}),
            (-(2**63), ValueType.INT64, {"integer": -(2**63)}),
            (2**63 - 1, ValueType.INT64, {"integer": 2**63 - 1}),
            (2**64 - 1, ValueType.UINT64, {"text": str(2**64 - 1)}),
            (10**40, ValueType.TEXT, {"text": str(10**40)}),
            (0.1, ValueType.FLOAT64, {"double": 0.1}),
            (float("nan"), ValueType.FLOAT64, {"double": float("nan")}),
            (float("inf"), ValueType.FLOAT64, {"double": float("inf")}),
            ("007", ValueType.TEXT, {"text": "007"}),
            ("运行", ValueType.TEXT, {"text": "运行"}),
            ([1, 2.5], ValueType.ARRAY, {"text": "[1,2.5]"}),
        ]
        natives = []
        for i, (value, value_type, column) in enumerate(values):
            await self._say(f"native-{i}", value)
            natives.append(Native(f"plant/native-{i}", value_type, **column))
        return natives

    async def _say(self, name: str, value: object) -> None:
        body = json.dumps({"v": value, "t": self.now_us()})
        await self.device.publish(f"plant/{name}", body, qos=1, retain=True)


class SparkplugRig(MqttRig):
    """An edge node with one device, which gives birth again when it is asked to."""

    known = Native("plant/edge/mill/known", ValueType.FLOAT64, double=0.5)
    missing = "plant/edge/mill/no-such-metric"

    def __init__(self) -> None:
        super().__init__()
        self._metrics: dict[str, tuple[int, dict[str, Any]]] = {
            "known": (DataType.DOUBLE, {"double_value": 0.5}),
        }
        self._seq = 0

    async def start(self) -> None:
        await super().start()
        await self.device.subscribe("spBv1.0/plant/NCMD/edge", qos=1)
        await self.device.subscribe("spBv1.0/STATE/rig", qos=1)
        self._listening = asyncio.create_task(self._listen())
        await self._give_birth()

    async def stop(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await super().stop()

    def config_at(self, host: str, port: int, **overrides: object) -> ConnectorConfig:
        more: dict[str, object] = {
            "payload": "sparkplug", "groups": ["plant"], "host_id": "rig", "reorder_s": 0.3, "rebirth_every_s": 0.5,
        }  # fmt: skip
        return MqttConfig.model_validate(self.fields(host, port) | more | overrides)

    async def change(self, step: int) -> Native:
        value = 1000.25 + step
        self._metrics["known"] = (DataType.DOUBLE, {"double_value": value})
        payload = self._payload()
        payload.metrics.add(alias=1, timestamp=payload.timestamp, double_value=value)
        await self._send("DDATA/edge/mill", payload)
        return Native(self.known.address, ValueType.FLOAT64, double=value)

    async def natives(self) -> Sequence[Native]:
        values: list[tuple[int, dict[str, Any], ValueType, dict[str, Any]]] = [
            (DataType.INT8, {"int_value": 2**32 - 128}, ValueType.INT64, {"integer": -128}),
            (DataType.INT16, {"int_value": 2**32 - 32768}, ValueType.INT64, {"integer": -32768}),
            (DataType.INT32, {"int_value": 4294967284}, ValueType.INT64, {"integer": -12}),
            (DataType.INT64, {"long_value": 2**63}, ValueType.INT64, {"integer": -(2**63)}),
            (DataType.UINT8, {"int_value": 255}, ValueType.INT64, {"integer": 255}),
            (DataType.UINT16, {"int_value": 65535}, ValueType.INT64, {"integer": 65535}),
            (DataType.UINT32, {"int_value": 2**32 - 1}, ValueType.INT64, {"integer": 2**32 - 1}),
            (DataType.UINT64, {"long_value": 2**64 - 1}, ValueType.UINT64, {"text": str(2**64 - 1)}),
            (DataType.FLOAT, {"float_value": 0.5}, ValueType.FLOAT32, {"double": 0.5}),
            (DataType.DOUBLE, {"double_value": float("nan")}, ValueType.FLOAT64, {"double": float("nan")}),
            (DataType.BOOLEAN, {"boolean_value": True}, ValueType.BOOL, {"integer": 1}),
            (DataType.STRING, {"string_value": "运行"}, ValueType.TEXT, {"text": "运行"}),
            (DataType.UUID, {"string_value": "1-2"}, ValueType.TEXT, {"text": "1-2"}),
            (DataType.DATETIME, {"long_value": 1001}, ValueType.TIME, {"text": "1970-01-01T00:00:01.001000Z"}),
            (DataType.BYTES, {"bytes_value": b"\x00\xff"}, ValueType.BYTES, {"text": "AP8="}),
            (DataType.INT16_ARRAY, {"bytes_value": b"\x01\x00\xff\xff"}, ValueType.ARRAY, {"text": "[1,-1]"}),
            (DataType.BOOLEAN_ARRAY, {"bytes_value": b"\x02\0\0\0\x80"}, ValueType.ARRAY, {"text": "[true,false]"}),
            (DataType.STRING_ARRAY, {"bytes_value": b"a\0b\0"}, ValueType.ARRAY, {"text": '["a","b"]'}),
        ]
        natives = []
        for i, (datatype, value, value_type, column) in enumerate(values):
            self._metrics[f"native-{i}"] = (datatype, value)
            natives.append(Native(f"plant/edge/mill/native-{i}", value_type, **column))
        await self._give_birth()
        return natives

    async def statuses(self) -> Sequence[tuple[str, Quality]]:
        expected = {192: Quality.GOOD, 0: Quality.BAD, 500: Quality.BAD, 33: Quality.UNCERTAIN}
        for code in expected:
            self._metrics[f"quality-{code}"] = (DataType.INT32, {"int_value": 1})
        await self._give_birth()
        return [(f"plant/edge/mill/quality-{code}", quality) for code, quality in expected.items()]

    async def spoil_one(self) -> str:
        self._metrics["quality-0"] = (DataType.INT32, {"int_value": 1})
        await self._give_birth()
        return "plant/edge/mill/quality-0"

    async def overflow(self) -> None:
        self._seq = (self._seq + 1) % 256
        await self.change(9)

    async def _listen(self) -> None:
        async for message in self.device.messages:
            online = str(message.topic).endswith("STATE/rig") and b"true" in bytes(message.payload)
            if online or "NCMD" in str(message.topic):
                await self._give_birth()

    async def _give_birth(self) -> None:
        self._seq = 0
        payload = self._payload()
        payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=1)
        payload.metrics.add(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, boolean_value=False)
        await self._send("NBIRTH/edge", payload)
        payload = self._payload()
        for alias, (name, (datatype, value)) in enumerate(self._metrics.items(), 1):
            metric = payload.metrics.add(
                name=name, alias=alias, datatype=datatype, timestamp=payload.timestamp, **value
            )
            if name.startswith("quality-"):
                metric.properties.keys.append("Quality")
                metric.properties.values.add(type=DataType.INT32, int_value=int(name.partition("-")[2]))
        await self._send("DBIRTH/edge/mill", payload)

    def _payload(self) -> Any:
        payload = Payload(timestamp=self.now_us() // 1000, seq=self._seq)
        self._seq = (self._seq + 1) % 256
        return payload

    async def _send(self, place: str, payload: Any) -> None:
        await self.device.publish(f"spBv1.0/plant/{place}", payload.SerializeToString())
