"""Does a query give figures over groups of rows and no row as it is? Pure.

The list is short on purpose: what is not on it counts as giving rows. `min`, `max` and the like return the value of one
row, so they are not on it; figures are of plain columns, because `sum(CASE WHEN …)` could single one row out.
"""

from sqlglot import exp

_FIGURES = (exp.Count, exp.Sum, exp.Avg, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.Paren, exp.Cast, exp.Round)
_COMPARISONS = (
    *(exp.Ordered, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.Between, exp.In, exp.Is, exp.Like, exp.ILike),
)
_TRUNCATED = (exp.TimestampTrunc, exp.DateTrunc)
_CLAUSES = frozenset({"expressions", "from_", "from", "where", "group", "having", "order", "limit", "offset"})


def aggregate_fault(tree: exp.Expr) -> str | None:
    """Return why a query gives more than figures over groups of one dataset, None if it does not.

    >>> from sqlglot import parse_one
    >>> aggregate_fault(parse_one("SELECT part, avg(x) FROM d GROUP BY part", dialect="duckdb"))
    >>> aggregate_fault(parse_one("SELECT part FROM d", dialect="duckdb"))
    "'part' is no figure and no key of a group"
    """
    if not isinstance(tree, exp.Select):
        return "it is more than one SELECT"
    if extra := sorted(name for name, value in tree.args.items() if value and name not in _CLAUSES):
        return f"it uses {extra[0].rstrip('_').upper()}"
    if sum(1 for _ in tree.find_all(exp.Select)) != 1 or sum(1 for _ in tree.find_all(exp.Table)) != 1:
        return "it reads more than one dataset, or holds a query in a query"
    group = tree.args.get("group")
    keys = list(group.expressions) if group is not None else []
    if group is not None and (not keys or not all(_is_key(key) for key in keys) or len(_given(group)) != 1):
        return "it groups by more than columns and truncated times"
    known = {_text(key) for key in keys}
    outputs = [column.this if isinstance(column, exp.Alias) else column for column in tree.expressions]
    for column, bare in zip(tree.expressions, outputs, strict=True):
        if _text(bare) not in known and not _is_figure(bare):
            return f"{column.alias_or_name or 'a column'!r} is no figure and no key of a group"
    if group is None and not any(map(_is_figure, outputs)):
        return "it is not grouped and asks for no figure"
    return _ordering_fault(tree, known)


def with_group_min(tree: exp.Expr, group_min: int) -> exp.Expr:
    """Return the query without groups in which a figure stands on fewer rows than `group_min`.

    >>> from sqlglot import parse_one
    >>> with_group_min(parse_one("SELECT avg(x) FROM d"), 5).sql()
    'SELECT AVG(x) FROM d HAVING COUNT(*) >= 5 AND COUNT(x) >= 5'
    """
    assert isinstance(tree, exp.Select), "aggregate_fault was asked before"
    columns = {_text(c): c for figure in tree.find_all(*_FIGURES) for c in figure.find_all(exp.Column)}
    counts = [exp.Count(this=exp.Star()), *(exp.Count(this=columns[name].copy()) for name in sorted(columns))]
    enough = [exp.GTE(this=count, expression=exp.Literal.number(group_min)) for count in counts]
    kept = tree.copy()
    assert isinstance(kept, exp.Select)
    return kept.having(*enough, copy=False)


def _ordering_fault(tree: exp.Select, known: set[str]) -> str | None:
    """What HAVING and ORDER BY compare tells about values too: keys, figures and names of the output alone.

    A name of the output may be that of a column, so it stands for the output only where the engine reads it so: outside
    of every function, filter and window. Those are no comparison, and so refused.
    """
    named = known | {_text(exp.column(column.alias, quoted=True)) for column in tree.expressions if column.alias}
    named |= {_text(exp.column(column.alias)) for column in tree.expressions if column.alias}
    for clause in ("having", "order"):
        part = tree.args.get(clause)
        if part is not None and not all(_is_compared(child, named) for child in part.iter_expressions()):
            return f"{clause.upper()} asks for single values"
    return None


def _is_compared(node: exp.Expr, named: set[str]) -> bool:
    """True for names of groups and outputs, figures, and comparisons of such."""
    if _text(node) in named or _is_figure(node) or isinstance(node, (exp.Boolean, exp.Null)):
        return True
    if not isinstance(node, (*_COMPARISONS, *_ARITHMETIC)):
        return False
    return all(_is_compared(child, named) or isinstance(child, exp.DataType) for child in node.iter_expressions())


def _is_figure(node: exp.Expr | None) -> bool:
    """True for a listed aggregate of one plain column or of all rows, and for arithmetic of such."""
    if isinstance(node, _FIGURES):
        argument = node.this
        if isinstance(node, exp.Count) and isinstance(argument, exp.Distinct) and len(argument.expressions) == 1:
            argument = argument.expressions[0]
        is_plain = isinstance(argument, exp.Column) or (isinstance(node, exp.Count) and isinstance(argument, exp.Star))
        return is_plain and not node.expressions
    if isinstance(node, exp.Literal):
        return True
    if not isinstance(node, _ARITHMETIC):
        return False
    return all(_is_figure(child) or isinstance(child, exp.DataType) for child in node.iter_expressions())


def _is_key(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) or (isinstance(node, _TRUNCATED) and isinstance(node.this, exp.Column))


def _given(node: exp.Expr) -> list[str]:
    return [name for name, value in node.args.items() if value]


def _text(node: exp.Expr) -> str:
    return node.sql("duckdb").lower()
