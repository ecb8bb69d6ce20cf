"""Commands of `gongshu share` about who the other parties are."""

from pathlib import Path
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_trust import app as trust
from gongshu.model.ids import PartyId
from gongshu.secure.parties import Party

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
COLUMNS = ["party_id", "title", "address", "identity", "fingerprint", "space"]


def add_party_commands(app: typer.Typer) -> None:
    """Add the commands to `gongshu share`."""
    app.command()(parties)
    app.command()(register)
    app.command()(forget)
    app.add_typer(trust, name="trust")


def parties(format: AsFormat = Format.TABLE) -> None:
    """List the parties this node knows: gongshu share parties."""
    with opened_node() as node:
        known = node.introductions.parties(current_subject(node))
    show([{name: getattr(party, name) for name in COLUMNS} for party in known], COLUMNS, format)


def register(
    party: Annotated[str, typer.Argument(help="Its id, for instance did:web:mill.example")],
    identity: Annotated[str, typer.Option(help="The scheme that both sides agreed on")] = "dcp",
    address: Annotated[str, typer.Option(help="Address of its node")] = "",
    title: Annotated[str, typer.Option(help="Its name, as people read it")] = "",
    issuer: Annotated[bool, typer.Option("--issuer", help="Its membership credentials are trusted")] = False,
    certificate: Annotated[str, typer.Option(help="File or sha256:… of its TLS certificate")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a known party")] = False,
) -> None:
    """Register a party by its DID or certificate: gongshu share register did:web:mill.example --address https://…."""
    is_file = len(certificate) < 250 and Path(certificate).is_file()
    shown = Path(certificate).read_text(encoding="utf-8") if is_file else certificate
    roles = ("issuer",) if issuer else ("partner",)
    entry = Party(PartyId(party), title or party, "", address.rstrip("/"), roles, identity, shown)
    with opened_node() as node:
        node.introductions.register(entry, current_subject(node), replace=replace)
    done(f"{party} is known here, and proves itself by {identity}.")


def forget(party: Annotated[str, typer.Argument(help="The party's id")]) -> None:
    """Forget a party, so that what flows to it ends: gongshu share forget urn:gongshu:party:shop."""
    with opened_node() as node:
        node.introductions.forget(PartyId(party), current_subject(node))
    done(f"{party} is not known here any more. Nothing of it is taken, and what flows to it ends.")
