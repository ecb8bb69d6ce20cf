"""Texts of others on a screen: a terminal obeys some characters instead of showing them. Pure."""

import re

STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and those that turn the direction of writing."""


def plain(text: str) -> str:
    r"""Return a text with numbers for what would steer a terminal; within JSON they mean the same.

    >>> plain("a\x1b[2J"), plain("轴\u3000承\n")
    ('a\\u001b[2J', '轴\u3000承\n')
    """
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_plain_line(text: str) -> bool:
    """True if a text stands in one line and looks like what it is."""
    return not STEERING.search(text) and "\n" not in text and "\t" not in text
