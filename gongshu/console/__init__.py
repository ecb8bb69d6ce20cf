"""The console: web pages for people, one module per page under `pages/`, on the same services as the HTTP interface.

`texts` holds every word in both languages, `theme` the colours, `session` who is signed in, `frame` what every page has
around it, `widgets` what pages are made of. This room must not know how anything is stored: it asks the node's services
as the signed-in subject, in threads, and shows what they answer, refusals too.
"""

from typing import TYPE_CHECKING

from fastapi import FastAPI

if TYPE_CHECKING:
    from gongshu.node import Node


def mount_console(app: FastAPI, node: "Node") -> None:
    """Add the console's pages and its sign-in routes to the application, at `/`, and its headers to every answer.

    Cost: imports NiceGUI, about a second; call it once a process, because NiceGUI keeps its pages globally.
    """
    from gongshu.console.frame import Console
    from gongshu.console.guard import guard
    from gongshu.console.pages import create_pages

    console = Console(app, node)
    create_pages(console)
    console.mount()
    guard(app)
