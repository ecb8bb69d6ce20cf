"""What the plant process can be told, and the bounds of it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gongshu.simulate.errors import PlantOptionInvalid
from gongshu.simulate.sparkplug import Broker

SPEED_MAX = 600.0
RATE_MAX = 50_000
BULK_TICK_HZ = 10


@dataclass(frozen=True, slots=True)
class PlantOptions:
    """How one plant runs."""

    folder: Path
    seed: int = 67
    speed: float = 1.0
    """Process seconds per wall second: cycles, wear, stops and shifts run this much faster."""
    tick_s: float = 0.2
    """How often values are shown."""
    opcua_port: int = 0
    modbus_port: int = 0
    rate: int = 0
    """Values a second of the load-test counters; 0 leaves them out."""
    open_endpoint: bool = False
    broker: Broker | None = None
    own_broker: bool = True

    def __post_init__(self) -> None:
        bounds: tuple[tuple[str, object, bool, str], ...] = (
            ("--speed", self.speed, 0.1 <= self.speed <= SPEED_MAX, f"between 0.1 and {SPEED_MAX:g}"),
            ("--tick", self.tick_s, 0.02 <= self.tick_s <= 10.0, "between 0.02 and 10 seconds"),
            ("--rate", self.rate, 0 <= self.rate <= RATE_MAX, f"between 0 and {RATE_MAX} values a second"),
            ("--seed", self.seed, self.seed >= 0, "0 or more"),
            ("--opcua-port", self.opcua_port, 0 <= self.opcua_port <= 65535, "between 0 and 65535"),
            ("--modbus-port", self.modbus_port, 0 <= self.modbus_port <= 65535, "between 0 and 65535"),
        )
        for option, seen, holds, expected in bounds:
            if not holds:
                raise PlantOptionInvalid(option=option, seen=seen, expected=expected)

    @property
    def bulk_count(self) -> int:
        """How many counters carry the rate at ten rounds a second."""
        return -(-self.rate // BULK_TICK_HZ)


def parse_options(arguments: Sequence[str]) -> PlantOptions:
    """Return the options of a command line.

    Raises: PlantOptionInvalid.
    """
    parser = argparse.ArgumentParser(
        prog="python -m gongshu.simulate.plant",
        description="A synthetic machining plant on OPC UA, Modbus TCP and Sparkplug B. Every value is synthetic.",
    )
    parser.add_argument("--folder", type=Path, required=True, help="where plant.json and the files go")
    parser.add_argument("--seed", type=int, default=67)
    parser.add_argument("--speed", type=float, default=1.0, help="process seconds per wall second")
    parser.add_argument("--tick", type=float, default=0.2, help="seconds between two shows of the values")
    parser.add_argument("--opcua-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--modbus-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rate", type=int, default=0, help="values a second of load-test counters")
    parser.add_argument("--open", action="store_true", help="also an OPC UA endpoint without security, for tests")
    parser.add_argument("--mqtt", default="", help="broker as host:port; default: an own Mosquitto if installed")
    parser.add_argument("--no-mqtt", action="store_true", help="no Sparkplug at all")
    given = parser.parse_args(arguments)
    return PlantOptions(
        folder=given.folder.absolute(),
        seed=given.seed,
        speed=given.speed,
        tick_s=given.tick,
        opcua_port=given.opcua_port,
        modbus_port=given.modbus_port,
        rate=given.rate,
        open_endpoint=given.open,
        broker=_broker(given.mqtt),
        own_broker=not given.no_mqtt and not given.mqtt,
    )


def _broker(address: str) -> Broker | None:
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise PlantOptionInvalid(option="--mqtt", seen=address, expected="host:port")
    return Broker(host, int(port))
