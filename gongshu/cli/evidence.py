"""`gongshu evidence`: what both sides of a contract counted, disputes and how they end, bundles for a third person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node

if TYPE_CHECKING:
    from gongshu.node import Node

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]

_METERED = ["agreement_id", "delivery", "standing", "ours", "theirs", "our_choice", "their_choice", "reason"]


@app.command("export")
def export(
    agreement: Annotated[str, typer.Argument(help="The agreement's id")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write")],
) -> None:
    """Write what this side has about one contract to a file: gongshu evidence export AGREEMENT evidence.jsonl.

    Contract, messages, signed meter lines, receipts, proofs, audit records with proofs; no values, no secrets.
    """
    with opened_node() as node:
        agreement = _whole_id(node, agreement)
        count = node.exporter.export(agreement, file, current_subject(node))
        fingerprint = node.exporter.fingerprint()
    done(f"{count} records are in {file}. Verify: gongshu evidence verify {file} --fingerprint {fingerprint}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="One side's evidence")],
    other: Annotated[Path | None, typer.Argument(help="The other side's, of the same contract")] = None,
    fingerprint: Annotated[
        list[str] | None, typer.Option(help="sha256:… of a key, compared over another channel; once for each side")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every item, not what does not agree alone")] = False,
    problems: Annotated[bool, typer.Option("--problems", help="Show what does not agree, no summary")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Verify and match evidence, offline: gongshu evidence verify mill.jsonl shop.jsonl --fingerprint sha256:….

    The same program runs without a node: python -m gongshu.evidence_verifier FILE OTHER_FILE. Exit status 0 only if
    everything agrees.
    """
    from gongshu.evidence_verifier import main

    arguments = [str(file), *([str(other)] if other else [])]
    for each in fingerprint or ():
        arguments += ["--fingerprint", each]
    arguments += ["--verbose"] * verbose + ["--problems"] * problems + ["--json"] * (format is Format.JSON)
    if status := main(arguments):
        raise typer.Exit(status)


@app.command("meter")
def meter(
    agreement: Annotated[str, typer.Argument(help="Only of this contract; empty shows all")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show deliveries as both sides count them: gongshu evidence meter AGREEMENT."""
    _show(agreement, format, disputed=False)


@app.command("disputes")
def disputes(format: AsFormat = Format.TABLE) -> None:
    """Show what the two sides count differently, which freezes the contract: gongshu evidence disputes."""
    _show("", format, disputed=True)


@app.command("settle")
def settle(
    agreement: Annotated[str, typer.Argument(help="The agreement's id")],
    delivery: Annotated[str, typer.Argument(help="The delivery, as `gongshu evidence disputes` shows it")],
    figures: Annotated[str, typer.Option(help="Whose figures count: provider or consumer")],
    reason: Annotated[str, typer.Option(help="Why; signed, and told to the other side", prompt=True)],
) -> None:
    """Say whose figures count: gongshu evidence settle AGREEMENT DELIVERY --figures provider --reason "a disk failed".

    It is settled when a person of the other side says the same. `gongshu share retire` ends the contract instead.
    """
    from gongshu.share.dsp.states import Side

    if figures not in {each.value for each in Side}:
        raise typer.BadParameter("it is provider or consumer", param_hint="--figures")
    with opened_node() as node:
        agreement = _whole_id(node, agreement)
        found = node.evidence.settle(agreement, delivery, Side(figures), current_subject(node), reason=reason)
    done(f"Delivery {delivery} is {found.standing.value}.")


def _show(agreement: str, format: Format, *, disputed: bool) -> None:
    from gongshu.share.evidence.views import metered_view

    with opened_node() as node:
        agreement = _whole_id(node, agreement)
        found = node.evidence.metered(current_subject(node), agreement_id=agreement, disputed=disputed, limit=1000)
    rows = [metered_view(each) for each in found]
    show(rows if format is Format.JSON else [_flat(row) for row in rows], _METERED, format)


def _whole_id(node: "Node", agreement: str) -> str:
    from gongshu.cli.share_ids import whole_id
    from gongshu.share.short_ids import Named

    return whole_id(node, Named.AGREEMENT, agreement)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    shown = {side: _figures(row[side]) for side in ("ours", "theirs")}
    alone = " (one-sided)" if row["one_sided"] else ""
    return row | shown | {"standing": f"{row['standing'].value}{alone}"}


def _figures(figures: dict[str, Any] | None) -> str:
    return (
        "" if figures is None else f"{figures['rows']} rows, {figures['size_bytes']} bytes, {figures['sha256'][:12]}…"
    )
