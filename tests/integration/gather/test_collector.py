"""Collector processes on a real device, a real log and a real catalogue."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from gongshu.gather.counters import State
from gongshu.gather.fleet import Fleet
from gongshu.gather.model import LossRecord, SourceDefinition, asset_path
from gongshu.model.ids import SourceId
from gongshu.supervise import Supervisor
from tests.integration.gather.conftest import Rooms

pytestmark = pytest.mark.disk

PATIENCE_S = 60.0


class Device:
    """An independent Modbus server whose register 0 counts."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.bank = DataBank()
        self.server: ModbusServer | None = None
        self.count = 0
        self.start()

    def start(self) -> None:
        self.server = ModbusServer("127.0.0.1", self.port, no_block=True, data_bank=self.bank)
        self.server.start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def step(self) -> int:
        self.count += 1
        self.bank.set_holding_registers(0, [self.count])
        return self.count


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.stop()


@pytest.fixture
def fleet(rooms: Rooms) -> Iterator[Fleet]:
    with Supervisor(restart_min_s=0.1, restart_max_s=1.0) as supervisor:
        fleet = Fleet(supervisor, rooms.sources, rooms.home)
        fleet.start()
        yield fleet
        fleet.stop()


def definition(device: Device, **config: object) -> SourceDefinition:
    tags = [{"name": "parts", "address": 0, "unit": "1", "asset": "mill-03"}]
    fields = {"host": "127.0.0.1", "port": device.port, "interval_s": 0.1, "timeout_s": 1.0, "tags": tags}
    return SourceDefinition(SourceId("mill-3"), "modbus", asset_path("plant-1/line-2"), fields | config)


def until(holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.05)


def newest(rooms: Rooms) -> object:
    series = rooms.sources.series_of(SourceId("mill-3"))
    rows = rooms.lake.latest([one.series_id for one in series]).to_pylist() if series else []
    return rows[0]["value_int"] if rows else None


def test_a_source_that_is_added_flows_and_one_that_is_stopped_ends(rooms: Rooms, device: Device, fleet: Fleet) -> None:
    step = device.step()
    rooms.sources.add(definition(device))
    until(lambda: newest(rooms) == step)
    (series,) = rooms.sources.series_of(SourceId("mill-3"))
    assert series.sighting.asset == "plant-1/line-2/mill-03"
    assert series.sighting.address == "1/holding/0:uint16"
    # A collector reports its state first and what it counted a moment later.
    until(lambda: rooms.sources.status(SourceId("mill-3")).value_age_s is not None)
    status = rooms.sources.status(SourceId("mill-3"))
    assert status.state is State.RUNNING
    assert status.value_age_s is not None
    assert status.value_age_s < PATIENCE_S
    assert status.counters is not None
    pid = status.counters.pid
    rooms.sources.stop(SourceId("mill-3"))
    until(lambda: not alive(pid))
    assert rooms.sources.status(SourceId("mill-3")).state is State.STOPPED


def test_each_new_value_can_be_queried_before_it_is_committed(rooms: Rooms, device: Device, fleet: Fleet) -> None:
    rooms.sources.add(definition(device))
    until(lambda: newest(rooms) is not None)
    for _ in range(5):
        step = device.step()
        until(lambda step=step: newest(rooms) == step)  # type: ignore[misc]
    assert rooms.lake.status().committed_offset == 0


def test_a_killed_collector_comes_back_and_nothing_acknowledged_is_lost(
    rooms: Rooms, device: Device, fleet: Fleet
) -> None:
    rooms.sources.add(definition(device, interval_s=0.02))
    until(lambda: newest(rooms) is not None)
    for _ in range(2):
        before = rooms.sources.status(SourceId("mill-3")).counters
        assert before is not None
        stored = rooms.values()[0]["n"]
        os.kill(before.pid, signal.SIGKILL)
        step = device.step()
        until(lambda step=step: newest(rooms) == step)  # type: ignore[misc]
        until(lambda pid=before.pid: rooms.sources.status(SourceId("mill-3")).counters.pid != pid)  # type: ignore[misc, union-attr]
        assert isinstance(stored, int)
        assert rooms.values()[0]["n"] > stored  # type: ignore[operator]
    twice = rooms.values("SELECT time FROM r GROUP BY series_id, time HAVING count(*) > 1")
    assert twice == []


def test_twenty_thousand_readings_a_second_survive_kills(rooms: Rooms, device: Device, fleet: Fleet) -> None:
    """What a collector said it had stored is there, once, whenever it was killed."""
    tags = [{"name": f"t{number}", "address": number} for number in range(1_000)]
    rooms.sources.add(definition(device, interval_s=0.05, tags=tags))
    until(lambda: newest(rooms) is not None)
    said = 0
    for _ in range(4):
        time.sleep(1.0)
        counters = rooms.sources.status(SourceId("mill-3")).counters
        assert counters is not None
        os.kill(counters.pid, signal.SIGKILL)
        said += counters.read
        until(lambda pid=counters.pid: _is_another(rooms, pid))  # type: ignore[misc]
    found = rooms.values("SELECT count(*) AS n, count(DISTINCT (series_id, time)) AS d FROM r")[0]
    assert found["n"] == found["d"]
    assert isinstance(found["n"], int)
    assert found["n"] >= said > 5_000
    assert len(outages(rooms)) >= 3


def _is_another(rooms: Rooms, pid: int) -> bool:
    status = rooms.sources.status(SourceId("mill-3"))
    return status.counters is not None and status.counters.pid != pid and status.counters.read > 0


def test_an_outage_is_noted_and_the_source_comes_back(rooms: Rooms, device: Device, fleet: Fleet) -> None:
    rooms.sources.add(definition(device, reconnect_min_s=0.1, reconnect_max_s=0.5))
    until(lambda: newest(rooms) is not None)
    device.stop()
    until(lambda: rooms.sources.status(SourceId("mill-3")).state is State.LOST)
    lost = rooms.sources.status(SourceId("mill-3")).counters
    assert lost is not None
    assert lost.last_error_code in ("gather.link_lost", "gather.unreachable", "gather.silent")
    device.start()
    step = device.step()
    until(lambda: newest(rooms) == step)
    until(lambda: outages(rooms))
    (outage,) = outages(rooms)
    assert outage.start is not None
    assert outage.end is not None
    assert outage.start < outage.end
    assert not outage.recovered


def test_a_changed_source_restarts_with_its_new_config(rooms: Rooms, device: Device, fleet: Fleet) -> None:
    rooms.sources.add(definition(device, port=1, reconnect_min_s=0.1))
    until(lambda: rooms.sources.status(SourceId("mill-3")).state is State.LOST)
    rooms.sources.change(definition(device))
    step = device.step()
    until(lambda: newest(rooms) == step)


def test_collectors_end_when_their_parent_is_killed(rooms: Rooms, device: Device) -> None:
    import subprocess
    import sys

    rooms.sources.add(definition(device))
    code = (
        "import sys, time\nfrom gongshu.supervise import Supervisor\ns = Supervisor()\n"
        "s.add('c', [sys.executable, '-m', 'gongshu.gather.collector', '--home', sys.argv[1], '--source', 'mill-3'])\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(rooms.home.path)])
    try:
        until(lambda: rooms.sources.status(SourceId("mill-3")).state is State.RUNNING)
        counters = rooms.sources.status(SourceId("mill-3")).counters
        assert counters is not None
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not alive(counters.pid))


def outages(rooms: Rooms) -> list[LossRecord]:
    return [loss for loss in rooms.sources.losses(SourceId("mill-3")) if loss.reason == "outage"]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
