"""The worker's own look at the SQL: a single SELECT over the names it was given, and nothing that reads elsewhere.

The gate's guard has rewritten the text before; this one trusts nobody. It judges DuckDB's own parse of the text, so
both understand the same thing. Pure.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "generate_subscripts"})
"""Table functions that compute and read nothing."""
FORBIDDEN_FUNCTIONS = frozenset(
    {"current_setting", "write_log", "getvariable", "getenv", "txid_current", "current_query", "nextval", "currval"}
)
"""Scalar functions that tell of the engine, or leave something in it."""
_PLAIN_NAME = re.compile(r"\w+")


def find_escape(parsed: Mapping[str, Any], *, names: Collection[str], reserved: Collection[str]) -> str | None:
    """Return why the statement reaches beyond the relations `names`, or None if it does not.

    `parsed` is the answer of DuckDB's `json_serialize_sql`. Names are compared without case, as DuckDB does. A common
    table expression may not take a name of `reserved` (what exists in the engine besides `names`): outside its scope
    that name would mean the engine's own.
    """
    if parsed.get("error"):
        return "only a SELECT can run"
    statements = parsed.get("statements", [])
    if len(statements) != 1:
        return "exactly one SELECT can run at a time"
    given = {name.lower() for name in names}
    own = {name.lower() for name in _cte_names(statements[0])} - given
    if bad := sorted(name for name in own if name in reserved or not _PLAIN_NAME.fullmatch(name)):
        return f"{bad[0]!r} cannot name a part of a query"
    known = given | own
    for node in _nodes(statements[0]):
        if (reason := _node_escape(node, known)) is not None:
            return reason
    return None


def _node_escape(node: Mapping[str, Any], known: Collection[str]) -> str | None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        path: Sequence[str] = node.get("qualified_name", {}).get("path") or [node.get("table_name", "")]
        if len(path) != 1 or path[0].lower() not in known:
            return f"{'.'.join(path)!r} is not a table it was given"
    if kind == "TABLE_FUNCTION":
        function = node.get("function", {}).get("function_name", "")
        if function.lower() not in TABLE_FUNCTIONS:
            return f"the table function {function!r} is not allowed"
    if kind == "SHOW_REF":
        return "only a SELECT can run"
    if node.get("class") == "FUNCTION" and node.get("function_name", "").lower() in FORBIDDEN_FUNCTIONS:
        return f"the function {node['function_name']!r} is not allowed"
    return None


def _cte_names(tree: Any) -> Iterator[str]:
    for node in _nodes(tree):
        entries = node.get("cte_map", {}).get("map", []) if isinstance(node.get("cte_map"), dict) else []
        for entry in entries:
            yield entry["key"]


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
