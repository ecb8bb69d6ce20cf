"""Commands of `gongshu share` about who the other parties are."""

from pathlib import Path
from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_trust import app as trust
from gongshu.model.ids import PartyId
from gongshu.secure.parties import Party
from gongshu.share.invites import read_invite, without_spaces

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
COLUMNS = ["party_id", "title", "address", "identity", "fingerprint", "space"]


def add_party_commands(app: typer.Typer) -> None:
    """Add the commands to `gongshu share`."""
    app.command()(invite)
    app.command()(join)
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
    shown = Path(certificate).read_text(encoding="utf-8") if _is_file(certificate) else certificate
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


def invite() -> None:
    """Print the line by which another party gets to know this one: gongshu share invite."""
    with opened_node() as node:
        line, fingerprint = node.introductions.own(current_subject(node))
    typer.echo(line)
    typer.echo("Send them this line; they enter it with `gongshu share join`.", err=True)
    typer.echo(f"Read this out to them over another channel: {fingerprint}", err=True)


def join(
    invitation: Annotated[str, typer.Argument(help="The line from `gongshu share invite`, or a file that holds it")],
    fingerprint: Annotated[str, typer.Option(help="What they read out to you; then nothing is asked")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Its key has changed, and you asked why")] = False,
    identity: Annotated[str, typer.Option(help="The scheme that both sides agreed on")] = "gongshu",
    certificate: Annotated[str, typer.Option(help="File or sha256:… of its TLS certificate, if not in the line")] = "",
) -> None:
    """Get to know another party: gongshu share join gongshu-invite-1.… --fingerprint sha256:…."""
    line = Path(invitation).read_text(encoding="utf-8") if _is_file(invitation) else invitation
    party = read_invite(line)
    typer.echo(f"{party.title}\n  id      {party.party_id}\n  address {party.address}\n  key     {party.fingerprint}")
    if fingerprint and without_spaces(fingerprint) != party.fingerprint:
        reason = "it is not the key above, somebody may have exchanged the line; nothing was registered. Ask them again"
        raise typer.BadParameter(reason, param_hint="--fingerprint")
    if not fingerprint:
        typer.confirm("Did they read out the same fingerprint to you?", abort=True)
    with opened_node() as node:
        subject = current_subject(node)
        shown = Path(certificate).read_text(encoding="utf-8") if _is_file(certificate) else certificate
        node.introductions.accept(
            line, party.fingerprint, subject, replace=replace, identity=identity, certificate=shown
        )
        own, _ = node.introductions.own(subject)
    done(f"{party.title} is known here. Do they know you? If not, read this out to them over another channel:")
    done(read_invite(own).fingerprint)
    done("and hand them your own line:")
    typer.echo(own)


def _is_file(text: str) -> bool:
    return len(text) < 250 and Path(text).is_file()
