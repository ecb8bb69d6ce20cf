"""`gongshu keys`: the node's keys."""

from typing import Annotated

import typer

from gongshu.cli.output import Format, show
from gongshu.cli.session import opened_node

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def keys() -> None:
    """The node's keys."""


@app.command("show")
def show_keys(format: Annotated[Format, typer.Option()] = Format.TABLE) -> None:
    """Print the public key and its fingerprint; partners register the one and compare the other.

    Example: gongshu keys show --format json
    """
    with opened_node() as node:
        row = {
            "party_id": node.party_id,
            "fingerprint": node.keys.fingerprint(),
            "public_key_pem": node.keys.public_key_pem(),
        }
    show([row], list(row), format)
