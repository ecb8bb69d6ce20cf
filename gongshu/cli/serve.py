"""`gongshu serve`: run the node."""

import typer

from gongshu.cli.output import done
from gongshu.cli.session import home_folder
from gongshu.config import read_config

app = typer.Typer(add_completion=False)


@app.command()
def serve() -> None:
    """Run the node of the home folder until it is interrupted: gongshu --home ./mill serve."""
    home = home_folder()
    config = read_config(home)
    done(f"{config.title}: starting on http://{config.host}:{config.port} (stop with Ctrl-C)")
    from gongshu import main

    main.serve(home)
