"""`gongshu share push`, `stream`, `data-address`, `time`: rows that come by themselves, and the way they take."""

from datetime import datetime
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_ids import whole_id
from gongshu.model.ids import PartyId
from gongshu.share.dsp.messages import FORMAT_PUSH, FORMAT_STREAM
from gongshu.share.dsp.states import State
from gongshu.share.encoding import Encoding
from gongshu.share.receiving import Opening
from gongshu.share.short_ids import Named
from gongshu.share.views import record_view

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Agreement = Annotated[str, typer.Argument(help="The agreement's id")]
Name = Annotated[str, typer.Option("--as", help="Keep the rows as the dataset of this name")]
Purpose = Annotated[str, typer.Option(help="What the data are for; some contracts demand it")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the other side")]
_SHOWN = ["process_id", "state", "party", "dataset_id", "format", "waiting", "reason"]


def add_flow_commands(app: typer.Typer) -> None:
    """Add the commands to `gongshu share`."""
    app.command("push")(push)
    app.command("stream")(stream)
    app.command("data-address")(data_address)
    app.command("time")(contract_time)


def push(
    agreement: Agreement,
    name: Name,
    purpose: Purpose = "",
    encoding: Annotated[Encoding, typer.Option(help="How the rows travel")] = Encoding.ARROW,
    wait_s: Wait = 60.0,
    format: AsFormat = Format.TABLE,
) -> None:
    """Let the provider bring the rows here, once: gongshu share push AGREEMENT --as partner_orders."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        opening = Opening(name, "", purpose, (), encoding)
        subject = current_subject(node)
        record = node.share.transfer(agreement, subject, format=FORMAT_PUSH, opening=opening)
        if wait_s:
            record = node.share.wait_for(record.process_id, {State.COMPLETED}, wait_s)
    show([record_view(record)], _SHOWN, format)


def stream(
    agreement: Agreement,
    name: Name,
    purpose: Purpose = "",
    since: Annotated[datetime | None, typer.Option(help="Leave out what arrived before, as 2027-01-31T08:00")] = None,
    wait_s: Wait = 60.0,
    format: AsFormat = Format.TABLE,
) -> None:
    """Keep readings as they come, until you end it: gongshu share stream AGREEMENT --as partner_readings."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        subject = current_subject(node)
        asked = node.share.transfer(agreement, subject, format=FORMAT_STREAM)
        record = node.share.wait_for(asked.process_id, {State.STARTED}, wait_s)
        start = since.astimezone() if since is not None else None
        node.share.flows.followers.follow(record.process_id, name, subject, purpose=purpose, since=start)
    show([record_view(record)], _SHOWN, format)


def data_address(
    party: Annotated[str, typer.Argument(help="The party's id")],
    add: Annotated[str, typer.Option(help="Let its data travel over this address too")] = "",
    remove: Annotated[str, typer.Option(help="Forget this address")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show or change where a party's data may travel: gongshu share data-address PARTY --add https://data.example/."""
    with opened_node() as node:
        addresses, subject = node.share.flows.addresses, current_subject(node)
        node.share.require_onlooker(subject)
        if add:
            addresses.add(PartyId(party), add, subject)
        if remove:
            addresses.remove(PartyId(party), remove, subject)
        rows = [{"party": party, "address": address} for address in addresses.of(PartyId(party))]
    show(rows, ["party", "address"], format)


def contract_time(
    reset: Annotated[bool, typer.Option("--reset", help="The clock is right: judge and delete by it again")] = False,
) -> None:
    """Show whether the clock was set back, or jumped so far ahead that nothing is deleted by it: gongshu share time."""
    with opened_node() as node:
        subject = current_subject(node)
        node.share.require_onlooker(subject)
        by = node.keeping.confirm_time(subject) if reset else node.share.steady.ahead()
        counted = node.keeping.counted_instead()
    if counted is not None:
        done(f"The clock jumped: deletions go by {counted.isoformat()} until it is right, or a person says so: --reset")
    done(f"The time of contracts {'was' if reset else 'is'} {by.total_seconds():.0f} s ahead of the clock.")
