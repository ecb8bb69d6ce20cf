"""`gongshu account`: people and services that may ask."""

from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.model.access import Role
from gongshu.secure.identity.rules import PASSWORD_LENGTH_MIN

app = typer.Typer(add_completion=False, no_args_is_help=True)

_NAME = Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, hyphens")]
_PASSWORD = Annotated[
    str,
    typer.Option(
        prompt=f"Password ({PASSWORD_LENGTH_MIN} characters or more, without the account's name)",
        confirmation_prompt=True,
        hide_input=True,
        help="Asked for when not given",
    ),
]


@app.command("first-link")
def first_link(
    role: Annotated[Role, typer.Option(help="Which of the three administrators")] = Role.SYSTEM_ADMIN,
) -> None:
    """Make a one-time code for the first administrator of a kind; it works within an hour.

    Example: gongshu account first-link --role audit_admin
    """
    with opened_node() as node:
        done(node.identity.first_link(role))


@app.command("redeem")
def redeem(code: Annotated[str, typer.Argument(help="The one-time code")], name: _NAME, password: _PASSWORD) -> None:
    """Spend a one-time code and make the account.

    Example: gongshu account redeem CODE root
    """
    with opened_node() as node:
        account = node.identity.redeem(code, name, password)
    done(f"{account.name} holds {', '.join(sorted(account.roles))}.")


@app.command("create")
def create(
    name: _NAME,
    role: Annotated[list[Role], typer.Option(help="May be given several times")],
    password: _PASSWORD,
    title: Annotated[str, typer.Option(help="Who it is, as people read it")] = "",
) -> None:
    """Make an account. One account never holds two of the three administrator roles.

    Example: gongshu account create li --role engineer --role steward
    """
    with opened_node() as node:
        actor = current_subject(node).subject_id
        account = node.identity.create_account(name, password, role, actor=actor, title=title)
    done(f"{account.name} holds {', '.join(sorted(account.roles))}.")


@app.command("list")
def list_accounts(format: Annotated[Format, typer.Option()] = Format.TABLE) -> None:
    """List the accounts.

    Example: gongshu account list --format json
    """
    with opened_node() as node:
        current_subject(node)
        rows = [
            {
                "name": account.name,
                "title": account.title,
                "roles": ", ".join(sorted(account.roles)),
                "created_at": account.created_at,
                "disabled_at": account.disabled_at,
            }
            for account in node.identity.accounts()
        ]
    show(rows, ["name", "title", "roles", "created_at", "disabled_at"], format)


@app.command("roles")
def set_roles(name: _NAME, role: Annotated[list[Role], typer.Option(help="May be given several times")]) -> None:
    """Replace an account's roles.

    Example: gongshu account roles li --role analyst
    """
    with opened_node() as node:
        account = node.identity.set_roles(name, role, actor=current_subject(node).subject_id)
    done(f"{account.name} holds {', '.join(sorted(account.roles))}.")


@app.command("password")
def password(name: _NAME, password: _PASSWORD) -> None:
    """Replace a password; every token of the account ends.

    Example: gongshu account password li
    """
    with opened_node() as node:
        node.identity.set_password(name, password, actor=current_subject(node).subject_id)
    done(f"{name} has a new password; its tokens have ended.")


@app.command("token")
def token(name: _NAME, hours: Annotated[float, typer.Option(min=0.01, help="How long it is valid")] = 24.0) -> None:
    """Make a token for programs that use this account.

    Example: gongshu account token li --hours 8
    """
    with opened_node() as node:
        done(node.identity.issue_token(name, valid_s=hours * 3600, actor=current_subject(node).subject_id))


@app.command("disable")
def disable(name: _NAME) -> None:
    """Close an account for good.

    Example: gongshu account disable li
    """
    with opened_node() as node:
        node.identity.disable(name, actor=current_subject(node).subject_id)
    done(f"{name} is closed.")
