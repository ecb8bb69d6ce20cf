"""Topics: patterns with named levels, and the names of Sparkplug. Pure.

Source: MQTT 5.0 §4.7 (topic names and filters); Sparkplug 3.0 §4.1 (namespace).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

NAMESPACE = "spBv1.0"
_LEVEL = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
REST = "rest"


@dataclass(frozen=True, slots=True)
class SparkplugTopic:
    """A message of an edge node or of one of its devices."""

    group: str
    kind: str
    """NBIRTH, NDEATH, NDATA, DBIRTH, DDEATH or DDATA."""
    node: str
    device: str
    """Empty for the node itself."""


def check_pattern(pattern: str) -> set[str]:
    """Return the names of a pattern's levels. Raises: ValueError if it is none."""
    levels = pattern.split("/")
    names: list[str] = []
    for position, level in enumerate(levels):
        if match := _LEVEL.fullmatch(level):
            names.append(match[1])
            if match[1] == REST and position != len(levels) - 1:
                raise ValueError("`{rest}` can only be the last level of a topic")
        elif level not in ("+",) and set(level) & set("+#{}"):
            raise ValueError(f"the level {level!r} is neither a text, nor +, nor one name in braces")
    if not pattern or len(names) != len(set(names)):
        raise ValueError("a topic needs levels, and a name stands in it once")
    return set(names)


def filter_of(pattern: str) -> str:
    """Return the MQTT filter of a pattern.

    >>> filter_of("plant/{line}/{rest}")
    'plant/+/#'
    """
    levels = ["#" if level == "{rest}" else "+" if _LEVEL.fullmatch(level) else level for level in pattern.split("/")]
    return "/".join(levels)


def match_topic(pattern: str, topic: str) -> Mapping[str, str] | None:
    """Return the named levels of a topic that fits the pattern, else None.

    >>> match_topic("plant/{line}/{name}", "plant/l1/load")
    {'line': 'l1', 'name': 'load'}
    """
    found = _compiled(pattern).fullmatch(topic)
    return None if found is None else found.groupdict()


def parse_sparkplug(topic: str) -> SparkplugTopic | None:
    """Return what a Sparkplug topic says; None for STATE, commands, and what is no Sparkplug."""
    match topic.split("/"):
        case [namespace, group, ("NBIRTH" | "NDEATH" | "NDATA") as kind, node]:
            device = ""
        case [namespace, group, ("DBIRTH" | "DDEATH" | "DDATA") as kind, node, device]:
            pass
        case _:
            return None
    if namespace != NAMESPACE or not group or not node:
        return None
    return SparkplugTopic(group, kind, node, device)


def state_topic(host_id: str) -> str:
    """Return where a host application says that it is there. Source: Sparkplug 3.0 §4.5.5."""
    return f"{NAMESPACE}/STATE/{host_id}"


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "re.Pattern[str]":
    levels = []
    for level in pattern.split("/"):
        name = _LEVEL.fullmatch(level)
        if name and name[1] == REST:
            levels.append("(?P<rest>.+)")
        elif name:
            levels.append(f"(?P<{name[1]}>[^/]+)")
        else:
            levels.append("[^/]+" if level == "+" else re.escape(level))
    return re.compile("/".join(levels))
