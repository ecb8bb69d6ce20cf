"""The edge of the command line: what went wrong becomes one line, and help shows examples that can be copied."""

import errno
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from gongshu.cli.output import complain, fail
from gongshu.errors import GongshuError, InvalidInput

WRONG_USE = 2
"""The exit status of a command that was not understood, as shells have it; 1 is a command that did not succeed."""
_EXAMPLE = re.compile(r"(?:\s+Example: |: )(gongshu .+?)\.?\s*$", re.DOTALL)


class FileUnusable(InvalidInput):
    """A file or folder that the command was given cannot be read or written."""

    code = "cli.file_unusable"
    template = "{what} cannot be used: {reason}. Name another one, or correct its permissions."


FILE_TROUBLE = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def run_command(app: Callable[..., Any]) -> NoReturn:
    """Run the command that the arguments name, and end the process with its status.

    Status 0 is success, 1 an error of ours with its code, 2 a command that was not understood, 130 Ctrl-C.
    """
    try:
        status = app(standalone_mode=False)
    except GongshuError as error:
        fail(error)
    except TyperException as error:
        _explain(error)
    except Abort:
        complain("Nothing was done.")
        sys.exit(1)
    except FILE_TROUBLE as cause:
        fail(FileUnusable(what=cause.filename or cause, reason=cause.strerror or "see there"))
    except OSError as cause:
        if cause.errno not in FULL:
            raise
        fail(FileUnusable(what=cause.filename or "The disk", reason=os.strerror(cause.errno)))
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: TyperException) -> NoReturn:
    context = getattr(error, "ctx", None)
    if context is None:
        complain(error.format_message())
    elif type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(context.get_help(), err=True)
    else:
        complain(f"{error.format_message().rstrip('.')}. See `{context.command_path} --help`.")
    sys.exit(WRONG_USE)


def plain_help(command: Any) -> Any:
    """Return the command with the example of its help, and of its subcommands', on a line that is not wrapped."""
    found = _EXAMPLE.search(command.help or "")
    if found:
        command.help = f"{command.help[: found.start()].rstrip('.')}.\n\n\b\nExample:\n  {' '.join(found[1].split())}"
    for below in getattr(command, "commands", {}).values():
        plain_help(below)
    return command
