"""`gongshu space`: operate trusted data spaces, and belong to those of others."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.model.ids import PartyId
from gongshu.share.spaces.states import Standing, Step

app = typer.Typer(add_completion=False, no_args_is_help=True)

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Operator = Annotated[str, typer.Argument(help="The operator's id")]
Space = Annotated[str, typer.Argument(help="The space's id or number")]
Entry = Annotated[str, typer.Argument(help="The entry's id")]
Why = Annotated[str, typer.Option("--reason", help="Told to whom it concerns")]

SPACE = ["space_id", "number", "title", "state", "requested_by"]
MEMBER = ["party", "roles", "state", "organisation", "fingerprint", "identity_check"]
ENTRY = ["entry_id", "identifier", "kind", "title", "party", "state"]
FACT = ["agreement_id", "reporter", "provider", "consumer", "status", "agreed_at"]
HISTORY = ["at", "life", "name", "step", "state", "actor", "reason"]
_COLUMNS = {"catalogue": ENTRY, "members": MEMBER, "contracts": FACT, "history": HISTORY, "standing": MEMBER}
_ROWS = {"catalogue": "entries", "members": "members", "contracts": "contracts", "history": "history"}
_MEMBER = {"refuse": Step.REFUSE, "suspend": Step.SUSPEND, "resume": Step.RESUME, "expel": Step.EXPEL}


# ---- the operator ---------------------------------------------------------------------------------------------------


@app.command("list")
def list_spaces(format: AsFormat = Format.TABLE) -> None:
    """Show the spaces that this node operates: gongshu space list."""
    with opened_node() as node:
        rows = node.spaces.host.spaces(current_subject(node))
    show(rows, SPACE, format)


@app.command()
def request(
    title: Annotated[str, typer.Argument(help="What the space is for")],
    rules: Annotated[Path, typer.Option("--rules", help="File with the rules that members sign")],
    operator: Annotated[str, typer.Option("--at", help="The operator; empty asks this node")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Ask for a logical space: gongshu space request "Bearing chain" --rules rules.txt."""
    text = rules.read_text(encoding="utf-8")
    with opened_node() as node:
        subject = current_subject(node)
        asked = (
            node.spaces.membership.request_space(PartyId(operator), title, text, subject)
            if operator
            else node.spaces.host.request(title, text, subject)
        )
    show([asked], ["space_id", "state"], format)


@app.command()
def approve(space: Space, reason: Why = "", format: AsFormat = Format.TABLE) -> None:
    """Open a requested space and give it its number: gongshu space approve SPACE."""
    with opened_node() as node:
        row = node.spaces.host.approve(space, current_subject(node), reason)
    show([row], SPACE, format)


@app.command()
def refuse(space: Space, reason: Why = "", format: AsFormat = Format.TABLE) -> None:
    """Turn a requested space down: gongshu space refuse SPACE --reason "no legal basis"."""
    with opened_node() as node:
        row = node.spaces.host.refuse(space, current_subject(node), reason)
    show([row], SPACE, format)


@app.command()
def dissolve(space: Space, reason: Annotated[str, typer.Option("--reason", prompt=True, help="Told to all")]) -> None:
    """End a space and every access in it: gongshu space dissolve SPACE --reason "the project ended"."""
    with opened_node() as node:
        node.spaces.host.dissolve(space, current_subject(node), reason)
        arrived = node.spaces.step()
    done(f"{space} is dissolved; {arrived} notices have arrived, others are sent while the node runs.")


@app.command()
def members(space: Space, format: AsFormat = Format.TABLE) -> None:
    """Show who applied or belongs: gongshu space members SPACE."""
    with opened_node() as node:
        rows = node.spaces.host.members(space, current_subject(node))
    show(rows, MEMBER, format)


@app.command()
def admit(
    space: Space,
    party: Annotated[str, typer.Argument(help="Who applied")],
    check: Annotated[str, typer.Option("--check", help="How its identity was checked; kept")],
    format: AsFormat = Format.TABLE,
) -> None:
    """Admit an applicant: gongshu space admit SPACE PARTY --check "business licence seen, fingerprint compared"."""
    with opened_node() as node:
        row = node.spaces.host.admit(space, PartyId(party), current_subject(node), identity_check=check)
        node.spaces.step()
    show([row], MEMBER, format)


@app.command()
def decide(
    space: Space,
    party: Annotated[str, typer.Argument(help="The applicant or member")],
    step: Annotated[str, typer.Argument(help="refuse, suspend, resume or expel")],
    reason: Why = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Refuse an applicant; suspend, resume or expel a member: gongshu space decide SPACE PARTY expel --reason …."""
    if step not in _MEMBER:
        raise typer.BadParameter(f"{step!r} is none of {', '.join(_MEMBER)}", param_hint="STEP")
    with opened_node() as node:
        row = node.spaces.host.decide_member(space, PartyId(party), _MEMBER[step], current_subject(node), reason)
        node.spaces.step()
    show([row], MEMBER, format)


@app.command()
def entries(
    space: Space,
    state: Annotated[Standing | None, typer.Option(help="Only in this state")] = None,
    format: AsFormat = Format.TABLE,
) -> None:
    """Show entries in every state: gongshu space entries SPACE --state pending."""
    with opened_node() as node:
        rows = node.spaces.host.entries(space, current_subject(node), state=state)
    show(rows, ENTRY, format)


@app.command()
def audit(
    space: Space,
    entry: Entry,
    refuse: Annotated[bool, typer.Option("--refuse", help="It is not what it claims to be")] = False,
    reason: Why = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Audit an entry: gongshu space audit SPACE ENTRY."""
    with opened_node() as node:
        host, subject = node.spaces.host, current_subject(node)
        row = (
            host.decide_entry(space, entry, Step.REFUSE, subject, reason)
            if refuse
            else host.audit(space, entry, subject, reason)
        )
    show([row], ENTRY, format)


@app.command()
def register(space: Space, entry: Entry, format: AsFormat = Format.TABLE) -> None:
    """Give an audited entry its identifier: gongshu space register SPACE ENTRY."""
    with opened_node() as node:
        row = node.spaces.host.register(space, entry, current_subject(node))
    show([row], ENTRY, format)


@app.command()
def history(space: Space, format: AsFormat = Format.TABLE) -> None:
    """Show who decided what: gongshu space history SPACE."""
    with opened_node() as node:
        rows = node.spaces.host.history(space, current_subject(node))
    show(rows, HISTORY, format)


# ---- the member -----------------------------------------------------------------------------------------------------


@app.command()
def mine(format: AsFormat = Format.TABLE) -> None:
    """Show where this node stands in the spaces of others: gongshu space mine."""
    with opened_node() as node:
        rows = node.spaces.membership.standings(current_subject(node))
    show(rows, ["operator", "space_id", "title", "roles", "state", "reason", "updated_at"], format)


@app.command()
def rules(operator: Operator, space: Space) -> None:
    """Print a space's rules, to be read before applying: gongshu space rules OPERATOR SPACE > rules.txt."""
    with opened_node() as node:
        found = node.spaces.membership.rules(PartyId(operator), space, current_subject(node))
    typer.echo(str(found["rules"]), nl=False)


@app.command()
def apply(
    operator: Operator,
    space: Space,
    role: Annotated[list[str], typer.Option("--role", help="provider, user, service or regulator; repeat it")],
    rules: Annotated[Path, typer.Option("--rules", help="The rules as you read them; they are signed")],
    area: Annotated[str, typer.Option(help="Six digits of GB/T 2260, as 310100")],
    organisation: Annotated[str, typer.Option(help="Unified social credit code, or its 9-digit organisation part")],
    format: AsFormat = Format.TABLE,
) -> None:
    """Sign a space's rules and apply: gongshu space apply OPERATOR SPACE --role provider --rules rules.txt …."""
    text = rules.read_bytes().decode("utf-8")
    with opened_node() as node:
        more = {"area": area, "organisation": organisation, "rules": text}
        row = node.spaces.membership.apply(PartyId(operator), space, role, current_subject(node), **more)
    show([row], MEMBER, format)


@app.command()
def offer(
    operator: Operator,
    space: Space,
    file: Annotated[Path, typer.Argument(help="JSON: kind resource or product, title, description, …")],
    format: AsFormat = Format.TABLE,
) -> None:
    """Send a resource or product for audit: gongshu space offer OPERATOR SPACE product.json."""
    try:
        entry: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as cause:
        raise typer.BadParameter(f"{file.name} is no JSON: {cause}") from cause
    if not isinstance(entry, dict):
        raise typer.BadParameter(f"{file.name} holds no JSON object")
    with opened_node() as node:
        row = node.spaces.membership.submit(PartyId(operator), space, entry, current_subject(node))
    show([row], ENTRY, format)


@app.command()
def publish(operator: Operator, space: Space, entry: Entry, format: AsFormat = Format.TABLE) -> None:
    """Make a registered entry visible: gongshu space publish OPERATOR SPACE ENTRY."""
    with opened_node() as node:
        row = node.spaces.membership.publish(PartyId(operator), space, entry, current_subject(node))
    show([row], ENTRY, format)


@app.command()
def withdraw(operator: Operator, space: Space, entry: Entry, reason: Why = "", format: AsFormat = Format.TABLE) -> None:
    """Take an entry out, our own or, as the operator, any: gongshu space withdraw OPERATOR SPACE ENTRY --reason …."""
    with opened_node() as node:
        subject, is_ours = current_subject(node), operator == node.party_id
        row = (
            node.spaces.host.decide_entry(space, entry, Step.WITHDRAW, subject, reason)
            if is_ours
            else node.spaces.membership.withdraw(PartyId(operator), space, entry, subject, reason)
        )
    show([row], ENTRY, format)


@app.command()
def report(
    operator: Operator, space: Space, agreement: Annotated[str, typer.Argument(help="One of our agreements")]
) -> None:
    """Report a contract, which belongs to the space from then on: gongshu space report OPERATOR SPACE AGREEMENT."""
    with opened_node() as node:
        node.spaces.membership.report(PartyId(operator), space, agreement, current_subject(node))
    done(f"{agreement} is reported. It ends when one of its sides loses its place in the space.")


@app.command()
def look(
    operator: Operator,
    space: Space,
    what: Annotated[str, typer.Argument(help="catalogue, members, contracts, history or standing")] = "catalogue",
    words: Annotated[str, typer.Option("--search", help="Only what fits these words, the best first")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """See a space as far as our role goes: gongshu space look OPERATOR SPACE catalogue --search 主轴温度."""
    with opened_node() as node:
        subject, host = current_subject(node), node.spaces.host
        if operator == node.party_id and what in _ROWS:
            ours = {"members": host.members, "contracts": host.contracts, "history": host.history}
            rows = host.catalogue(space, words, subject) if what == "catalogue" else ours[what](space, subject)
            found: dict[str, Any] = {_ROWS[what]: rows}
        else:
            found = node.spaces.membership.look(PartyId(operator), space, what, subject, words=words)
    show(found[_ROWS[what]] if what in _ROWS else [found], _COLUMNS.get(what, MEMBER), format)


@app.command()
def leave(operator: Operator, space: Space, reason: Why = "") -> None:
    """Leave a space; our agreements under it end: gongshu space leave OPERATOR SPACE."""
    with opened_node() as node:
        node.spaces.membership.leave(PartyId(operator), space, current_subject(node), reason)
    done(f"We are out of {space}; the agreements under it have ended.")
