"""`gongshu share key-change …`: contracts whose party proves itself by another key than when they were made."""

from dataclasses import asdict
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_ids import whole_id
from gongshu.model.ids import PartyId
from gongshu.share.short_ids import Named

key_change = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Go on with a party whose key changed: gongshu share key-change list.",
)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Id = Annotated[str, typer.Argument(metavar="CHANGE", help="As `gongshu share key-change list` shows it")]


def add_key_commands(app: typer.Typer) -> None:
    """Add the group to `gongshu share`."""
    app.add_typer(key_change, name="key-change")


@key_change.command("list")
def list_changes(
    waiting: Annotated[bool, typer.Option("--waiting", help="What is bound to former keys, instead")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Show requests, or contracts that wait for one: gongshu share key-change list --waiting."""
    with opened_node() as node:
        changes, actor = node.share.key_changes, current_subject(node)
        found = [asdict(each) for each in (changes.stranded(actor) if waiting else changes.all(actor))]
    shown = ["party_id", "former", "current", "agreements", "groups", "places", "offers", "spaces", "processes"]
    show(found, shown if waiting else ["change_id", "party_id", "current", "requested_by", "outcome"], format)


@key_change.command()
def request(
    party: Annotated[str, typer.Argument(help="The party's id")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is the same organisation, for the audit log")],
    former: Annotated[str, typer.Option("--former", help="Which former key, where there are several")] = "",
) -> None:
    """Ask that contracts go on under a party's new key: gongshu share key-change request PARTY --reason …"""
    with opened_node() as node:
        change = node.share.key_changes.request(PartyId(party), current_subject(node), reason=reason, former=former)
    done(f"key change {change.change_id} waits for another person to confirm {change.current}")


@key_change.command()
def confirm(
    change_id: Id,
    fingerprint: Annotated[str, typer.Option("--fingerprint", help="As the party's people read it out")],
) -> None:
    """Let contracts go on under the new key: gongshu share key-change confirm CHANGE --fingerprint sha256:…"""
    with opened_node() as node:
        change_id = whole_id(node, Named.KEY_CHANGE, change_id)
        change = node.share.key_changes.confirm(change_id, fingerprint, current_subject(node))
    done(f"what was agreed with {change.party_id} goes on with {change.current}")


@key_change.command()
def refuse(change_id: Id) -> None:
    """Turn a request down: gongshu share key-change refuse CHANGE."""
    with opened_node() as node:
        change_id = whole_id(node, Named.KEY_CHANGE, change_id)
        change = node.share.key_changes.refuse(change_id, current_subject(node))
    done(f"key change {change.change_id} is refused")
