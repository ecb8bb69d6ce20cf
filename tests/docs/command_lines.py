"""Reads `gongshu …` lines in documents and says whether the command line knows them: command, subcommand, options."""

import re
import shlex
from importlib import import_module
from typing import Any

import typer

from gongshu.cli import COMMANDS, root

OPTIONS_OF_ALL = {"--help"}


def command_tree() -> dict[tuple[str, ...], Any]:
    """Return every command that can be run, by its words after `gongshu`."""
    found: dict[tuple[str, ...], Any] = {}
    for name, (module, _) in COMMANDS.items():
        command = typer.main.get_command(import_module(module).app)
        below = getattr(command, "commands", None)
        if below is None:
            found[(name,)] = command
        else:
            found |= {(name, part): each for part, each in below.items()}
    return found


def fault_of(line: str, tree: dict[tuple[str, ...], Any]) -> str:
    """Return what is wrong with a line that begins with `gongshu`, or an empty text.

    What stands behind `|`, `>`, `&&`, `·` or `;` is another command, what stands behind two spaces is a remark: neither
    is looked at. Values are not judged.
    """
    words = _words(re.split(r"\s{2,}", line)[0])[1:]
    of_root = _options(typer.main.get_command(root)) | OPTIONS_OF_ALL
    while words and words[0].startswith("-"):
        option = words.pop(0).partition("=")[0]
        if option not in of_root:
            return f"gongshu has no option {option}"
        if option == "--home" and words:
            words.pop(0)
    if not words:
        return ""
    path = next((p for p in (tuple(words[:2]), tuple(words[:1])) if p in tree), None)
    if path is None:
        is_group = len(words) == 1 and words[0] in {p[0] for p in tree}
        return "" if is_group else f"there is no command {' '.join(words[:2])!r}"
    known = _options(tree[path]) | OPTIONS_OF_ALL
    given = [word.partition("=")[0] for word in words[len(path) :] if word.startswith("--")]
    unknown = [option for option in given if option not in known]
    return f"{' '.join(path)} has no option {', '.join(unknown)}" if unknown else ""


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words = []
    for word in lexer:
        if word[0] in "|&;<>·":
            break
        words.append(word)
    return words
