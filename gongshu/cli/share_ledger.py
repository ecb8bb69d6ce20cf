"""`gongshu share ledger`: whose data are here, whose of ours are elsewhere, and what revoking did."""

from typing import Annotated

import typer

from gongshu.cli.output import Format, show
from gongshu.cli.session import current_subject, opened_node

_COLUMNS = [
    "direction",
    "dataset_id",
    "party",
    "purposes",
    "until",
    "standing",
    "derived",
    "ended_there_at",
    "deleted_at",
]


def add_ledger_command(app: typer.Typer) -> None:
    """Add the command to `gongshu share`."""
    app.command()(ledger)


def ledger(
    format: Annotated[Format, typer.Option("--format", help="table for people, json for programs")] = Format.TABLE,
) -> None:
    """Show who gave which data, what for and until when, and what became of revoked ones: gongshu share ledger."""
    from gongshu.share.evidence.views import holding_view

    with opened_node() as node:
        rows = [holding_view(each) for each in node.ledger.holdings(current_subject(node))]
    show(rows, _COLUMNS, format)
