"""`gongshu init`: make a node."""

from typing import Annotated

import typer

from gongshu.cli.output import done
from gongshu.cli.session import home_folder
from gongshu.config import NodeConfig, NodeRole, write_config
from gongshu.errors import Conflict

app = typer.Typer(add_completion=False)


class NodeExists(Conflict):
    """There is a node in this folder already."""

    code = "init.node_exists"
    template = "There is a node in {home} already. Choose another folder with `gongshu --home FOLDER init`."


@app.command()
def init(
    party: Annotated[str, typer.Option(help="Id of your organisation", show_default=False)],
    title: Annotated[str, typer.Option(help="Its name, as people read it", show_default=False)],
    role: Annotated[NodeRole, typer.Option(help="What the node is for")] = NodeRole.ENTERPRISE,
    division: Annotated[str, typer.Option(help="GB/T 4754-2017 division of the main activity")] = "C34",
    host: Annotated[str, typer.Option(help="Address to bind to")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of pages and interfaces; 0 takes a free one")] = 6720,
) -> None:
    """Make the configuration, the keys and the databases of a node, and print the one-time link for its first account.

    Example: gongshu --home ./mill init --party urn:gongshu:party:mill --title "示例机加工厂"
    """
    home = home_folder()
    if home.config_file.exists():
        raise NodeExists(home=home.path)
    config = NodeConfig(party_id=party, title=title, role=role, division=division, host=host, port=port)
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
    done(f"On its page:     {where}/first?code={code}")
    done(f"Or right here:   gongshu --home {home.path} account redeem {code} NAME")
