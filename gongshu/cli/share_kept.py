"""`gongshu share kept`, `receipts`, `deletions`: what we hold under contracts, what was read, what was deleted."""

from typing import Annotated, Any

import typer

from gongshu.cli.output import Format, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_ids import whole_id
from gongshu.share.keeping.chain import NOBODY, NOTHING_READ, ROWS_UNKNOWN
from gongshu.share.keeping.views import deletion_view, fault_view, kept_view, receipt_view
from gongshu.share.short_ids import Named

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]

_KEPT = ["dataset_id", "version", "rows", "agreements", "ends_at", "reads", "obstacle"]
_RECEIPTS = ["sequence", "at", "operation", "role", "purpose", "rows", "outcome", "acknowledged_at"]
_FAULTS = ["agreement_id", "kind", "sequence", "seen", "at"]
_DELETIONS = ["whose", "agreement_id", "party", "state", "proved_at", "files", "reason"]


def add_kept_commands(app: typer.Typer) -> None:
    """Add the three commands to `gongshu share`."""
    app.command()(kept)
    app.command()(receipts)
    app.command()(deletions)


def kept(format: AsFormat = Format.TABLE) -> None:
    """Show what we hold, under which contract, until when: gongshu share kept."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        rows = [kept_view(each) for each in node.keeping.kept()]
    if format is Format.TABLE:
        rows = [row | {"agreements": ", ".join(row["agreements"])} for row in rows]
    show(rows, _KEPT, format)


def receipts(
    agreement: Annotated[str, typer.Argument(help="The agreement's id")],
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many")] = 100,
    faults: Annotated[bool, typer.Option("--faults", help="What is wrong with them instead")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Show the usage receipts of a contract, ours or the partner's: gongshu share receipts AGREEMENT."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        found = node.keeping.receipts(agreement, limit=limit)
        wrong = node.keeping.faults(agreement)
    if faults:
        show([fault_view(each) for each in wrong], _FAULTS, format)
        return
    rows = [receipt_view(each) for each in found]
    show(rows if format is Format.JSON else [said_of(row) for row in rows], _RECEIPTS, format)
    if wrong and format is Format.TABLE:
        typer.echo(f"{len(wrong)} faults were noticed; see --faults.", err=True)


def said_of(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt in words: the codes of a day without reading, and of rows that nobody counted, are for programs."""
    said = dict(receipt)
    if receipt["operation"] == NOTHING_READ:
        said["operation"] = "nothing was read"
    if receipt["role"] == NOBODY:
        said["role"] = ""
    return said | ({"rows": "unknown"} if receipt["rows"] == ROWS_UNKNOWN else {})


def deletions(format: AsFormat = Format.TABLE) -> None:
    """Show what had to be deleted, here and at partners, and who owes a proof: gongshu share deletions."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        rows = [deletion_view(each) for each in node.keeping.deletions()]
    show(rows, _DELETIONS, format)
