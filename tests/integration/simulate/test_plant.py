"""The plant as a process, asked by real clients."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import psutil
import pytest
from asyncua import ua as _ua
from asyncua.client.client import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from pymodbus.client import AsyncModbusTcpClient

from gongshu.gather.connector import connector_named
from gongshu.gather.connectors.mqtt import sparkplug_b_pb2
from gongshu.gather.definitions import read_definitions
from gongshu.simulate.broker import find_mosquitto
from gongshu.simulate.credentials import ensure_credentials
from gongshu.simulate.edge_node import REBIRTH, command_topic

ua: Any = _ua
needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="Mosquitto is not installed")


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gongshu.simulate.plant", "--folder", folder, "--speed", "60", *options],
        stderr=subprocess.PIPE,
    )


def wait_ready(process: subprocess.Popen[bytes], folder: Path) -> Any:
    until = time.monotonic() + 90
    while not (folder / "plant.json").exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < until
        time.sleep(0.02)
    return json.loads((folder / "plant.json").read_text(encoding="utf-8"))


def read_json(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def stop(process: subprocess.Popen[bytes]) -> str:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    return said.decode()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("plant")
    process = start(folder, "--rate", "500")
    try:
        yield wait_ready(process, folder)
        said = stop(process)
        assert process.returncode == 0, said
        assert "Traceback" not in said
        assert "never retrieved" not in said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def client_of(plant: Any, *, password: str | None = None) -> Client:
    opcua = plant["opcua"]
    login = read_json(opcua["user_file"])
    client = Client(opcua["endpoint"], timeout=30)
    client.set_user(login["user"])
    client.set_password(password or login["password"])
    return client


async def secure(client: Client, plant: Any, folder: Path) -> None:
    own = ensure_credentials(folder)
    client.application_uri = "urn:gongshu:synthetic:plant-67:opcua"
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        certificate=str(own.certificate),
        private_key=str(own.private_key),
        server_certificate=plant["opcua"]["certificate"],
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )


async def test_opc_ua_shows_machines_with_units_ranges_types_and_source_times(plant: Any, tmp_path: Path) -> None:
    client = client_of(plant)
    await secure(client, plant, tmp_path)
    async with client:
        index = await client.get_namespace_index(plant["opcua"]["namespace"])
        node = client.get_node(f"ns={index};s=line-1/mill-01/spindle_temperature")
        unit = await (await node.get_child("0:EngineeringUnits")).read_value()
        limits = await (await node.get_child("0:EURange")).read_value()
        assert (unit.UnitId, unit.DisplayName.Text) == (4408652, "°C")
        assert (limits.Low, limits.High) == (0.0, 120.0)
        types = {
            "spindle_load": ua.VariantType.Double,
            "state_code": ua.VariantType.Int32,
            "part_count": ua.VariantType.Int64,
            "planned_busy": ua.VariantType.Boolean,
            "program": ua.VariantType.String,
        }
        for name, variant in types.items():
            value = await client.get_node(f"ns={index};s=line-2/lathe-01/{name}").read_data_value()
            assert value.Value is not None
            assert value.Value.VariantType == variant
            assert value.SourceTimestamp is not None
        path = [f"{index}:synthetic-plant-67", f"{index}:line-2", f"{index}:mill-03", f"{index}:energy"]
        first = await (await client.nodes.objects.get_child(path)).read_value()
        for _ in range(300):
            if await (await client.nodes.objects.get_child(path)).read_value() > first:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the plant draws no energy")


async def test_opc_ua_refuses_a_wrong_password_and_a_client_without_security(plant: Any, tmp_path: Path) -> None:
    client = client_of(plant, password="wrong")
    await secure(client, plant, tmp_path)
    with pytest.raises(ua.UaStatusCodeError):
        await client.connect()
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError, asyncio.TimeoutError)):
        await Client(plant["opcua"]["endpoint"], timeout=3).connect()


async def test_the_counters_of_the_load_test_count_without_gaps(plant: Any, tmp_path: Path) -> None:
    seen: list[int] = []
    enough = asyncio.Event()

    class Watch:
        def datachange_notification(self, node: Any, value: int, data: Any) -> None:
            seen.append(value)
            if len(seen) >= 8:
                enough.set()

    client = client_of(plant)
    await secure(client, plant, tmp_path)
    async with client:
        index = await client.get_namespace_index(plant["opcua"]["namespace"])
        assert plant["opcua"]["bulk_count"] == 50
        subscription = await client.create_subscription(100, Watch())
        await subscription.subscribe_data_change(client.get_node(f"ns={index};s=bulk/counter-00049"), queuesize=100)
        await asyncio.wait_for(enough.wait(), 30)
        await subscription.delete()
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_the_plant_describes_itself_as_sources_that_the_connectors_accept(plant: Any) -> None:
    definitions = read_definitions(Path(plant["sources"]))
    assert {d.connector for d in definitions} >= {"opcua", "modbus", "files"}
    for definition in definitions:
        connector_named(definition.connector).config_type().model_validate(definition.config)
    assert not (Path(plant["sources"]).stat().st_mode & 0o077)


async def test_modbus_answers_by_the_published_map(plant: Any) -> None:
    registers = read_json(plant["modbus"]["map"])["tags"]
    energy = next(r for r in registers if r["name"] == "energy")
    assert (energy["type"], energy["word_order"]) == ("uint64", "low_first")
    client = AsyncModbusTcpClient("127.0.0.1", port=plant["modbus"]["port"])
    await client.connect()
    try:
        read = await client.read_holding_registers(energy["address"], count=4, device_id=energy["unit_id"])
        value = client.convert_from_registers(read.registers, client.DATATYPE.UINT64, word_order="little")
        assert isinstance(value, int)
        assert value > 8_123_456_000
        pressure = next(r for r in registers if r["name"] == "pressure")
        read = await client.read_input_registers(pressure["address"], count=2, device_id=pressure["unit_id"])
        bar = client.convert_from_registers(read.registers, client.DATATYPE.FLOAT32)
        assert isinstance(bar, float)
        assert 6.0 < bar < 8.5
        assert (await client.read_holding_registers(107, count=1, device_id=2)).isError()
        await client.write_register(0, 1, device_id=1)
        assert (await client.read_holding_registers(0, count=1, device_id=1)).registers == [760]
    finally:
        client.close()


@needs_mosquitto
@pytest.mark.mosquitto
async def test_sparkplug_answers_a_rebirth_command_and_dies_aloud(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        mqtt = (await asyncio.to_thread(wait_ready, process, tmp_path))["mqtt"]
        login = read_json(mqtt["user_file"])
        got: list[tuple[str, Any]] = []
        async with aiomqtt.Client(mqtt["host"], mqtt["port"], username=login["user"], password=login["password"]) as c:
            await c.subscribe(mqtt["topic"])
            async with asyncio.timeout(10):
                async for message in c.messages:
                    payload = sparkplug_b_pb2.Payload()  # type: ignore[attr-defined]
                    payload.ParseFromString(message.payload)
                    kind = str(message.topic).split("/")[2]
                    if kind == "NCMD":
                        continue
                    got.append((kind, payload))
                    if kind == "DDATA" and len(got) == 1:
                        command = sparkplug_b_pb2.Payload()  # type: ignore[attr-defined]
                        command.metrics.add(name=REBIRTH, datatype=11, boolean_value=True)
                        await c.publish(command_topic(), command.SerializeToString())
                    kinds = [k for k, _ in got]
                    if "NDEATH" in kinds:
                        break
                    if kinds[-3:] == ["NBIRTH", "DBIRTH", "DBIRTH"]:
                        process.send_signal(signal.SIGTERM)
        births = [p for k, p in got if k in {"NBIRTH", "DBIRTH"}]
        assert [p.seq for p in births[-3:]] == [0, 1, 2]
        death = next(p for k, p in got if k == "NDEATH")
        number = next(m.long_value for m in births[-3].metrics if m.name == "bdSeq")
        assert [m.long_value for m in death.metrics] == [number]
        _, said = await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == 0, said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_without_a_broker_the_plant_runs_and_says_so(tmp_path: Path) -> None:
    process = start(tmp_path, "--no-mqtt")
    try:
        assert wait_ready(process, tmp_path)["mqtt"] is None
    finally:
        said = stop(process)
    assert "no Sparkplug" in said
    assert process.returncode == 0
    assert not (tmp_path / "plant.json").exists()
    assert not ((tmp_path / "opcua" / "server-key.pem").stat().st_mode & 0o077)
    lines = [json.loads(line) for line in (tmp_path / "ground-truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["kind"] for line in lines[:4]] == ["plant", "sensor_fault", "sensor_fault", "sensor_fault"]
    assert {line["kind"] for line in lines} == {"plant", "sensor_fault", "wrong_row", "state"}


def test_a_port_in_use_is_one_clear_line(tmp_path: Path, plant: Any) -> None:
    taken = plant["opcua"]["endpoint"].rsplit(":", 1)[1].split("/")[0]
    process = start(tmp_path, "--no-mqtt", "--opcua-port", taken)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.decode().strip().endswith("[simulate.not_started]")
    assert said.decode().count("\n") == 1


@needs_mosquitto
@pytest.mark.mosquitto
def test_a_killed_plant_leaves_no_broker_behind(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_ready(process, tmp_path)
    children = psutil.Process(process.pid).children()
    assert children
    process.kill()
    process.communicate()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, shutil.which("mosquitto")
    assert gone
