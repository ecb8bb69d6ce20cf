"""`gongshu demo`: the whole chain on this machine."""

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gongshu.cli.output import Format

if TYPE_CHECKING:
    from gongshu.demo.model import StepResult
    from gongshu.demo.show import Show

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the table; status 0 only if all holds")] = False,
    format: Annotated[Format, typer.Option(help="table for people, json for programs")] = Format.TABLE,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="How long it collects")] = 20.0,
    folder: Annotated[Path | None, typer.Option(help="Where its files go; empty takes a temporary folder")] = None,
) -> None:
    """Show the whole chain in ten steps with their evidence: a synthetic plant, an enterprise, a partner, a province.

    Example: gongshu demo --exit --seconds 10
    """
    from gongshu.demo.run import STEP_TITLES, raise_curtain, run_steps

    screen = Console(stderr=format is Format.JSON, highlight=False)
    root = folder or Path(tempfile.mkdtemp(prefix="gongshu-demo-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def show_result(result: "StepResult") -> None:
        mark = "[green]✓[/]" if result.ok else "[red]✗[/]"
        screen.print(f"{mark} {STEP_TITLES[result.name]:<14} {result.seconds:>6.1f} s  ", end="")
        screen.print(result.evidence, markup=False, soft_wrap=not screen.is_terminal)

    show = raise_curtain(root, seconds, lambda text: screen.print(f"  {text}", style="dim"))
    try:
        results = run_steps(show, show_result)
        holds = all(result.ok for result in results)
        if format is Format.JSON:
            sys.stdout.write(json.dumps({"steps": [r.document() for r in results]}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        if not exit_after:
            _stay(show, screen)
    finally:
        show.stage.stop()
        if folder is None:
            shutil.rmtree(root, ignore_errors=True)
    raise typer.Exit(0 if holds else 1)


def _stay(show: "Show", screen: Console) -> None:
    """Keep everything running until Ctrl-C."""
    screen.print("\nThe three consoles (names: admin, steward, engineer, analyst, owner, viewer, audit, security):")
    for node, cast in (("enterprise", show.enterprise), ("partner", show.partner), ("province", show.province)):
        people = ", ".join(cast.people)
        screen.print(f"  {node:<11} {show.stage.nodes[node].address}  password {cast.password}  ({people})")
    screen.print("Everything in them is synthetic. Stop with Ctrl-C.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        screen.print("stopping …")
