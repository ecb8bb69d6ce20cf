"""The indicators of table datasets: one pass of the engine counts them all. Cell values never leave the engine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gongshu.govern.naming import split_identifier
from gongshu.govern.quality.expectations import Expectation, ExpectationKind
from gongshu.govern.quality.model import Finding, Measure
from gongshu.govern.quality.scoring import is_low_better
from gongshu.govern.quality.series_facts import Queryable
from gongshu.lake import Relation, TableRelation
from gongshu.model.dataset import Column, Dataset
from gongshu.packs import Pack

KEY_WORDS = frozenset({"id", "no", "number", "code", "bianhao", "编号", "编码", "单号", "订单号", "代码"})
TEXT = "VARCHAR"


@dataclass(frozen=True, slots=True)
class TableMatter:
    """Everything the rules may look at."""

    dataset: Dataset
    expectations: Sequence[Expectation]
    references: Mapping[str, str]
    """Lake table of each dataset that an expectation refers to."""
    lake_columns: frozenset[str]
    limits: Pack
    standard: Pack


def judge_table(lake: Queryable, matter: TableMatter) -> tuple[int, list[Measure]]:
    """Return the number of rows and a measure for each rule; what could not be judged says why.

    Cost: a few passes over the table, in the query worker.
    """
    table = matter.dataset.table
    assert table is not None
    readable = [column for column in matter.dataset.columns if column.name in matter.lake_columns]
    counts = _count(lake, table, readable)
    rows = int(counts["n"])
    return rows, [
        _present(matter, readable, counts, rows),
        _formats(lake, matter, table, readable, counts),
        _duplicates(lake, matter, table, readable, rows),
        _keys(matter, readable, counts, rows),
        *_expected(lake, matter, table),
        _named(matter),
        _readable(matter, readable),
    ]


def _count(lake: Queryable, table: str, columns: Sequence[Column]) -> dict[str, Any]:
    asked = ["count(*) AS n"]
    for at, column in enumerate(columns):
        name = quoted(column.name)
        asked += [f"count({name}) AS p{at}", f"count(DISTINCT {name}) AS d{at}"]
        if column.type == TEXT:
            asked += [
                f"count(try_cast(trim({name}) AS DOUBLE)) AS x{at}",
                f"count(try_cast(trim({name}) AS TIMESTAMP)) AS t{at}",
            ]
    return _one(lake, f"SELECT {', '.join(asked)} FROM t", {"t": TableRelation(table)})


def _present(m: TableMatter, columns: Sequence[Column], counts: Mapping[str, Any], rows: int) -> Measure:
    findings = tuple(
        Finding("cell.present", "0201", column.name, missing, (), "单元格为空", "Cells without a value")
        for at, column in enumerate(columns)
        if (missing := rows - counts[f"p{at}"])
    )
    given = sum(int(counts[f"p{at}"]) for at in range(len(columns)))
    return _measure(
        m, "0201", "cell.present", given, rows * len(columns), findings, ("表中没有行", "There are no rows")
    )


def _formats(
    lake: Queryable, m: TableMatter, table: str, columns: Sequence[Column], counts: Mapping[str, Any]
) -> Measure:
    """A text column that nearly always reads as a number or a time should always do so."""
    share = float(m.limits.value("format.ratio_min"))
    a = b = 0
    findings = []
    for at, column in enumerate(columns):
        given = int(counts[f"p{at}"])
        if column.type != TEXT or not given:
            continue
        kind, held = max((("DOUBLE", int(counts[f"x{at}"])), ("TIMESTAMP", int(counts[f"t{at}"]))), key=lambda k: k[1])
        if held < share * given:
            continue
        a, b = a + held, b + given
        if held < given:
            name = quoted(column.name)
            broken = f"{name} IS NOT NULL AND try_cast(trim({name}) AS {kind}) IS NULL"
            findings.append(
                Finding(
                    "cell.format",
                    "0302",
                    column.name,
                    given - held,
                    _row_numbers(lake, m, table, broken),
                    "与本列其余取值的格式不同" if kind == "DOUBLE" else "不是有效的日期或时间",
                    "Not of the format of the column's other values",
                )
            )
    none = ("没有以文本保存的数或日期列", "No text column holds numbers or dates")
    return _measure(m, "0302", "cell.format", a, b, tuple(findings), none)


def _duplicates(lake: Queryable, m: TableMatter, table: str, columns: Sequence[Column], rows: int) -> Measure:
    names = ", ".join(quoted(column.name) for column in columns)
    sql = f"SELECT coalesce(sum(k - 1), 0) AS n FROM (SELECT count(*) AS k FROM t GROUP BY {names})"
    repeated = int(_one(lake, sql, {"t": TableRelation(table)})["n"]) if rows else 0
    text = ("整行重复", "Rows that repeat another row in every column")
    findings = (Finding("row.duplicate", "0303", "*", repeated, (), *text),) if repeated else ()
    return _measure(m, "0303", "row.duplicate", repeated, rows, findings, ("表中没有行", "There are no rows"))


def _keys(m: TableMatter, columns: Sequence[Column], counts: Mapping[str, Any], rows: int) -> Measure:
    """The first identifier column that is nearly unique is taken for the key, and has to be unique."""
    declared = {e.part for e in m.expectations if e.kind is ExpectationKind.UNIQUE}
    share = float(m.limits.value("unique.ratio_min"))
    keys = [at for at, column in enumerate(columns) if column.name in declared]
    if not keys:
        candidates = (at for at, c in enumerate(columns) if KEY_WORDS & set(split_identifier(c.name)))
        keys = [at for at in candidates if rows and counts[f"d{at}"] >= share * rows][:1]
    findings = tuple(
        Finding(
            "key.unique",
            "0304",
            columns[at].name,
            repeated,
            (),
            "编号重复",
            "An identifier stands more than once",
        )
        for at in keys
        if (repeated := int(counts[f"p{at}"]) - int(counts[f"d{at}"]))
    )
    a, b = sum(int(counts[f"d{at}"]) for at in keys), sum(int(counts[f"p{at}"]) for at in keys)
    none = ("没有可作主键的编号列", "No column looks like a key, and none is declared")
    return _measure(m, "0304", "key.unique", a, b, findings, none)


def _expected(lake: Queryable, m: TableMatter, table: str) -> Iterable[Measure]:
    """Rules that somebody declared: codes, bounds, references."""
    for expectation in m.expectations:
        if expectation.part not in m.lake_columns:
            continue
        name = quoted(expectation.part)
        relations: dict[str, Relation] = {"t": TableRelation(table)}
        match expectation.kind:
            case ExpectationKind.CODES:
                codes = ", ".join(literal(code) for code in expectation.spec["codes"])
                indicator, broken = "0105", f"CAST({name} AS VARCHAR) NOT IN ({codes})"
                text = ("取值不在代码表内", "The value is not in the code list")
            case ExpectationKind.BOUNDS:
                low, high = expectation.spec.get("low"), expectation.spec.get("high")
                sides = [f"{name} < {low!r}"] * (low is not None) + [f"{name} > {high!r}"] * (high is not None)
                indicator, broken = "0301", " OR ".join(sides) or "false"
                text = ("值超出声明的范围", "The value is outside the declared range")
            case ExpectationKind.REFERENCE if expectation.spec["dataset"] in m.references:
                relations["u"] = TableRelation(m.references[expectation.spec["dataset"]])
                other = quoted(expectation.spec["column"])
                indicator, broken = "0402", f"{name} NOT IN (SELECT {other} FROM u WHERE {other} IS NOT NULL)"
                text = ("在被引用的数据集中找不到", "Not found in the dataset it refers to")
            case _:
                continue
        rule_id = f"declared.{expectation.kind.value}"
        sql = f"SELECT count({name}) AS b, count(*) FILTER ({name} IS NOT NULL AND ({broken})) AS k FROM t"
        found = _one(lake, sql, relations)
        b, k = int(found["b"]), int(found["k"])
        finding = Finding(rule_id, indicator, expectation.part, k, (), *text)
        none = ("该列没有取值", "The column has no value")
        yield _measure(m, indicator, rule_id, b - k, b, (finding,) if k else (), none)


def _named(m: TableMatter) -> Measure:
    columns = m.dataset.columns
    unnamed = [c.name for c in columns if not c.name.strip() or c.name.lower().startswith(("unnamed", "column_"))]
    text = ("列没有名称", "The column has no name of its own")
    findings = tuple(Finding("metadata.named", "0103", name, 1, (), *text) for name in unnamed)
    none = ("没有列", "There are no columns")
    return _measure(m, "0103", "metadata.named", len(columns) - len(unnamed), len(columns), findings, none)


def _readable(m: TableMatter, readable: Sequence[Column]) -> Measure:
    gone = [column.name for column in m.dataset.columns if column.name not in m.lake_columns]
    text = ("登记的列在存储中不存在", "A registered column is not in the store")
    findings = tuple(Finding("access.readable", "0601", name, 1, (), *text) for name in gone)
    none = ("没有列", "There are no columns")
    return _measure(m, "0601", "access.readable", len(readable), len(m.dataset.columns), findings, none)


def _row_numbers(lake: Queryable, m: TableMatter, table: str, broken: str) -> tuple[str, ...]:
    """Return the numbers, from 1 in stored order, of the first rows that break a rule."""
    sample = int(m.limits.value("findings.sample_max"))
    sql = f"SELECT k FROM (SELECT row_number() OVER () AS k, * FROM t) WHERE {broken} ORDER BY k LIMIT {sample}"
    with lake.query(sql, {"t": TableRelation(table)}) as result:
        return tuple(f"row {k}" for k in result.read_all().column("k").to_pylist())


def _measure(
    m: TableMatter,
    indicator: str,
    rule_id: str,
    a: int,
    b: int,
    findings: tuple[Finding, ...],
    silent: tuple[str, str],
) -> Measure:
    reason = ("", "") if b else silent
    return Measure(indicator, rule_id, a, b, is_low_better(m.standard, indicator), *reason, findings=findings)


def _one(lake: Queryable, sql: str, relations: Mapping[str, Relation]) -> dict[str, Any]:
    with lake.query(sql, relations) as result:
        row: dict[str, Any] = result.read_all().to_pylist()[0]
        return row


def quoted(name: str) -> str:
    """Return an SQL identifier.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return an SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
