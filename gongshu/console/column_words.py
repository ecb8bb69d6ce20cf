"""The columns of an offered dataset in plain words: a catalogue's description names their SQL types."""

import re
from typing import TYPE_CHECKING

from gongshu.model.dataset import Column

if TYPE_CHECKING:
    from gongshu.console.frame import View

TYPES = {
    "VARCHAR": "column_type.text",
    "BOOLEAN": "column_type.boolean",
    "BLOB": "column_type.bytes",
    "DATE": "column_type.date",
    "TIME": "column_type.time",
    "TIMESTAMP": "column_type.moment",
    "TIMESTAMP WITH TIME ZONE": "column_type.moment",
    "INTERVAL": "column_type.span",
    "DOUBLE": "column_type.decimal",
    "FLOAT": "column_type.decimal",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "column_type.whole"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), "column_type.whole"),
}
_NAMES = "|".join(sorted(TYPES, key=len, reverse=True))
_COLUMN = re.compile(rf"(\S.*?) (?:({_NAMES})|DECIMAL\(\d+,\d+\))((?:\[\])?)(?: \[([^\]]*)\])?")


def describe_columns(view: "View", description: str) -> str:
    """Return a description with its types in words and its units as people write them.

    Only one that names a type beside each of its columns, as this software writes it, is changed; the last column may
    have been cut. Other connectors describe in words of their own, which stay.
    """
    parts = description.split(", ")
    found = [_COLUMN.fullmatch(part) for part in parts]
    if not found[0] or not all(found[:-1]):
        return description
    return view.join(_say(view, each) if each else part for part, each in zip(parts, found, strict=True))


def describe_column(view: "View", column: Column) -> str:
    """Return a column's name with its type in a word and its unit; the name alone where the type is not known."""
    found = _COLUMN.fullmatch(f"{column.name} {column.type}" + (f" [{column.unit}]" if column.unit else ""))
    return _say(view, found) if found else column.name


def _say(view: "View", column: re.Match[str]) -> str:
    name, kind, is_list, unit = column.groups()
    said = view.t(TYPES[kind]) if kind else view.t("column_type.decimal")
    said = view.t("column_type.list", of=said) if is_list else said
    return f"{name} ({said} {view.unit(unit)})" if unit else f"{name} ({said})"
