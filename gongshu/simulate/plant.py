"""The plant as a process: `python -m gongshu.simulate.plant --folder DIR`.

It opens its servers, writes `plant.json` with their addresses once they answer, shows the values tick by tick, and
keeps the ground truth. SIGTERM and SIGINT end it cleanly; the files of addresses are removed, the ground truth stays.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TextIO

from gongshu.errors import GongshuError
from gongshu.garbage import search_rarely
from gongshu.packs import load_packs
from gongshu.simulate.broker import OwnBroker, start_broker
from gongshu.simulate.clockwork import Clockwork, Truth
from gongshu.simulate.credentials import ensure_credentials
from gongshu.simulate.edge_node import Values, measure
from gongshu.simulate.erp import WrongRow, write_erp
from gongshu.simulate.modbus import PlantModbus
from gongshu.simulate.opcua import NAMESPACE, PlantOpcUa
from gongshu.simulate.options import BULK_TICK_HZ, PlantOptions, parse_options
from gongshu.simulate.register_map import ASSET, write_register_map
from gongshu.simulate.sensors import fault_rows
from gongshu.simulate.sources import describe_sources, fingerprint, write_sources
from gongshu.simulate.sparkplug import Broker, PlantSparkplug

ADDRESSES = "plant.json"
GROUND_TRUTH = "ground-truth.jsonl"
CANCEL_AGAIN_S = 1.0


class Plant:
    """All servers of one plant and the clockwork behind them."""

    def __init__(self, options: PlantOptions) -> None:
        self.options = options
        self._clockwork = Clockwork(seed=options.seed, speed=options.speed, started_at=datetime.now(UTC))
        self._opcua = PlantOpcUa(
            ensure_credentials(options.folder / "opcua"),
            port=options.opcua_port,
            open_endpoint=options.open_endpoint,
            bulk_count=options.bulk_count,
        )
        self._modbus = PlantModbus(port=options.modbus_port)
        self._sparkplug: PlantSparkplug | None = None
        self._broker: OwnBroker | None = None
        self._truth: TextIO | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.bulk_rounds = 0

    async def start(self) -> None:
        """Open every server, then write the file of addresses.

        Raises: PlantNotStarted.
        """
        options = self.options
        options.folder.mkdir(parents=True, exist_ok=True)
        rules = load_packs().get("gb-32100")
        today = self._clockwork.started_at.date()
        office = asyncio.create_task(
            asyncio.to_thread(write_erp, options.folder / "erp", seed=options.seed, today=today, rules=rules)
        )
        broker = options.broker
        if broker is None and options.own_broker:
            self._broker = await start_broker(options.folder / "mqtt")
            broker = self._broker.broker if self._broker else None
        changes, truths = self._clockwork.advance(self._clockwork.started_at)
        await self._modbus.start(self._clockwork.utilities)
        await self._opcua.start(changes)
        self._open_truth(await office, truths)
        self._tasks.append(asyncio.create_task(self._run()))
        if options.bulk_count:
            self._tasks.append(asyncio.create_task(self._count()))
        if broker is not None:
            self._sparkplug = PlantSparkplug(broker, self._read, every_s=max(options.tick_s, 0.2))
            self._tasks.append(asyncio.create_task(self._sparkplug.run()))
        write_register_map(options.folder / "modbus-map.json", port=self._modbus.port)
        self._write_addresses(broker)

    @property
    def has_sparkplug(self) -> bool:
        """Whether there is a broker to publish to."""
        return self._sparkplug is not None

    async def wait(self) -> None:
        """Return when one of the plant's tasks ends, which none does by itself; its error, if any, is raised."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Close every server, end the own broker, remove the files of addresses."""
        for name in (ADDRESSES, "sources.yaml"):
            (self.options.folder / name).unlink(missing_ok=True)
        # An MQTT client that is cancelled while it connects raises an error of its own, and its loop would try again.
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._modbus.stop()
        await self._opcua.stop()
        if self._broker is not None:
            await self._broker.stop()
        if self._truth is not None:
            self._truth.close()

    async def _run(self) -> None:
        while True:
            changes, truths = self._clockwork.advance(datetime.now(UTC))
            self._modbus.show(self._clockwork.utilities)
            await self._opcua.show(changes)
            self._tell(truths)
            await asyncio.sleep(self.options.tick_s)

    async def _count(self) -> None:
        """Count ten times a second; rounds that could not be made in time are left out, never made up for."""
        due = time.monotonic()
        while True:
            self.bulk_rounds += 1
            await self._opcua.count(self.bulk_rounds, datetime.now(UTC))
            due = max(due + 1.0 / BULK_TICK_HZ, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _read(self) -> tuple[Values, datetime]:
        return measure(self._clockwork.state), self._clockwork.time

    def _open_truth(self, wrong: tuple[WrongRow, ...], truths: list[Truth]) -> None:
        self._truth = (self.options.folder / GROUND_TRUTH).open("w", encoding="utf-8")
        head = {"seed": self.options.seed, "speed": self.options.speed, "started_at": self._clockwork.started_at}
        self._line("plant", {**head, "synthetic": True})
        for row in fault_rows():
            self._line("sensor_fault", row)
        for mistake in wrong:
            self._line("wrong_row", {"file": mistake.file, "line": mistake.line, "mistake": mistake.kind})
        self._tell(truths)

    def _tell(self, truths: list[Truth]) -> None:
        for truth in truths:
            self._line("state", {**asdict(truth), "state": truth.state.name})
        if truths and self._truth is not None:
            self._truth.flush()

    def _line(self, kind: str, row: dict[str, object]) -> None:
        assert self._truth is not None
        self._truth.write(json.dumps({"kind": kind, **row}, ensure_ascii=False, default=_iso) + "\n")

    def _write_addresses(self, broker: Broker | None) -> None:
        folder = self.options.folder
        credentials = ensure_credentials(folder / "opcua")
        mqtt = None
        if broker is not None:
            login = folder / "mqtt" / "user.json"
            if broker.user is not None:
                login.touch(mode=0o600)
                login.write_text(json.dumps({"user": broker.user, "password": broker.password}), encoding="utf-8")
            mqtt = {
                "host": broker.host,
                "port": broker.port,
                "topic": broker.topics,
                "user_file": str(login) if broker.user is not None else None,
            }
        described = describe_sources(
            endpoint=self._opcua.endpoint,
            credentials=credentials,
            register_map=folder / "modbus-map.json",
            broker=broker,
            erp=folder / "erp",
        )
        write_sources(folder / "sources.yaml", described)
        content = {
            "synthetic": True,
            "seed": self.options.seed,
            "speed": self.options.speed,
            "opcua": {
                "endpoint": self._opcua.endpoint,
                "namespace": NAMESPACE,
                "security": "Basic256Sha256/SignAndEncrypt",
                "open": self.options.open_endpoint,
                "certificate": str(credentials.certificate),
                "certificate_sha256": fingerprint(credentials.certificate),
                "user_file": str(credentials.user_file),
                "bulk_count": self.options.bulk_count,
            },
            "modbus": {
                "host": "127.0.0.1",
                "port": self._modbus.port,
                "map": str(folder / "modbus-map.json"),
                "asset": ASSET,
            },
            "mqtt": mqtt,
            "erp": str(folder / "erp"),
            "sources": str(folder / "sources.yaml"),
            "ground_truth": str(folder / GROUND_TRUTH),
        }
        partial = folder / f"{ADDRESSES}.partial"
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(folder / ADDRESSES)


def _iso(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


async def run_plant(options: PlantOptions, *, say: TextIO = sys.stderr) -> None:
    """Run a plant until SIGTERM or SIGINT.

    Raises: PlantNotStarted.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    plant = Plant(options)
    try:
        await plant.start()
        without = "" if plant.has_sparkplug else "; no MQTT broker, so no Sparkplug"
        say.write(f"synthetic plant ready, see {options.folder / ADDRESSES}{without}\n")
        say.flush()
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(plant.wait())]
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        for task in done:
            task.result()
    finally:
        await plant.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; the exit status is 0 after a wished end, 1 after an error, told in one line."""
    search_rarely()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(run_plant(parse_options(sys.argv[1:] if arguments is None else arguments)))
        except GongshuError as error:
            sys.stderr.write(f"{error} [{error.code}]\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
