"""`gongshu standard`: every number and code taken from a law or a standard, with source, clause and confidence."""

from pathlib import Path
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.govern.views import item_row, pack_row
from gongshu.packs import Confidence, load_packs
from gongshu.packs.loader import decode_pack

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]


@app.command("list")
def list_packs(format: AsFormat = Format.TABLE) -> None:
    """List the packs: gongshu standard list."""
    show(
        [pack_row(pack) for pack in load_packs().packs],
        ("pack", "version", "title_zh", "source", "effective_from", "effective_to", "items"),
        format,
    )


@app.command("show")
def show_items(
    name: Annotated[str, typer.Argument(help="A pack's name; empty shows every number of every pack")] = "",
    version: Annotated[str, typer.Option(help="A version; empty means the one in force")] = "",
    confidence: Annotated[Confidence | None, typer.Option(help="Only items known so well")] = None,
    format: AsFormat = Format.TABLE,
) -> None:
    """Show numbers with source, clause and confidence: gongshu standard show gbt-36344 --confidence to_be_confirmed."""
    packs = load_packs()
    items = packs.get(name, version=version or None).items.values() if name else packs.items()
    rows = [item_row(item) for item in items if confidence is None or item.confidence is confidence]
    show(rows, ("pack", "version", "key", "value", "title_zh", "source", "clause", "confidence"), format)


@app.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Pack files; none checks those that are installed")] = None,
) -> None:
    """Check pack files: gongshu standard check my-pack-2026.yaml."""
    if not files:
        packs = load_packs()
        done(f"{len(packs.packs)} packs with {sum(1 for _ in packs.items())} items: all can be used.")
        return
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as cause:
            raise typer.BadParameter(f"{file} cannot be read: {cause}") from cause
        pack = decode_pack(text, file_name=file.name)
        done(f"{file}: {pack.reference}, {len(pack.items)} items, can be used.")
