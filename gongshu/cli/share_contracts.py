"""`gongshu share contract`, `chain`, `amend`, `paid`, `group`, `place`, `notices`, `attach`, `attachment`."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_ids import whole_id
from gongshu.model.ids import PartyId
from gongshu.share.contract_words import Language
from gongshu.share.contracts.views import Form, contract_view, group_view, notice_view, place_view
from gongshu.share.short_ids import Named

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Agreement = Annotated[str, typer.Argument(help="The agreement's id")]


def add_contract_commands(app: typer.Typer) -> None:
    """Add the commands to `gongshu share`."""
    for command in (contract, chain, amend, paid, group, place, notices, attach, attachment):
        app.command()(command)


def contract(
    agreement: Agreement,
    form: Annotated[Form, typer.Option("--form", help="document, odrl, digital-contract or text")] = "text",
    language: Annotated[Language, typer.Option("--language", help="zh or en")] = "en",
) -> None:
    """Print a contract with what its signatures are worth: gongshu share contract AGREEMENT --form digital-contract."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        signed = node.share.desk.contract(agreement, current_subject(node))
        view = contract_view(signed, node.share.agreement(agreement), form, language)
    text = str(view["text"]) if form == "text" else orjson.dumps(view, option=orjson.OPT_INDENT_2).decode()
    typer.echo(text)


def chain(agreement: Agreement, format: AsFormat = Format.TABLE) -> None:
    """Show a contract with all versions before it: gongshu share chain AGREEMENT."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        versions, problems = node.share.desk.chain(agreement, current_subject(node))
    rows = [
        {
            "version": signed.contract.version,
            "agreement_id": signed.contract.agreement_id,
            "hash": signed.document_hash,
            "signed_by": ", ".join(signed.signed_by),
            "problems": "; ".join(signed.problems),
        }
        for signed in versions
    ]
    show(rows, ["version", "agreement_id", "signed_by", "problems"], format)
    if problems:
        typer.echo("The chain does not hold: " + "; ".join(problems), err=True)
        sys.exit(1)


def amend(
    agreement: Agreement,
    offer: Annotated[str, typer.Option("--offer", help="The provider's newer offer; empty: its only one")] = "",
) -> None:
    """Negotiate a newer version of a contract; the old one ends when it is final: gongshu share amend AGREEMENT."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        subject = current_subject(node)
        old = node.share.agreement(agreement)
        target = str(old.policy["target"])
        record = node.share.negotiate(old.counterparty, target, subject, offer_id=offer, replaces=agreement)
        node.share.step()
    done(f"{record.process_id} is under way; `gongshu share negotiations` shows it.")


def paid(
    agreement: Agreement, reference: Annotated[str, typer.Argument(help="The reference under which it arrived")]
) -> None:
    """Confirm that a contract was paid; waiting transfers start: gongshu share paid AGREEMENT "bank 4711"."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        node.share.desk.confirm_payment(agreement, reference, current_subject(node))
    done(f"{agreement} is paid under {reference}.")


def group(
    group_id: Annotated[str, typer.Argument(help="The group's id; empty shows all")] = "",
    add: Annotated[list[str] | None, typer.Option("--add", help="Put this party in; repeat it")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Take this party out; repeat it")] = None,
    title: Annotated[str, typer.Option(help="What people call a new group")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show groups of parties, or change who is in one; it binds at once: gongshu share group suppliers --add PARTY."""
    with opened_node() as node:
        subject, desk = current_subject(node), node.share.desk
        if add and group_id:
            desk.add_to_group(group_id, [PartyId(party) for party in add], subject, title=title)
        for party in remove or ():
            desk.remove_from_group(group_id, PartyId(party), subject)
        rows = [group_view(each) for each in desk.groups(subject) if group_id in ("", each.group_id)]
    if format is Format.TABLE:
        rows = [row | {"members": ", ".join(row["members"])} for row in rows]
    show(rows, ["group_id", "title", "members"], format)


def place(
    party: Annotated[str, typer.Argument(help="The party's id; empty shows all")] = "",
    code: Annotated[str, typer.Argument(help="Where it is, as CN-33")] = "",
    basis: Annotated[str, typer.Option(help="What that is known from")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show where parties are, or write it down: gongshu share place PARTY CN-33 --basis "licence, seen on paper"."""
    with opened_node() as node:
        subject, desk = current_subject(node), node.share.desk
        if party:
            desk.register_place(PartyId(party), code, basis, subject)
        rows = [place_view(entry) for entry in desk.places(subject)]
    show(rows, ["party", "place", "basis", "registered_at", "registered_by"], format)


def notices(
    sent: Annotated[bool, typer.Option("--sent", help="Ours, with what became of them")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Show notices of use that others sent us, or ours: gongshu share notices --sent."""
    with opened_node() as node:
        found = node.share.desk.notices(current_subject(node), received=not sent, limit=1000)
    rows = [notice_view(notice) for notice in found]
    show(rows, ["at", "party", "agreement_id", "user", "purpose", "sent_at", "last_error"], format)


def attach(
    offer: Annotated[str, typer.Argument(help="The offer's id")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    media_type: Annotated[str, typer.Option(help="What kind of file it is")] = "application/octet-stream",
) -> None:
    """Attach a file to an offer; contracts made from now on hold its hash: gongshu share attach OFFER quality.pdf."""
    with opened_node() as node:
        offer = whole_id(node, Named.OFFER, offer)
        digest = node.share.desk.attach(offer, file.name, media_type, file.read_bytes(), current_subject(node))
    done(f"{file.name} is attached, SHA-256 {digest}.")


def attachment(
    agreement: Agreement,
    name: Annotated[str, typer.Argument(help="The attachment's name in the contract")],
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist")],
) -> None:
    """Write an attachment of a contract to a file: gongshu share attachment AGREEMENT quality.pdf quality.pdf."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        content = node.share.desk.attachment(agreement, name, current_subject(node))
    with file.open("xb") as written:
        written.write(content)
    done(f"{file} holds what the contract says.")
