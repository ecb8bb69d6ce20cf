"""Errors of packs.

InvalidInput ── PackBroken         a pack file cannot be used
NotFound ─┬── PackUnknown          no pack of this name, version or date
          └── PackItemUnknown      the pack has no such number or code
"""

from gongshu.errors import InvalidInput, NotFound, Retry


class PackBroken(InvalidInput):
    """A pack file cannot be used; no pack is loaded then, so that no number is silently missing."""

    code = "packs.broken"
    template = "The pack {file}, line {line}, cannot be used: {reason}. Correct that line and load again."


class PackUnknown(NotFound):
    """No such pack is installed, or none of its versions is in force."""

    code = "packs.unknown"
    retry = Retry.AFTER_FIX
    template = "No pack {name!r} ({wanted}) is installed. Installed: {installed}. See `gongshu standard list`."


class PackItemUnknown(NotFound):
    """The pack has no item of this key."""

    code = "packs.item_unknown"
    retry = Retry.AFTER_FIX
    template = "The pack {pack} has no item {key!r}. See `gongshu standard show {name}`."
