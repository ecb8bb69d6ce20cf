"""Reads a condition on one row: the row filter of a policy, the `where` of a dataset query. Pure."""

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from gongshu.secure.guard.functions import SCALARS
from gongshu.secure.guard.nodes import IN_PREDICATE, TYPES
from gongshu.secure.guard.write import words_fault, write_sql

PREDICATE_LENGTH_MAX = 2000
UNREADABLE = (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, LookupError)
"""What the parser raises on text that is no SQL; all of it means that the text is refused."""


class PredicateInvalid(ValueError):
    """Not a condition on one row; internal, callers translate it."""


def parse_predicate(text: str) -> exp.Expr:
    """Return the condition as a tree; it names columns without a table and calls listed scalar functions only.

    Raises: PredicateInvalid.
    """
    if len(text) > PREDICATE_LENGTH_MAX or "\x00" in text:
        raise PredicateInvalid(f"a condition has at most {PREDICATE_LENGTH_MAX} characters")
    try:
        trees = parse(text, dialect="duckdb")
    except UNREADABLE as cause:
        raise PredicateInvalid(f"{text!r} is not a condition that can be read") from cause
    if len(trees) != 1 or trees[0] is None:
        raise PredicateInvalid("a condition is one expression")
    for node in trees[0].walk():
        if fault := node_fault(node, IN_PREDICATE):
            raise PredicateInvalid(f"{fault} cannot stand in a condition")
        if isinstance(node, exp.Column) and (node.table or node.args.get("db")):
            raise PredicateInvalid("columns stand without a table's name in a condition")
        if isinstance(node, exp.AggFunc):
            raise PredicateInvalid(f"{type(node).__name__} looks at more than one row")
    try:
        fault = words_fault(write_sql(trees[0]), SCALARS)
    except UNREADABLE as cause:
        raise PredicateInvalid(f"{text!r} cannot be written for the engine") from cause
    if fault:
        raise PredicateInvalid(f"{fault} cannot stand in a condition")
    tree: exp.Expr = trees[0]
    return tree


def columns_of(tree: exp.Expr) -> frozenset[str]:
    """Return the lower-cased names of the columns in the tree."""
    return frozenset(column.name.lower() for column in tree.find_all(exp.Column))


def node_fault(node: exp.Expr, allowed: frozenset[str]) -> str | None:
    """Return the name of what is not allowed about one node, or None."""
    name = type(node).__name__
    if name not in allowed:
        return name
    if isinstance(node, exp.DataType) and node.this.name not in TYPES:
        return f"the type {node.this.name}"
    if isinstance(node, exp.Column) and (node.args.get("db") or node.args.get("catalog")):
        return "a column name of more than two parts"
    return None
