"""Reads one query: only what is listed passes, every dataset it names is found, and it is written anew. Pure."""

import re
from collections.abc import Mapping

from sqlglot import exp, parse
from sqlglot.errors import ParseError, TokenError

from gongshu.secure.guard.aggregate import aggregate_fault, with_group_min
from gongshu.secure.guard.functions import FUNCTIONS
from gongshu.secure.guard.nodes import ALLOWED
from gongshu.secure.guard.predicate import UNREADABLE, node_fault
from gongshu.secure.guard.write import words_fault, write_sql

SQL_LENGTH_MAX = 100_000
NODES_MAX = 20_000
_DATASET = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TABLE_PARTS = frozenset({"this", "alias", "joins"})
_MARK = "gs_source"


class StatementUnreadable(ValueError):
    """Not one SQL statement; internal, the gate translates it."""


class GuardRefused(ValueError):
    """SQL that the guard does not let through; internal, the gate translates it."""


class Statement:
    """A query that passed the guard."""

    def __init__(self, tree: exp.Expr) -> None:
        self._tree = tree
        with_names = {str(cte.alias).lower() for cte in tree.find_all(exp.CTE)}
        self._tables = [table for table in tree.find_all(exp.Table) if table.name.lower() not in with_names]
        self.datasets: tuple[str, ...] = tuple(dict.fromkeys(table.name.lower() for table in self._tables))
        """The dataset names that the query reads, each once, in the order of their appearance."""

    @property
    def text(self) -> str:
        """The query as it was understood, with the datasets' names and without comments."""
        return _written(self._tree)

    @property
    def aggregate_fault(self) -> str | None:
        """Why the query gives more than figures over groups of rows; None if it gives figures alone."""
        return aggregate_fault(self._tree)

    def with_group_min(self, group_min: int) -> "Statement":
        """Return the query without groups of fewer rows; it must give figures alone."""
        return Statement(with_group_min(self._tree, group_min))

    def names_any(self, columns: frozenset[str]) -> bool:
        """True if the query could touch one of the columns: it names it somewhere, or takes columns unnamed."""
        for node in self._tree.walk():
            if isinstance(node, exp.Identifier) and node.name.lower() in columns:
                return True
            if isinstance(node, exp.Columns) or (isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count)):
                return True
            if isinstance(node, exp.Join) and node.method == "NATURAL":
                return True
            if isinstance(node, exp.Column) and self._is_whole_row(node):
                return True
        return False

    def write(self, sources: Mapping[str, str]) -> str:
        """Return the query with each dataset replaced by the SQL of `sources`, which must name all of them.

        The replacement stands in parentheses under the name by which the query calls it.
        Raises: GuardRefused if the written text holds a word that is not listed.
        """
        start = _unused(f"{_MARK}_", self.text)
        marks = {name: f"{start}{number}" for number, name in enumerate(self.datasets)}
        tree = self._tree.copy()
        _name_columns(tree)
        with_names = {str(cte.alias).lower() for cte in tree.find_all(exp.CTE)}
        for table in list(tree.find_all(exp.Table)):
            name = table.name.lower()
            if name in with_names:
                continue
            alias = table.alias or table.name
            table.set("this", exp.to_identifier(marks[name], quoted=True))
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        sql = _written(tree)
        pattern = re.compile("|".join(re.escape(f'"{mark}"') for mark in marks.values()) or r"(?!)")
        by_mark = {f'"{mark}"': f"({sources[name]})" for name, mark in marks.items()}
        return pattern.sub(lambda match: by_mark[match.group()], sql)

    def _is_whole_row(self, column: exp.Column) -> bool:
        called = {str(table.alias_or_name).lower() for table in self._tree.find_all(exp.Table, exp.Subquery)}
        return not column.table and column.name.lower() in called


def parse_statement(sql: str) -> Statement:
    """Return the query if everything in it is listed.

    Raises: StatementUnreadable if it is not one SQL statement; GuardRefused with what is not allowed.
    """
    if len(sql) > SQL_LENGTH_MAX or "\x00" in sql:
        raise StatementUnreadable(f"it is longer than {SQL_LENGTH_MAX} characters or holds a zero byte")
    try:
        trees = parse(sql, dialect="duckdb")
    except (ParseError, TokenError) as cause:
        raise StatementUnreadable(_place(cause)) from cause
    except UNREADABLE as cause:
        raise StatementUnreadable("it is not SQL") from cause
    if len(trees) != 1 or trees[0] is None:
        raise StatementUnreadable("it is not exactly one statement")
    tree: exp.Expr = trees[0]
    _require_listed(tree)
    words = words_fault(_written(tree), FUNCTIONS)
    if words:
        raise GuardRefused(f"{words} is not allowed")
    return Statement(tree)


def is_dataset_name(name: str) -> bool:
    """True if a dataset can have this id.

    >>> is_dataset_name("plant_mill_0"), is_dataset_name("file.csv")
    (True, False)
    """
    return _DATASET.fullmatch(name) is not None


def _require_listed(tree: exp.Expr) -> None:
    if not isinstance(tree, exp.Query):
        raise GuardRefused(f"{type(tree).__name__.upper()} is not a query")
    for number, node in enumerate(tree.walk()):
        if number > NODES_MAX:
            raise GuardRefused("it has too many parts")
        if fault := node_fault(node, ALLOWED):
            raise GuardRefused(f"{fault} is not allowed")
        if isinstance(node, exp.Table):
            _require_plain_table(node)
        if isinstance(node, exp.TableAlias) and node.args.get("columns"):
            raise GuardRefused("a table's alias cannot rename columns; rename them in the SELECT")
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise GuardRefused("WITH RECURSIVE is not allowed")
        if isinstance(node, exp.Identifier) and node.name.lower().startswith((f"{_MARK}_", "_r")):
            raise GuardRefused(f"names that begin with {node.name[:2]!r} are kept for the gate")
        if isinstance(node, exp.Select) and any(node.args.get(part) for part in ("into", "locks", "hint", "kind")):
            raise GuardRefused("a SELECT with INTO, FOR, hints or AS STRUCT is not allowed")


def _require_plain_table(table: exp.Table) -> None:
    extra = [part for part, value in table.args.items() if value and part not in _TABLE_PARTS]
    if extra or not isinstance(table.this, exp.Identifier):
        raise GuardRefused("only a dataset's name can stand in FROM")
    if not is_dataset_name(table.name.lower()):
        raise GuardRefused(f"{table.name[:80]!r} is not a dataset's name")


def _name_columns(tree: exp.Expr) -> None:
    """Name each unnamed column that holds a query by its own text: the engine would name it by what stands for the
    datasets, keys of masks and row filters with it."""
    for select in list(tree.find_all(exp.Select)):
        for column in list(select.expressions):
            is_named = isinstance(column, exp.Alias) or (isinstance(column, exp.Subquery) and bool(column.alias))
            if is_named or column.find(exp.Table) is None:
                continue
            named = exp.Alias(alias=exp.to_identifier(_written(column), quoted=True))
            column.replace(named)
            named.set("this", column)


def _unused(start: str, text: str) -> str:
    """Lengthen `start` until the text holds it nowhere: a string or a quoted name in it could spell a mark out."""
    while start in text:
        start += "_"
    return start


def _written(tree: exp.Expr) -> str:
    try:
        return write_sql(tree)
    except UNREADABLE as cause:
        raise GuardRefused("the engine has no such expression") from cause


def _place(cause: ParseError | TokenError) -> str:
    details = getattr(cause, "errors", None)
    if details:
        return f"near line {details[0].get('line')}, column {details[0].get('col')}"
    return "it cannot be split into words"
