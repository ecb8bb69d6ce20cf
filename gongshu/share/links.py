"""Pages of a catalogue in the Link header (RFC 8288): read from others, written for them. Pure."""

import re
from collections.abc import Mapping

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*!-]+\s*=\s*(?:\"[^\"]*\"|[^\s\",;]+))*)")
_RELATION = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\",;]+))", re.IGNORECASE)
_NAMES = {"prev": "previous"}
"""What EDC writes, and what the protocol says."""
HEADER_MAX = 16_384


def read_links(header: str) -> dict[str, str]:
    """Return the address of each relation, the first one where it comes twice.

    >>> read_links('<http://a/c?p=1>; rel="prev", <http://a/c?p=3,4>; title="x"; rel="next last"')["next"]
    'http://a/c?p=3,4'
    """
    found: dict[str, str] = {}
    for target, parameters in _LINK.findall(header[:HEADER_MAX]):
        relation = _RELATION.search(parameters)
        words = (relation[1] or relation[2] or "").lower().split() if relation else []
        for word in words:
            found.setdefault(_NAMES.get(word, word), target)
    return found


def write_links(links: Mapping[str, str]) -> str:
    """Return the header for these relations; empty where there are none.

    >>> write_links({"next": "http://a/c?p=2", "previous": ""})
    '<http://a/c?p=2>; rel="next"'
    """
    return ", ".join(f'<{target}>; rel="{relation}"' for relation, target in links.items() if target)
