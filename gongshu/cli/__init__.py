"""The command line: `gongshu <command>`. A command's module is imported only when that command runs."""

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gongshu import __version__
from gongshu.cli.edge import plain_help, run_command
from gongshu.cli.session import HOME_VARIABLE
from gongshu.garbage import search_rarely

COMMANDS = {
    "demo": ("gongshu.cli.demo", "The whole chain on this machine: plant, partner, province"),
    "init": ("gongshu.cli.node_init", "Make the configuration of a node"),
    "serve": ("gongshu.cli.serve", "Run the node: pages, collectors, writer"),
    "status": ("gongshu.cli.status", "Show what the node holds and does"),
    "login": ("gongshu.cli.login", "Sign in for the commands that act as you"),
    "account": ("gongshu.cli.account", "People and services that may ask"),
    "source": ("gongshu.cli.source", "Machines and systems that data come from"),
    "import": ("gongshu.cli.ingest", "A file or folder becomes a governed dataset"),
    "sql": ("gongshu.cli.sql", "Ask through the gate, as you"),
    "catalog": ("gongshu.cli.catalog", "What exists, of which category and grade"),
    "classify": ("gongshu.cli.classify", "Propose category and grade for a list of names"),
    "grade": ("gongshu.cli.grade", "Propose, confirm and review grades"),
    "quality": ("gongshu.cli.quality", "Quality on the six dimensions of GB/T 36344"),
    "standard": ("gongshu.cli.standard", "Every number taken from a standard, with its source"),
    "policy": ("gongshu.cli.policy", "Check, deploy and explain policies"),
    "audit": ("gongshu.cli.audit", "Read, export and verify the audit log"),
    "keys": ("gongshu.cli.keys", "The node's keys"),
    "share": ("gongshu.cli.share", "Offer, find, negotiate and transfer data under contract"),
    "space": ("gongshu.cli.space", "Operate trusted data spaces, and belong to those of others"),
    "evidence": ("gongshu.cli.evidence", "What both sides counted, disputes, and proofs for a third person"),
    "app": ("gongshu.cli.app", "Apps, and whether your data meet what they need"),
    "hub": ("gongshu.cli.hub", "Join a province, report, see its totals"),
    "simulate": ("gongshu.cli.simulate", "A synthetic plant that speaks real protocols"),
}


class _LazyGroup(TyperGroup):
    """Lists commands by their one line and imports only the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        if ctx.resilient_parsing or _asks_for_help_only():
            return _summary(name)
        commands = import_module(COMMANDS[name][0]).app
        commands.rich_markup_mode = None
        command = plain_help(typer.main.get_command(commands))
        command.name = name
        if not command.help:
            command.help = COMMANDS[name][1] + "."
        return command


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gongshu {__version__}")
        raise typer.Exit


root = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@root.callback()
def _options(
    home: Annotated[str, typer.Option(help="Folder of the node", envvar=HOME_VARIABLE, show_default="~/.gongshu")] = "",
    version: Annotated[  # noqa: ARG001  # the callback below answers it
        bool, typer.Option("--version", help="Print the version and stop", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Gongshu (工数): from the machine to the market, every value known, graded, guarded and put to use."""
    if home:
        os.environ[HOME_VARIABLE] = home


def main() -> None:
    """Run the command line; an error of ours becomes one line on standard error and exit status 1."""
    search_rarely()
    run_command(root)


def _asks_for_help_only() -> bool:
    return not COMMANDS.keys() & set(sys.argv[1:])


def _summary(name: str) -> Any:
    single = typer.Typer(add_completion=False)
    single.command(name, help=COMMANDS[name][1])(lambda: None)
    command = typer.main.get_command(single)
    command.name = name
    return command
