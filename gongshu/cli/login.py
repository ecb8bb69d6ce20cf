"""`gongshu login`: keep a token for the commands that act as you."""

from typing import Annotated

import typer

from gongshu.cli.output import done
from gongshu.cli.session import opened_node, token_file

app = typer.Typer(add_completion=False)


@app.command()
def login(
    name: Annotated[str, typer.Argument(help="Your account's name")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for when not given")],
) -> None:
    """Sign in. The token is kept in the home folder, readable by you alone.

    Example: gongshu login zhang
    """
    with opened_node() as node:
        token = node.identity.login(name, password)
        file = token_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(token, encoding="utf-8")
    done(f"Signed in as {name}.")
