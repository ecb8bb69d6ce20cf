"""What a command works on: the node in the home folder, and the account that asks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gongshu.config import Home
from gongshu.errors import NotAuthenticated

if TYPE_CHECKING:
    from gongshu.model.access import Subject
    from gongshu.node import Node

HOME_VARIABLE = "GONGSHU_HOME"
TOKEN_VARIABLE = "GONGSHU_TOKEN"  # noqa: S105  # the variable's name, not a secret


class NotSignedIn(NotAuthenticated):
    """A command that acts for a person does not know whom."""

    code = "cli.not_signed_in"
    template = "This command acts as you, and nobody is signed in. Run `gongshu login NAME`, or set {variable}."


def home_folder() -> Home:
    """Return the home folder: $GONGSHU_HOME (set by --home), else `.gongshu` in the user's own."""
    return Home(Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".gongshu").absolute())


def token_file() -> Path:
    """Return where `gongshu login` keeps the token of this home folder."""
    return home_folder().path / "run" / "session-token"


@contextmanager
def opened_node() -> "Iterator[Node]":
    """Yield the node of the home folder, opened beside a running one or alone, and close it.

    Raises: ConfigMissing, ConfigInvalid.
    """
    from gongshu.node import open_node

    node = open_node(home_folder())
    try:
        yield node
    finally:
        node.close()


def current_subject(node: "Node") -> "Subject":
    """Return who is signed in at this command line.

    Raises: NotSignedIn, or NotAuthenticated when the token is no longer valid.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token and token_file().is_file():
        token = token_file().read_text(encoding="utf-8").strip()
    if not token:
        raise NotSignedIn(variable=TOKEN_VARIABLE)
    return node.identity.subject_of(token)
