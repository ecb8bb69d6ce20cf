"""`gongshu share clearance …` and `gongshu share watermark trace`: data that leave only by a procedure."""

import json
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_ids import whole_id
from gongshu.cli.share_terms import last_moment
from gongshu.model.ids import DatasetId, PartyId
from gongshu.node import Node
from gongshu.share.clearances.model import Clearance, Kind
from gongshu.share.clearances.views import clearance_view, trace_view
from gongshu.share.short_ids import Named

clearance = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Let 三级, 重要 or exported data out by procedure: gongshu share clearance list.",
)
watermark = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Find out whose copy of 三级 data leaked: gongshu share watermark trace leaked.csv.",
)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Id = Annotated[str, typer.Argument(metavar="CLEARANCE", help="As `gongshu share clearance list` shows it")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the audit log")]

_LIST = ["clearance_id", "kind", "state", "dataset_id", "party", "valid_until", "requested_by"]
_TRACE = ["party", "delivery_id", "dataset_id", "begun_at", "hits", "seen", "chance", "named"]


def add_clearance_commands(app: typer.Typer) -> None:
    """Add both groups to `gongshu share`."""
    app.add_typer(clearance, name="clearance")
    app.add_typer(watermark, name="watermark")


@clearance.command()
def form(kind: Annotated[Kind, typer.Argument(help="Which procedure")]) -> None:
    """Print the empty record of a procedure, to be filled in: gongshu share clearance form important > record.json."""
    with opened_node() as node:
        typer.echo(json.dumps(node.share.clearances.form(kind), ensure_ascii=False, indent=2))


@clearance.command()
def request(
    kind: Annotated[Kind, typer.Argument(help="Which procedure")],
    dataset: Annotated[str, typer.Argument(help="The dataset's id")],
    to: Annotated[str, typer.Option("--to", help="The party that is to get it")],
    record: Annotated[Path, typer.Option("--record", exists=True, dir_okay=False, help="JSON, as `form` prints it")],
    reason: Why,
    until: Annotated[str, typer.Option("--until", help="Last day, as 2027-12-31")],
) -> None:
    """Request a clearance: gongshu share clearance request strict recipes --to PARTY --record r.json."""
    with opened_node() as node:
        last = last_moment(until, "--until")
        if last is None:
            raise typer.BadParameter("a last day is missing", param_hint="--until")
        ids = (DatasetId(whole_id(node, Named.DATASET, dataset)), PartyId(to))
        actor, read = current_subject(node), _record(record)
        made = node.share.clearances.request(kind, *ids, read, actor, reason=reason, valid_until=last)
        _say(node, made, "waits for a steward's and a security administrator's approval")


@clearance.command()
def approve(clearance_id: Id) -> None:
    """Approve a request in your own name: gongshu share clearance approve CLEARANCE."""
    with opened_node() as node:
        clearance_id = whole_id(node, Named.CLEARANCE, clearance_id)
        _say(node, node.share.clearances.approve(clearance_id, current_subject(node)))


@clearance.command()
def refuse(clearance_id: Id, reason: Why) -> None:
    """Refuse a request for good: gongshu share clearance refuse CLEARANCE --reason …"""
    with opened_node() as node:
        clearance_id = whole_id(node, Named.CLEARANCE, clearance_id)
        _say(node, node.share.clearances.refuse(clearance_id, current_subject(node), reason))


@clearance.command()
def revoke(clearance_id: Id, reason: Why) -> None:
    """End a clearance for good, and what flows by it: gongshu share clearance revoke CLEARANCE --reason …"""
    with opened_node() as node:
        clearance_id = whole_id(node, Named.CLEARANCE, clearance_id)
        _say(node, node.share.clearances.revoke(clearance_id, current_subject(node), reason))


@clearance.command("list")
def list_clearances(
    dataset: Annotated[str, typer.Option("--dataset", help="Only of this dataset")] = "",
    party: Annotated[str, typer.Option("--party", help="Only for this party")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show clearances and where they stand: gongshu share clearance list."""
    with opened_node() as node:
        dataset = whole_id(node, Named.DATASET, dataset)
        found = node.share.clearances.all(current_subject(node), dataset_id=dataset, party=party, limit=1000)
    show([clearance_view(*each) for each in found], _LIST, format)


@clearance.command("show")
def show_clearance(clearance_id: Id) -> None:
    """Show one clearance with its record and approvals: gongshu share clearance show CLEARANCE."""
    with opened_node() as node:
        clearance_id = whole_id(node, Named.CLEARANCE, clearance_id)
        found = node.share.clearances.get(clearance_id, current_subject(node))
    typer.echo(json.dumps(clearance_view(*found), ensure_ascii=False, indent=2))


@watermark.command()
def trace(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The copy that turned up")],
    every: Annotated[bool, typer.Option("--all", help="Also parties that the file does not point to")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Name the party and delivery whose mark a file carries: gongshu share watermark trace leaked.csv."""
    with opened_node() as node:
        found = node.share.marker.trace(file, current_subject(node))
    named = [each for each in found if each.is_named]
    show([trace_view(each) for each in (found if every else named)], _TRACE, format)
    if not named and format is Format.TABLE:
        typer.echo("The file points to nobody: it may be none of our copies, too short, or rounded.", err=True)


def _record(file: Path) -> dict[str, Any]:
    try:
        read = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as cause:
        raise typer.BadParameter(f"{file} is not JSON", param_hint="--record") from cause
    if not isinstance(read, dict):
        raise typer.BadParameter(f"{file} holds no JSON object", param_hint="--record")
    return read


def _say(node: Node, made: Clearance, more: str = "") -> None:
    state = node.share.clearances.state(made)
    done(f"{made.clearance_id}: {more or state.value}")
