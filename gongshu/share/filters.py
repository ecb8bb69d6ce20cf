"""What a catalogue request asks for: our own small filter and EDC's query object; anything else is refused. Pure.

The protocol leaves filters to implementations and asks for an error where one is not understood: a filter that was
ignored would show a partner more than it asked for, and let it take the first page for the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gongshu.share.dsp.messages import EDC_NAMESPACE
from gongshu.share.errors import MessageInvalid

Json = dict[str, Any]

PAGE = 50
"""Datasets a page, as other connectors have it."""
OFFSET_MAX = 1_000_000

_EDC = (EDC_NAMESPACE, "edc:")
_ID = ("id", "@id")
_TITLE = ("title", "dct:title", "http://purl.org/dc/terms/title")


@dataclass(frozen=True, slots=True)
class CatalogueFilter:
    """What a catalogue request asks for."""

    dataset_id: str = ""
    search: str = ""
    limit: int = PAGE
    offset: int = 0
    """Datasets to leave out before the first page; later pages go on from a place of their own."""


def read_filter(filters: Sequence[Any]) -> CatalogueFilter:
    """Return what a request's `filter` array asks for; what is not understood is refused, never ignored.

    Understood are `{"dataset": id}`, `{"search": text}`, and EDC's QuerySpec: limit, offset, and in `filterExpression`
    the conditions `id = …` and `title like %…%`, in compact or expanded names.

    >>> read_filter([{"@type": "QuerySpec", "offset": 50, "limit": 10}]).offset
    50

    Raises: MessageInvalid.
    """
    found: Json = {}
    for item in filters:
        if not isinstance(item, dict):
            raise _not_understood("an entry that is no object")
        for key, value in item.items():
            for name, meant in _read_entry(_bare(str(key)), _plain(value)).items():
                if found.setdefault(name, meant) != meant:
                    raise _not_understood(f"two different conditions on {name}")
    return CatalogueFilter(**found)


def _read_entry(key: str, value: Any) -> Json:
    if key in ("dataset", "search") and isinstance(value, str) and value:
        return {"dataset_id" if key == "dataset" else "search": value}
    if key == "limit" and _is_count(value) and value >= 1:
        return {"limit": min(value, PAGE)}
    if key == "offset" and _is_count(value) and value <= OFFSET_MAX:
        return {"offset": value}
    if key == "@type" and _bare(str(value)) == "QuerySpec":
        return {}
    if key in ("sortOrder", "sortField") and value in ("ASC", "id", None):
        return {}
    if key == "filterExpression":
        found: Json = {}
        for expression in value if isinstance(value, list) else [value]:
            found |= _read_expression(expression)
        return found
    raise _not_understood(key)


def _read_expression(expression: Any) -> Json:
    if isinstance(expression, Mapping):
        parts = {_bare(str(key)): _plain(value) for key, value in expression.items()}
        left, operator, right = (parts.pop(name, None) for name in ("operandLeft", "operator", "operandRight"))
        parts.pop("@type", None)
        if not parts and isinstance(left, str) and isinstance(right, str):
            if _bare(left) in _ID and operator == "=" and right:
                return {"dataset_id": right}
            if left in _TITLE and operator == "like" and right.strip("%"):
                return {"search": right.strip("%")}
    raise _not_understood("an expression of filterExpression")


def _bare(name: str) -> str:
    for prefix in _EDC:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _plain(value: Any) -> Any:
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(single, dict) and set(single) <= {"@value", "@id", "@type"} and len(single.keys() - {"@type"}) == 1:
        return single.get("@value", single.get("@id"))
    return single


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _not_understood(what: str) -> MessageInvalid:
    return MessageInvalid(
        what="CatalogRequestMessage", reason=f"its filter holds {what[:60]!r}, which is not understood"
    )
