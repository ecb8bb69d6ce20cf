"""`gongshu audit`: read, export and verify the audit log."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, home_folder, opened_node
from gongshu.model.access import Role

if TYPE_CHECKING:
    from gongshu.node import Node

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command("list")
def list_entries(
    object: Annotated[str | None, typer.Option(help="A dataset, account, agreement …")] = None,
    action: Annotated[str | None, typer.Option(help="`read.denied`, or `read.*`")] = None,
    actor: Annotated[str | None, typer.Option(help="`user:li`")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
    before: Annotated[int | None, typer.Option(help="Only records before this index")] = None,
    format: Annotated[Format, typer.Option()] = Format.TABLE,
) -> None:
    """List records, newest first. Needs the role audit_admin.

    Example: gongshu audit list --action "read.*" --limit 20
    """
    with opened_node() as node:
        _require_audit_admin(node, "read the audit log")
        found = node.audit.entries(object=object, action=action, actor=actor, limit=limit, before=before)
    rows = [
        {
            "index": entry.index,
            "at": entry.at,
            "actor": entry.actor,
            "action": entry.action,
            "object": entry.object,
            "outcome": entry.outcome,
            "details": dict(entry.details) if format is Format.JSON else _short(dict(entry.details)),
        }
        for entry in found
    ]
    show(rows, ["index", "at", "actor", "action", "object", "outcome", "details"], format)


@app.command("export")
def export(file: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write")]) -> None:
    """Write the whole log with its proofs to one file. Needs the role audit_admin.

    Example: gongshu audit export audit.jsonl
    """
    with opened_node() as node:
        _require_audit_admin(node, "export the audit log")
        count = node.audit.export(file)
        fingerprint = node.keys.fingerprint()
    done(f"{count} records are in {file}. Verify: gongshu audit verify {file} --fingerprint {fingerprint}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="An export")],
    fingerprint: Annotated[
        str, typer.Option(help="The key it must be signed with; empty takes this node's, if there is one here")
    ] = "",
    known_checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint kept elsewhere: the log must continue it")
    ] = None,
    format: Annotated[Format, typer.Option()] = Format.TABLE,
) -> None:
    """Verify an export with a program that shares no code with the writer; names the first record that is wrong.

    The same program runs without this package's help: python -m gongshu.audit_verifier FILE.

    Example: gongshu audit verify audit.jsonl
    """
    from gongshu.audit_verifier import main

    arguments = [str(file)]
    if expected := fingerprint or _own_fingerprint():
        arguments += ["--fingerprint", expected]
    if known_checkpoint is not None:
        arguments += ["--known-checkpoint", str(known_checkpoint)]
    if format is Format.JSON:
        arguments.append("--json")
    if status := main(arguments):
        raise typer.Exit(status)


def _own_fingerprint() -> str:
    """The fingerprint of the node in the home folder, if there is one; its keys are not made by looking."""
    folder = home_folder().keys
    if not (folder / "node.pem").is_file():
        return ""
    from gongshu.secure.keys import KeyStore

    return KeyStore(folder).fingerprint()


def _require_audit_admin(node: "Node", act: str) -> None:
    from gongshu.secure.errors import NotAllowed

    subject = current_subject(node)
    if Role.AUDIT_ADMIN not in subject.roles:
        raise NotAllowed(actor=subject.subject_id, act=act, role=Role.AUDIT_ADMIN)


def _short(details: dict[str, object]) -> str:
    text = json.dumps({k: v for k, v in details.items() if v not in (None, [], "")}, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:119] + "…"
