"""Units as people write them, from the codes that data carry."""

import re

from gongshu.packs import Packs

_PLAIN = re.compile(r"[A-Za-z%/]+")
_NOTE = re.compile(r"\{([^}]*)\}")


def unit_text(code: str, packs: Packs) -> str:
    """Return the sign of a UCUM code where the pack knows a better one; anything else as it is, without braces.

    The pack lists other spellings of each unit, its usual sign first.
    Source: UCUM §6 (annotations in braces carry no meaning).
    """
    if code in {"", "1"}:
        return ""
    for item in packs.get("ucum").under("unit"):
        aliases = item.value["aliases"]
        if item.value["code"] == code and aliases:
            is_odd = not _PLAIN.fullmatch(code) or not aliases[0].isascii()
            return str(aliases[0]) if is_odd else code
    return _NOTE.sub(r"\1", code)
