"""`gongshu simulate`: synthetic machines to try the platform on."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gongshu.simulate.options import PlantOptions

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="合成设备 Synthetic machines that speak real protocols."
)


@app.callback()
def simulate() -> None:
    """Synthetic machines to try the platform on; nothing they say is a measurement."""


@app.command()
def plant(
    folder: Annotated[Path, typer.Argument(help="Where plant.json (the addresses) and the files go")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same history")] = 67,
    speed: Annotated[float, typer.Option(help="Process seconds per wall second; 30 shows stops within a minute")] = 1.0,
    opcua_port: Annotated[int, typer.Option(help="0 takes a free one")] = 0,
    modbus_port: Annotated[int, typer.Option(help="0 takes a free one")] = 0,
    rate: Annotated[int, typer.Option(help="Values a second of load-test counters")] = 0,
    mqtt: Annotated[bool, typer.Option(help="Publish Sparkplug B through an own Mosquitto, if installed")] = True,
) -> None:
    """Run a synthetic machining plant: OPC UA, Modbus TCP, Sparkplug B and office tables, until Ctrl-C.

    Example: gongshu simulate plant ./plant --speed 30
    """
    from gongshu.simulate.plant import run_plant

    options = PlantOptions(
        folder=folder.absolute(),
        seed=seed,
        speed=speed,
        opcua_port=opcua_port,
        modbus_port=modbus_port,
        rate=rate,
        own_broker=mqtt,
    )
    asyncio.run(run_plant(options))
