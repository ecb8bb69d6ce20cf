"""`gongshu policy`: check, deploy and explain policies."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.model.access import Request, Role, Subject
from gongshu.model.ids import DatasetId, SubjectId

if TYPE_CHECKING:
    from gongshu.node import Node

app = typer.Typer(add_completion=False, no_args_is_help=True)


class _Act(StrEnum):
    """The actions of the policies' schema."""

    READ = "read"
    SHARE = "share"
    EXPORT = "export"
    AGGREGATE = "aggregate"


_FILE = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Policies in Cedar")]


@app.command("show")
def show_active() -> None:
    """Print the policies in force.

    Example: gongshu policy show > mine.cedar
    """
    with opened_node() as node:
        current_subject(node)
        typer.echo(node.policies.active(), nl=False)


@app.command("check")
def check(file: _FILE, format: Annotated[Format, typer.Option()] = Format.TABLE) -> None:
    """Say what is wrong with a file of policies, by line. Needs no node.

    Example: gongshu policy check mine.cedar
    """
    from gongshu.secure.policy import find_faults

    faults = find_faults(file.read_text(encoding="utf-8"))
    rows = [{"line": fault.line, "policy": fault.policy, "message": fault.message} for fault in faults]
    if rows or format is Format.JSON:
        show(rows, ["line", "policy", "message"], format)
    else:
        done(f"{file} can be deployed.")
    if faults:
        raise typer.Exit(1)


@app.command("deploy")
def deploy(file: _FILE) -> None:
    """Put a file of policies in force. Needs the role security_admin.

    Example: gongshu policy deploy mine.cedar
    """
    with opened_node() as node:
        subject = _security_admin(node, "deploy policies")
        version = node.policies.deploy(file.read_text(encoding="utf-8"), subject.subject_id)
    done(f"Version {version.version} is in force (sha256 {version.text_hash}).")


@app.command("explain")
def explain(
    dataset: Annotated[str, typer.Argument(help="A dataset's id")],
    role: Annotated[list[Role], typer.Option(help="The roles of somebody who would ask")],
    action: Annotated[_Act, typer.Option(help="What they would do with it")] = _Act.READ,
    purpose: Annotated[str, typer.Option(help="What for")] = "analysis",
    party: Annotated[str, typer.Option(help="Which organisation asks; empty means this one")] = "",
    agreement: Annotated[str, typer.Option(help="Under which agreement, for partners")] = "",
    subject: Annotated[str, typer.Option(help="Who asks: user:li, service:oee")] = "user:somebody",
    format: Annotated[Format, typer.Option()] = Format.TABLE,
) -> None:
    """Say what the policies would answer, and why. Needs the role security_admin.

    Example: gongshu policy explain orders --role partner --party urn:gongshu:party:x --agreement urn:uuid:1
    """
    with opened_node() as node:
        actor = _security_admin(node, "explain policies")
        attributes = {"agreement": agreement} if agreement else {}
        party_id = type(actor.party_id)(party) if party else actor.party_id
        asker = Subject(SubjectId(subject), party_id, frozenset(role), attributes)
        verdict = node.gate.explain(Request(asker, action.value, purpose, DatasetId(dataset)), actor=actor.subject_id)
    row = {
        "permitted": verdict.permitted,
        "because": ", ".join(verdict.because),
        "masks": ", ".join(f"{mask.column}:{mask.rule}" for mask in verdict.obligations.masks),
        "row_filters": " AND ".join(verdict.obligations.row_filters),
        "rows_max": verdict.obligations.rows_max,
        "ask": verdict.ask,
    }
    show([row], list(row), format)


def _security_admin(node: "Node", act: str) -> Subject:
    from gongshu.secure.errors import NotAllowed

    subject = current_subject(node)
    if Role.SECURITY_ADMIN not in subject.roles:
        raise NotAllowed(actor=subject.subject_id, act=act, role=Role.SECURITY_ADMIN)
    return subject
