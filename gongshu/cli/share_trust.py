"""`gongshu share trust`: the trust lists of other spaces, and our own."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Believe and publish the lists of spaces: gongshu share trust list.",
)
AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
COLUMNS = ["space_id", "source", "serial", "valid_until", "read_at", "members", "problem"]


@app.command("add")
def add(
    source: Annotated[str, typer.Argument(help="File or https: address of the list; it is read again and again")],
    fingerprint: Annotated[str, typer.Option(help="What the operator's people read out to you")],
) -> None:
    """Believe a space's list: gongshu share trust add https://operator.example/trust.txt --fingerprint sha256:…."""
    is_file = not source.startswith(("http://", "https://"))
    with opened_node() as node:
        place = str(Path(source).resolve()) if is_file else source
        believed = node.trust.add(place, fingerprint, current_subject(node))
    done(f"{believed.space_id} is believed until {believed.valid_until:%Y-%m-%d}: {believed.members} members.")


@app.command("list")
def list_(format: AsFormat = Format.TABLE) -> None:
    """Show the lists that are believed, and what was wrong when they were last read."""
    with opened_node() as node:
        believed = node.trust.all(current_subject(node))
    show([{name: asdict(each)[name] for name in COLUMNS} for each in believed], COLUMNS, format)


@app.command("remove")
def remove(space: Annotated[str, typer.Argument(help="The space's id")]) -> None:
    """Believe a space's list no more, so that what flows to its members ends."""
    with opened_node() as node:
        node.trust.remove(space, current_subject(node))
    done(f"{space} is not believed any more. Its members are unknown here.")


@app.command("publish")
def publish(
    space: Annotated[str, typer.Argument(help="The id of your space, for instance urn:gongshu:space:valley")],
    file: Annotated[Path, typer.Option(help="Where the list is written, for others to fetch")],
    valid_days: Annotated[int, typer.Option(min=1, max=90, help="After so many days it ends by itself")] = 7,
) -> None:
    """Write a signed list of yourself and of the members of your space; of all parties, if it is kept elsewhere."""
    with opened_node() as node:
        text, fingerprint = node.trust.publish(space, current_subject(node), valid_days=valid_days)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(file)
    done(f"{file} is written. Read this out to those who are to believe it: {fingerprint}")
