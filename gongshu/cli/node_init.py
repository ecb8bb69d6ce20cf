"""`gongshu init`: make a node."""

from typing import Annotated

import typer
from pydantic import ValidationError

from gongshu.cli.output import done
from gongshu.cli.session import home_folder
from gongshu.config import NodeConfig, NodeRole, reasons_of, write_config
from gongshu.errors import Conflict, InvalidInput

app = typer.Typer(add_completion=False)


class NodeExists(Conflict):
    """There is a node in this folder already."""

    code = "init.node_exists"
    template = "There is a node in {home} already. Choose another folder with `gongshu --home FOLDER init`."


class OptionInvalid(InvalidInput):
    """A node cannot be made with what was given."""

    code = "init.option_invalid"
    template = "No node was made: {reason}. Correct it and run `gongshu init` again."


@app.command()
def init(
    party: Annotated[str, typer.Option(help="Id of your organisation, as urn:gongshu:party:mill", show_default=False)],
    title: Annotated[str, typer.Option(help="Its name, as people read it", show_default=False)],
    role: Annotated[NodeRole, typer.Option(help="What the node is for")] = NodeRole.ENTERPRISE,
    division: Annotated[str, typer.Option(help="GB/T 4754-2017 division of the main activity")] = "C34",
    host: Annotated[str, typer.Option(help="Address to bind to")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of pages and interfaces; 0 takes a free one")] = 6720,
    public_url: Annotated[
        str, typer.Option(help="Address that partners use, as https://mill.example:6720; invitations carry it")
    ] = "",
) -> None:
    """Make the configuration, the keys and the databases of a node, and print the one-time link for its first account.

    Example: gongshu --home ./mill init --party urn:gongshu:party:mill --title "示例机加工厂"
    """
    home = home_folder()
    if home.config_file.exists():
        raise NodeExists(home=home.path)
    try:
        config = NodeConfig(
            party_id=party, title=title, role=role, division=division, host=host, port=port, public_url=public_url
        )
    except ValidationError as cause:
        raise OptionInvalid(reason=reasons_of(cause)) from cause
    if role is NodeRole.ENTERPRISE:
        _require_industrial(division)
    home.path.mkdir(parents=True, exist_ok=True)
    write_config(home, config)
    from gongshu.node import open_node

    node = open_node(home)
    try:
        code = node.identity.first_link()
    finally:
        node.close()
    done(f"The node is in {home.path}. Start it: gongshu --home {home.path} serve")
    done("Then make the first account with this code; it works once, within an hour.")
    where = f"http://{config.host}:{config.port}" if config.port else "(the address that serve prints)"
    done(f"Right here:   gongshu --home {home.path} account redeem {code} NAME")
    done(f"Or its page:  {where}/first?code={code}")


def _require_industrial(division: str) -> None:
    """An enterprise reports under its division; a wrong one would be found out only when it joins a province."""
    from gongshu.packs import load_packs

    if division not in {item.key.removeprefix("division.") for item in load_packs().get("gbt-4754").under("division")}:
        reason = f"{division} is no division of sections B to D; see `gongshu standard show gbt-4754`"
        raise OptionInvalid(reason=reason)
