"""`gongshu serve`: run the node."""

from functools import partial

import typer

from gongshu.cli.session import home_folder
from gongshu.config import read_config

app = typer.Typer(add_completion=False)


@app.command()
def serve() -> None:
    """Run the node of the home folder until it is interrupted: gongshu --home ./mill serve."""
    home = home_folder()
    read_config(home)
    from gongshu import main

    main.serve(home, say=partial(print, flush=True))
